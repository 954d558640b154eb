/// The number of a record in its log: 0, 1, 2, … without holes.
///
/// An offset, once acknowledged, names the same bytes for ever.
public struct Offset: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
  public let rawValue: UInt64
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  public static let zero = Offset(0)
  public static func < (a: Offset, b: Offset) -> Bool { a.rawValue < b.rawValue }
  public static func + (offset: Offset, count: Int) -> Offset { Offset(offset.rawValue + UInt64(count)) }
  /// How many records lie from `b` to `a`; `a` must not be before `b`.
  public static func - (a: Offset, b: Offset) -> Int { Int(a.rawValue - b.rawValue) }
  public var description: String { String(rawValue) }

  // A bare number in JSON, not an object around one.
  public init(from decoder: any Decoder) throws {
    rawValue = try decoder.singleValueContainer().decode(UInt64.self)
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}
