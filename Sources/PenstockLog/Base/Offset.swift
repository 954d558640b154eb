/// The number of a record in its log: 0, 1, 2, … without holes.
///
/// An acknowledged offset names the same bytes as long as the log exists.
public struct Offset: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
  /// The number, counted from 0.
  public let rawValue: UInt64
  /// The offset with this number.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  /// The offset of a log's first record.
  public static let zero = Offset(0)
  public static func < (a: Offset, b: Offset) -> Bool { a.rawValue < b.rawValue }
  /// The offset `count` records later, or earlier for a negative count. It saturates at 0 and at the largest offset:
  /// operators and other programs supply offsets, and no offset may end the process.
  public static func + (offset: Offset, count: Int) -> Offset {
    if count >= 0 {
      let (sum, overflow) = offset.rawValue.addingReportingOverflow(UInt64(count))
      return Offset(overflow ? .max : sum)
    }
    let (difference, overflow) = offset.rawValue.subtractingReportingOverflow(UInt64(count.magnitude))
    return Offset(overflow ? 0 : difference)
  }
  /// How many records lie from `b` to `a`; negative where `a` is before `b`. It saturates at the largest and the
  /// smallest `Int`.
  public static func - (a: Offset, b: Offset) -> Int {
    a.rawValue >= b.rawValue ? Int(clamping: a.rawValue - b.rawValue) : -Int(clamping: b.rawValue - a.rawValue)
  }
  public var description: String { String(rawValue) }

  // A bare number in JSON, not an object.
  public init(from decoder: any Decoder) throws {
    rawValue = try decoder.singleValueContainer().decode(UInt64.self)
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}
