/// Which segment is sealed next. A pure value; `BackgroundSealer` performs.
///
/// Every segment but the newest has one turn in an opening, the oldest first: sealed or not, it is not looked at again before
/// the log is opened again. A full disk costs no turn.
package struct SealingPlan: Hashable, Sendable {
  package struct Job: Hashable, Sendable {
    package let segment: SegmentName
    package let next: SegmentName
    /// Where the segment's records must end.
    package var end: Offset { next.baseOffset }
  }
  package enum Outcome: Hashable, Sendable {
    /// Sealed, now or before, or left as it is for a reason that will not go away.
    case done
    /// The disk was full: the same segment again, when there is more to seal.
    case later
  }

  /// Every segment up to this sequence has had its turn.
  private var settled: UInt64 = 0

  package init() {}

  /// The next to be sealed of a log that consists of these segments, in order. Empty segments are not worth it; one whose
  /// successor is missing cannot be proven whole.
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

/// How long to wait so that work stays below so many bytes a second. A pure value.
package struct RateLimit: Hashable, Sendable {
  private let bytesPerSecond: Int
  /// When the work done so far would have been done at the rate, in nanoseconds.
  private var due: Int64 = .min

  /// - Parameter bytesPerSecond: 0 for no limit.
  package init(bytesPerSecond: Int) { self.bytesPerSecond = bytesPerSecond }

  /// Notes work that is done; returns how many nanoseconds from `now` on to wait before the next.
  package mutating func delay(after bytes: Int, now: Int64) -> Int64 {
    guard bytesPerSecond > 0 else { return 0 }
    // Time in which nothing was done is not saved up.
    due = max(due, now) + Int64(Double(bytes) / Double(bytesPerSecond) * 1e9)
    return due - now
  }
}
