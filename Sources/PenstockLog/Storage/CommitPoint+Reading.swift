extension CommitPoint {
  /// The commit point, if there is one and it is whole. Reads up to eight times, because a writer may be writing it.
  /// Blocks the calling thread.
  static func read(
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
      // The commit point is dispensable: the end stored at the last close, the cursors and the blocks give the same
      // evidence.
      if error.code == .inputOutput { return nil }
      throw LogError(error, while: "read the commit point")
    }
  }
}
