import Synchronization

/// A number many threads raise.
final class SharedCounter: Sendable {
  private let value = Atomic<Int>(0)
  /// The value before.
  func increment() -> Int { value.wrappingAdd(1, ordering: .relaxed).oldValue }
}

/// A moment one thread notes and another reads, in nanoseconds of the monotonic clock.
final class SharedMoment: Sendable {
  private let value = Atomic<UInt64>(0)
  func note() { value.store(Self.now(), ordering: .releasing) }
  var nanoseconds: UInt64 { value.load(ordering: .acquiring) }

  static func now() -> UInt64 {
    let passed = origin.duration(to: .now).components
    return UInt64(passed.seconds) * 1_000_000_000 + UInt64(passed.attoseconds / 1_000_000_000)
  }
  private static let origin = ContinuousClock.now - .seconds(1)
}
