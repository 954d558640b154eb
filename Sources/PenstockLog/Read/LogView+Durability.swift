extension LogView {
  /// Syncs the records below `offset`, where readers see records before they are durable. A cursor that is durable at
  /// an offset proves that the earlier records were durable, so it must not be durable first.
  ///
  /// Free in a log of `.disk` durability; else one sync of each segment concerned. Blocks the calling thread.
  func makeDurable(upTo offset: Offset, _ fileSystem: any FileSystem) throws(LogError) {
    let (set, durable) = known
    guard offset > durable else { return }
    // The kernel reports a failed write once, to the writer: a sync here would succeed and prove nothing.
    guard !hasFailed else {
      throw LogError(
        .poisoned, "an earlier write failed, so records up to \(offset) may be lost; open the log again to recover",
        location: .init(offset: durable))
    }
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
