/// A clock to keep a pace by. Injected.
package protocol MonotonicClock: Sendable {
  /// Nanoseconds since some moment; never falls.
  func now() -> Int64
  func sleep(nanoseconds: Int64)
}
