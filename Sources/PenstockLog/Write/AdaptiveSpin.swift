/// Whether the committer, out of work, waits awake for a moment before it sleeps. A pure value.
///
/// Who appends one record after the other comes back some 10 to 30 µs after it was told; being woken from sleep takes as long
/// again. Waiting awake saves that, where somebody does come back; where nobody does it is wasted, so after each time in vain
/// twice as many chances are let go by, up to `maxSkip`: a committer that never meets anybody awake spends at most one
/// `moment` in `maxSkip + 1` commits on it, and one that has nothing to commit spends nothing.
package struct AdaptiveSpin {
  /// How long it waits awake at most, in nanoseconds.
  package static let moment: UInt64 = 50_000
  package static let maxSkip = 255

  private var skip = 0
  private var left = 0
  private let isOn: Bool

  /// - Parameter processors: With a single one, waiting awake keeps away whom it waits for.
  package init(processors: Int) { isOn = processors > 1 }

  /// A commit is done and there is no work: whether to wait awake now.
  package mutating func mayWait() -> Bool {
    guard isOn else { return false }
    guard left == 0 else {
      left -= 1
      return false
    }
    return true
  }

  /// What became of waiting awake.
  package mutating func waited(hasMet: Bool) {
    skip = hasMet ? 0 : min(max(1, skip * 2), Self.maxSkip)
    left = skip
  }
}
