// Which of the oldest segments retention removes. Counted from the beginning of the log:
//
//   wanted   what age or size would remove
//   passed   what every cursor has passed
//   forced   what the hard cap must remove, with or without cursors, as long as their losses can be stored
//
//   → min(wanted, passed) or forced, whichever is more; never the newest segment, nor one
//     that recovery needs for its producers

/// The decision, without clock or disk. Exhaustively tested.
struct Retention: Sendable {
  struct SegmentInput: Hashable, Sendable {
    var name: SegmentName
    /// One past its last record: where the next segment begins.
    var end: Offset
    var bytes: UInt64
    /// When its last record was appended, or later.
    var newestAppend: Timestamp

    init(name: SegmentName, end: Offset, bytes: UInt64, newestAppend: Timestamp) {
      self.name = name
      self.end = end
      self.bytes = bytes
      self.newestAppend = newestAppend
    }
  }

  struct CursorInput: Hashable, Sendable {
    var name: String
    /// The first record it still needs: the first of its oldest open intent, or of its next batch.
    var holds: Offset
    /// Whether the hard cap may pass it: its loss can be stored in its file, or its file is damaged and unreadable.
    var canBePassed: Bool
    /// Whether its file's position is readable.
    var isReadable: Bool

    init(name: String, holds: Offset, canBePassed: Bool = true, isReadable: Bool = true) {
      self.name = name
      self.holds = holds
      self.canBePassed = canBePassed
      self.isReadable = isReadable
    }
  }

  struct Plan: Hashable, Sendable {
    /// How many segments are removed.
    var count = 0
    /// Cursors that lose records by it, and whose losses can be stored.
    var passes: [String] = []
    /// How many more segments the cursors keep.
    var held = 0
    /// Those cursors.
    var heldBy: [CursorInput] = []
    /// How many more segments are kept because recovery needs them for its producers.
    var keptForProducers = 0

    init() {}
  }

  let policy: RetentionPolicy

  init(_ policy: RetentionPolicy) { self.policy = policy }

  /// - Parameters:
  ///   - segments: Oldest first, the newest included.
  ///   - now: The newest record's append time.
  ///   - clock: The believed time; see ``LogClock``.
  ///   - snapshotEnd: Segments that end above it stay, whatever the policy.
  func plan(
    _ segments: [SegmentInput], _ cursors: [CursorInput], now: Timestamp,
    clock: Timestamp = Timestamp(nanoseconds: .max), snapshotEnd: Offset = Offset(.max)
  ) -> Plan {
    var plan = Plan()
    let older = max(0, segments.count - 1)
    let limit = min(older, count(of: segments, upTo: [snapshotEnd]))
    let unlimited = max(aged(segments, now: now, clock: clock), oversize(segments, policy.maxBytes))
    let wanted = min(limit, unlimited)
    let wantedByCap = oversize(segments, policy.hardCapBytes)
    let cap = min(limit, wantedByCap)
    plan.keptForProducers = max(0, min(older, max(unlimited, wantedByCap)) - limit)
    let passed = count(of: segments, upTo: cursors.map(\.holds))
    let forced = min(cap, count(of: segments, upTo: cursors.filter { !$0.canBePassed }.map(\.holds)))
    plan.count = max(min(max(wanted, cap), passed), forced)
    let start = plan.count > 0 ? segments[plan.count - 1].end : .zero
    plan.passes = cursors.filter { $0.isReadable && $0.holds < start }.map(\.name)
    plan.held = max(wanted, cap) - plan.count
    if plan.held > 0 {
      let next = segments[plan.count].end
      plan.heldBy = cursors.filter { $0.holds < next }
    }
    return plan
  }

  /// How many segments end at or before the lowest of these offsets.
  private func count(of segments: [SegmentInput], upTo places: [Offset]) -> Int {
    guard let lowest = places.min() else { return segments.count }
    return segments.prefix { $0.end <= lowest }.count
  }

  /// If the clock has reached a segment's times, the earlier of the clock and the log's newest record decides. So
  /// neither a wrong append time nor a wrong clock alone makes the segment old. A clock that was wrong for long leaves
  /// segments ahead of the present clock. For these the log's newest record decides, because it has the same error.
  private func aged(_ segments: [SegmentInput], now: Timestamp, clock: Timestamp) -> Int {
    guard let maxAge = policy.maxAgeNanoseconds else { return 0 }
    return segments.prefix { segment in
      let judged = segment.newestAppend <= clock ? min(now, clock) : now
      let (oldest, overflow) = judged.nanoseconds.subtractingReportingOverflow(maxAge)
      return !overflow && segment.newestAppend.nanoseconds < oldest
    }.count
  }

  /// How many of the oldest segments must be removed for the rest to fit.
  private func oversize(_ segments: [SegmentInput], _ maxBytes: Int?) -> Int {
    guard let maxBytes else { return 0 }
    var bytes = segments.reduce(0) { $0 + $1.bytes }
    return segments.prefix { segment in
      guard bytes > UInt64(maxBytes) else { return false }
      bytes -= segment.bytes
      return true
    }.count
  }
}
