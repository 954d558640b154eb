/// Keeps the newest two ``ProducerSnapshot``s, each in a file of its own. Only the log's one writer uses it. Every
/// method blocks the calling thread.
///
/// A save never touches the newest durable snapshot. It writes and syncs a separate file, and only then gives it the
/// name of the *older* snapshot. So after a crash at any moment, or on a full disk, a whole snapshot remains, though
/// perhaps an old one. Recovery then reads more of the log.
struct ProducerStore: Sendable {
  private let fileSystem: any FileSystem
  private let paths: LogPaths
  private let logID: [UInt8]
  /// The number of the newest durable snapshot; 0 when there is none.
  private var generation: UInt64 = 0

  private init(_ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8]) {
    self.fileSystem = fileSystem
    self.paths = paths
    self.logID = logID
  }

  /// The result of ``open(_:_:logID:)``.
  struct Opened: Sendable {
    var store: ProducerStore
    var newest: ProducerSnapshot?
    /// Files that are no snapshot of this log, or not whole.
    var damaged: [String] = []
  }

  /// The newest whole snapshot. File and name are durable when this returns.
  static func open(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8]
  ) throws(LogError) -> Opened {
    var opened = Opened(store: ProducerStore(fileSystem, paths, logID: logID))
    for path in [paths.producers(0), paths.producers(1)] {
      do throws(FileSystemError) {
        guard try fileSystem.exists(path) else { continue }
        let file = OpenFile(fileSystem, try fileSystem.open(path, .readOnly))
        _ = try fileSystem.synchronizeThenDropCache(file.handle)
      } catch {
        throw LogError(error, while: "sync \(path)")
      }
    }
    (opened.newest, opened.damaged) = try read(fileSystem, paths, logID: logID)
    if let newest = opened.newest {
      do throws(FileSystemError) {
        // A killed process may have left the name in memory alone, and the next save removes the older one.
        try fileSystem.synchronizeDirectory(paths.root)
      } catch {
        throw LogError(error, while: "sync the log's directory")
      }
      opened.store.generation = newest.generation
    }
    return opened
  }

  /// The newest whole snapshot, and the files that are not this log's or not whole. Writes nothing.
  static func read(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8]
  ) throws(LogError) -> (newest: ProducerSnapshot?, damaged: [String]) {
    var newest: ProducerSnapshot?
    var damaged: [String] = []
    for path in [paths.producers(0), paths.producers(1)] {
      do throws(FileSystemError) {
        guard let bytes = try contents(fileSystem, path) else { continue }
        guard let snapshot = try? ProducerSnapshot(decoding: bytes), snapshot.logID == logID else {
          damaged.append(path)
          continue
        }
        if snapshot.generation > (newest?.generation ?? 0) { newest = snapshot }
      } catch {
        guard error.code == .inputOutput else { throw LogError(error, while: "read \(path)") }
        damaged.append(path)
      }
    }
    return (newest, damaged)
  }

  private static func contents(_ fileSystem: any FileSystem, _ path: String) throws(FileSystemError) -> [UInt8]? {
    guard try fileSystem.exists(path) else { return nil }
    let file = OpenFile(fileSystem, try fileSystem.open(path, .readOnly))
    let size = Int(min(try fileSystem.size(file.handle), UInt64(ProducerSnapshot.maxBytes)))
    return try fileSystem.readAll(file.handle, count: size, at: 0)
  }

  /// Writes the table at `end`, durably. Precondition: every block below `end` is on stable storage.
  ///
  /// After a failure the previous snapshot is still there, and a later save may succeed.
  mutating func save(_ table: ProducerTable, at end: Offset) throws(LogError) {
    let next = generation + 1
    let bytes = ProducerSnapshot(table, logID: logID, generation: next, end: end).encoded()
    let (temporary, path) = (paths.unfinishedProducers, paths.producers(next % 2))
    do throws(FileSystemError) {
      do throws(FileSystemError) {
        try fileSystem.removeIfPresent(temporary)
        try write(bytes, to: temporary)
      } catch {
        try? fileSystem.remove(temporary)
        throw error
      }
      try fileSystem.removeIfPresent(path)
      try fileSystem.rename(temporary, to: path)
      try fileSystem.synchronizeDirectory(paths.root)
    } catch {
      throw LogError(error, while: "save the producers' snapshot")
    }
    generation = next
  }

  private func write(_ bytes: [UInt8], to path: String) throws(FileSystemError) {
    let file = OpenFile(fileSystem, try fileSystem.open(path, .create))
    var failure: FileSystemError?
    bytes.withUnsafeBytes { bytes in
      do throws(FileSystemError) { try fileSystem.writeAll(file.handle, bytes, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
    try fileSystem.synchronize(file.handle)
  }
}
