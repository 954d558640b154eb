/// Whether the committer, when it is out of work, busy-waits for a moment before it sleeps. A pure value.
///
/// A caller that appends one record after the other returns some 10 to 30 µs after its answer, and waking a sleeping
/// thread takes as long again. Busy-waiting saves that time when a caller returns, and otherwise wastes it. So after
/// each useless wait the committer skips twice as many chances, up to `maxSkip`. A committer that never meets a caller
/// spends at most one `moment` in `maxSkip + 1` commits on it. One that has nothing to commit spends nothing.
struct AdaptiveSpin {
  /// The longest busy-wait, in nanoseconds.
  static let moment: UInt64 = 50_000
  static let maxSkip = 255

  private var skip = 0
  private var left = 0
  private let isOn: Bool

  /// - Parameter processors: With a single one, busy-waiting would keep the awaited caller off the processor.
  init(processors: Int) { isOn = processors > 1 }

  /// A commit is done and there is no work: whether to busy-wait now.
  mutating func mayWait() -> Bool {
    guard isOn else { return false }
    guard left == 0 else {
      left -= 1
      return false
    }
    return true
  }

  /// The result of a busy-wait.
  mutating func waited(hasMet: Bool) {
    skip = hasMet ? 0 : min(max(1, skip * 2), Self.maxSkip)
    left = skip
  }
}
