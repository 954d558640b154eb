/// What was acknowledged, as known from outside the newest segment.
///
/// Each piece of evidence was made durable, or even written, only after its records had been synced. So evidence that
/// reaches past the last valid block proves that acknowledged records are lost.
struct DurabilityEvidence: Hashable, Sendable {
  /// From the commit point and from the last orderly close.
  var ends: [CommitPoint.End] = []
  /// From cursors: commits, and the ends of open intents.
  var offsets: [Offset] = []

  init() {}

  /// Reads all evidence. It skips an unreadable cursor; opening that cursor reports why. Blocks the calling thread.
  static func accumulate(
    _ fileSystem: any FileSystem, _ paths: LogPaths, meta: LogMeta
  ) throws(LogError) -> DurabilityEvidence {
    var found = DurabilityEvidence()
    if let end = meta.cleanEnd { found.ends.append(end) }
    if let commitPoint = try CommitPoint.read(fileSystem, paths, logID: meta.logID) {
      found.ends.append(commitPoint.durable)
    }
    found.offsets = try CursorStore.records(fileSystem, paths, of: meta.logID).map(\.state.nextFirst)
    return found
  }

  /// Whether some evidence reaches past a position in a segment.
  func reach(past position: UInt64, _ offset: Offset, in segment: UInt64) -> Bool {
    ends.contains { $0.segment > segment || ($0.segment == segment && $0.position > position) || $0.offset > offset }
      || offsets.contains { $0 > offset }
  }

  /// The highest offset in any evidence.
  var highestOffset: Offset { max(ends.map(\.offset).max() ?? .zero, offsets.max() ?? .zero) }
  var highestSegment: UInt64 { ends.map(\.segment).max() ?? 0 }
}
