import Synchronization

/// Memory for events that many deliveries may keep together.
final class KeptBytes: Sendable {
  private let used = Atomic(0)
  let most: Int

  init(most: Int) { self.most = most }

  func share() -> Share { Share(of: self) }

  /// What one delivery keeps, until it drops this.
  final class Share: Sendable {
    private let budget: KeptBytes
    private let taken = Atomic(0)

    fileprivate init(of budget: KeptBytes) { self.budget = budget }

    deinit { budget.used.subtract(bytes, ordering: .relaxed) }

    var bytes: Int { taken.load(ordering: .relaxed) }

    /// Returns false, and takes nothing, when there is not enough. One caller at a time.
    func grow(to bytes: Int) -> Bool {
      let more = max(0, bytes - self.bytes)
      guard budget.used.add(more, ordering: .relaxed).newValue <= budget.most else {
        budget.used.subtract(more, ordering: .relaxed)
        return false
      }
      taken.add(more, ordering: .relaxed)
      return true
    }
  }
}
