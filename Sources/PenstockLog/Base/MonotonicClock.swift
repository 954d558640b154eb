/// A clock that never jumps. Injected.
package protocol MonotonicClock: Sendable {
  /// Nanoseconds since some fixed moment; never falls.
  func now() -> Int64
  func sleep(nanoseconds: Int64)
}
