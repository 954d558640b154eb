extension CommitPoint {
  /// The commit point, if there is one and it is whole. Tries again a few times, because a writer may be at it.
  package static func read(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8]
  ) throws(LogError) -> CommitPoint? {
    do throws(FileSystemError) {
      guard try fileSystem.exists(paths.commitPoint) else { return nil }
      let file = OpenFile(fileSystem, try fileSystem.open(paths.commitPoint, .readOnly))
      for _ in 0..<8 {
        let bytes = try fileSystem.readAll(file.handle, count: CommitPoint.size, at: 0)
        if let commitPoint = CommitPoint(decoding: bytes, logID: logID) { return commitPoint }
      }
      return nil
    } catch {
      // It is dispensable: without one the end noted at the last close, the cursors and the blocks tell.
      if error.code == .inputOutput { return nil }
      throw LogError(error, while: "read the commit point")
    }
  }
}
