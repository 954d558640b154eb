/// The locks on one simulated file: which handle holds which positions. No position has two holders.
struct FileLocks: Sendable {
  static let everything = 0..<UInt64.max

  private var held: [(handle: Int32, range: Range<UInt64>)] = []

  static func isLockable(_ range: Range<UInt64>) -> Bool {
    !range.isEmpty && range.upperBound <= UInt64(Int64.max)
  }

  /// False when another handle has one of the positions.
  mutating func take(_ handle: Int32, _ range: Range<UInt64>) -> Bool {
    guard !held.contains(where: { $0.handle != handle && $0.range.overlaps(range) }) else { return false }
    release(handle, range)
    held.append((handle, range))
    return true
  }

  /// Ends what the handle holds of these positions; the rest of a lock stays.
  mutating func release(_ handle: Int32, _ range: Range<UInt64>) {
    held = held.flatMap { lock -> [(handle: Int32, range: Range<UInt64>)] in
      guard lock.handle == handle, lock.range.overlaps(range) else { return [lock] }
      let before = lock.range.lowerBound..<max(lock.range.lowerBound, range.lowerBound)
      let after = min(range.upperBound, lock.range.upperBound)..<lock.range.upperBound
      return [before, after].filter { !$0.isEmpty }.map { (handle, $0) }
    }
  }
}

extension Range<UInt64> {
  /// The positions; `count` would not hold them all.
  var length: UInt64 { upperBound - lowerBound }
}
