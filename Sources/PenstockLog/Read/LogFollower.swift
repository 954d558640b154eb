internal import Synchronization

/// Reads from the files alone how far a log reaches.
final class LogFollower: Sendable {
  let environment: LogEnvironment
  let paths: LogPaths
  let logID: [UInt8]
  /// The segments found so far. Held during a whole refresh, so that an older end is never published after a newer one.
  private let known = Mutex<[SegmentName: Segment]>([:])

  init(_ environment: LogEnvironment, _ paths: LogPaths) throws(LogError) {
    self.environment = environment
    self.paths = paths
    do throws(FileSystemError) {
      guard try environment.fileSystem.exists(paths.meta) else {
        throw FileSystemError(.notFound, verb: .open, path: paths.meta)
      }
    } catch {
      switch error.code {
      case .notFound:
        throw LogError(
          .notALog, "there is no log here; `penstock append --log` makes one", location: .init(path: paths.root))
      case .notADirectory:
        throw LogError(.notALog, "that is a file; a log is a directory", location: .init(path: paths.root))
      default: throw LogError(error, while: "find the log")
      }
    }
    logID = try Self.readMeta(environment, paths).logID
  }

  private static func readMeta(_ environment: LogEnvironment, _ paths: LogPaths) throws(LogError) -> LogMeta {
    try LogMeta(
      decoding: try SlotFile.peek(
        environment.fileSystem, paths.meta, kind: LogMeta.slotKind, slotSize: LogMeta.slotSize))
  }

  /// Publishes how far the log reaches now. O(segments) when the log has changed, else two small reads. Blocks the
  /// calling thread.
  func refresh(_ view: LogView) throws(LogError) {
    try known.withLock { known throws(LogError) in
      // First the end, then the list: when an end is written, its segments exist.
      let (found, durable, begun) = try extent()
      let end = max(found, view.end)
      let set = view.set
      // Retention moves the start before it removes a file, so an unchanged start means that all files are there.
      let isTrimmed = begun.map { set.first < $0.baseOffset } ?? false
      if end <= set.end, !isTrimmed, !set.segments.isEmpty { return view.noteDurable(upTo: durable) }
      let (names, start) = try listing(atFirst: begun)
      let listed = names.filter { $0.baseOffset <= end && $0.sequence >= start?.sequence ?? 0 }
      let current = Set(listed)
      known = known.filter { current.contains($0.key) }
      let segments = listed.map { name in
        let segment = known[name] ?? Segment(environment.fileSystem, name, path: paths.segment(name), logID: logID)
        known[name] = segment
        return segment
      }
      guard !segments.isEmpty else { return }
      if let start { view.trim(to: start) }
      view.publish(SegmentSet(segments: segments, end: end), durable: durable)
    }
  }

  /// The segments' files, and where the log begins. The start is read again after the list until it is unchanged.
  /// Otherwise records that retention removed in between would be reported missing.
  private func listing(atFirst start: SegmentName?) throws(LogError) -> ([SegmentName], start: SegmentName?) {
    var start = start
    while true {
      let (names, _) = try LogDirectory.listSegments(environment.fileSystem, paths)
      let now = try Self.readMeta(environment, paths).start
      if now == start { return (names, start) }
      start = now
    }
  }

  /// The readable end, the durable end, and the log's start.
  private func extent() throws(LogError) -> (end: Offset, durable: Offset, start: SegmentName?) {
    let meta = try Self.readMeta(environment, paths)
    let commitPoint = try CommitPoint.read(environment.fileSystem, paths, logID: logID)
    let closed = meta.cleanEnd?.offset ?? .zero
    return (
      max(commitPoint?.visible.offset ?? .zero, closed), max(commitPoint?.durable.offset ?? .zero, closed), meta.start
    )
  }
}
