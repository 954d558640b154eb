/// Which segment is sealed next. A pure value; `BackgroundSealer` performs it.
///
/// Every segment but the newest is tried once in an opening, the oldest first. Sealed or not, it is not tried again
/// before the log is opened again. An attempt on a full disk does not count.
package struct SealingPlan: Hashable, Sendable {
  package struct Job: Hashable, Sendable {
    package let segment: SegmentName
    let next: SegmentName
    /// Where the segment's records must end.
    var end: Offset { next.baseOffset }
  }
  package enum Outcome: Hashable, Sendable {
    /// Sealed, now or before, or left as it is for a permanent reason.
    case done
    /// The disk was full: the same segment is tried again, when there is more to seal.
    case later
  }

  /// Every segment up to this sequence has been tried.
  private var settled: UInt64 = 0

  package init() {}

  /// The next segment to seal, of a log with these segments in order. It skips empty segments, and segments without a
  /// successor, which cannot be proven whole.
  package func next(in segments: some RandomAccessCollection<SegmentName>) -> Job? {
    for (segment, next) in zip(segments, segments.dropFirst())
    where segment.sequence > settled && next.sequence == segment.sequence + 1 && next.baseOffset > segment.baseOffset {
      return Job(segment: segment, next: next)
    }
    return nil
  }

  package mutating func finished(_ job: Job, _ outcome: Outcome) {
    if outcome == .done { settled = max(settled, job.segment.sequence) }
  }
}

/// How long to wait so that work stays below a rate of bytes per second. A pure value.
struct RateLimit: Hashable, Sendable {
  private let bytesPerSecond: Int
  /// When the work so far would have been done at the rate, in nanoseconds.
  private var due: Int64 = .min

  /// - Parameter bytesPerSecond: 0 for no limit.
  init(bytesPerSecond: Int) { self.bytesPerSecond = bytesPerSecond }

  /// Adds finished work; returns how many nanoseconds from `now` on to wait before the next.
  mutating func delay(after bytes: Int, now: Int64) -> Int64 {
    guard bytesPerSecond > 0 else { return 0 }
    // Idle time does not accumulate.
    due = max(due, now) + Int64(Double(bytes) / Double(bytesPerSecond) * 1e9)
    return due - now
  }
}
