// Which of the oldest segments may go. Counted from the beginning of the log:
//
//   wanted   what age or size would remove
//   passed   what every cursor has passed
//   forced   what the hard cap must remove, cursors or not, as long as those in the way can be told
//
//   → min(wanted, passed) or forced, whichever is more; never the newest segment, nor one
//     that recovery would ask about producers

/// The decision, without clock or disk. Exhaustively tested.
package struct Retention: Sendable {
  package struct SegmentFacts: Hashable, Sendable {
    package var name: SegmentName
    /// One past its last record: where the next segment begins.
    package var end: Offset
    package var bytes: UInt64
    /// When its last record was appended, or later.
    package var newestAppend: Timestamp

    package init(name: SegmentName, end: Offset, bytes: UInt64, newestAppend: Timestamp) {
      self.name = name
      self.end = end
      self.bytes = bytes
      self.newestAppend = newestAppend
    }
  }

  package struct CursorFacts: Hashable, Sendable {
    package var name: String
    /// The first record it still needs: of its oldest open intent, or the one it stands at.
    package var holds: Offset
    /// Whether the hard cap may pass it: its loss can be recorded in its file, or its file is damaged and nothing can be
    /// read from it any more.
    package var canBePassed: Bool
    /// Whether its file says where it stands.
    package var isReadable: Bool

    package init(name: String, holds: Offset, canBePassed: Bool = true, isReadable: Bool = true) {
      self.name = name
      self.holds = holds
      self.canBePassed = canBePassed
      self.isReadable = isReadable
    }
  }

  package struct Plan: Hashable, Sendable {
    /// How many segments go.
    package var count = 0
    /// Cursors that lose records by it, and can be told.
    package var passes: [String] = []
    /// How many more would go, were it not for cursors.
    package var held = 0
    /// Those cursors.
    package var heldBy: [CursorFacts] = []
    /// How many more would be looked at, were it not for what recovery must ask about producers.
    package var keptForProducers = 0

    package init() {}
  }

  package let policy: RetentionPolicy

  package init(_ policy: RetentionPolicy) { self.policy = policy }

  /// - Parameters:
  ///   - segments: oldest first, the newest included.
  ///   - now: the newest record's append time.
  ///   - clock: the time that is believed; see ``LogClock``.
  ///   - snapshotEnd: segments that end above it stay, whatever the policy says.
  package func plan(
    _ segments: [SegmentFacts], _ cursors: [CursorFacts], now: Timestamp,
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

  /// How many segments end before every one of these places.
  private func count(of segments: [SegmentFacts], upTo places: [Offset]) -> Int {
    guard let lowest = places.min() else { return segments.count }
    return segments.prefix { $0.end <= lowest }.count
  }

  /// A segment whose times the clock has reached is judged by the clock or by the log's newest record, whichever is earlier:
  /// neither a wrong append time nor a wrong clock alone makes it old. One from ahead of the clock, left by a clock that was
  /// wrong for long, is judged by the log's newest record, which has the same error.
  private func aged(_ segments: [SegmentFacts], now: Timestamp, clock: Timestamp) -> Int {
    guard let maxAge = policy.maxAgeNanoseconds else { return 0 }
    return segments.prefix { segment in
      let judged = segment.newestAppend <= clock ? min(now, clock) : now
      let (oldest, overflow) = judged.nanoseconds.subtractingReportingOverflow(maxAge)
      return !overflow && segment.newestAppend.nanoseconds < oldest
    }.count
  }

  /// How many of the oldest must go for the rest to fit.
  private func oversize(_ segments: [SegmentFacts], _ maxBytes: Int?) -> Int {
    guard let maxBytes else { return 0 }
    var bytes = segments.reduce(0) { $0 + $1.bytes }
    return segments.prefix { segment in
      guard bytes > UInt64(maxBytes) else { return false }
      bytes -= segment.bytes
      return true
    }.count
  }
}
