/// Wall-clock time: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
public struct Timestamp: Hashable, Comparable, Sendable, Codable {
  /// Nanoseconds since 1970-01-01T00:00:00Z.
  public var nanoseconds: Int64
  /// The time that many nanoseconds after 1970-01-01T00:00:00Z.
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
  /// Seconds since 1970; saturates at the ends of the range (years 1677 and 2262).
  public init(seconds: Double) {
    let scaled = seconds * 1e9
    nanoseconds = scaled >= 9.2e18 ? .max : scaled <= -9.2e18 ? .min : Int64(scaled)
  }
  /// Seconds since 1970; rounded to what a `Double` holds.
  public var seconds: Double { Double(nanoseconds) / 1e9 }
  public static func < (a: Timestamp, b: Timestamp) -> Bool { a.nanoseconds < b.nanoseconds }
}

/// The time of day. Injected, so that a test can make it jump.
public protocol WallClock: Sendable {
  /// The time now. It may jump in both directions; the log makes its own append times monotone.
  func now() -> Timestamp
}
