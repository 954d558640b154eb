extension LogView {
  /// Puts the records below `offset` on stable storage, where readers see them earlier than that. A cursor that is durable
  /// at an offset proves that the records before it were, so it must not be durable first. Free in a log of `.disk`
  /// durability; else one sync of each segment concerned.
  func makeDurable(upTo offset: Offset, _ fileSystem: any FileSystem) throws(LogError) {
    let (set, durable) = known
    guard offset > durable else { return }
    do throws(FileSystemError) {
      for (index, segment) in set.segments.enumerated()
      where set.end(ofSegmentAt: index) > durable && segment.name.baseOffset < offset {
        let file = OpenFile(fileSystem, try fileSystem.open(segment.path, .readOnly))
        try fileSystem.synchronize(file.handle)
      }
    } catch {
      throw LogError(error, while: "sync the records before a cursor")
    }
    noteDurable(upTo: offset)
  }
}
