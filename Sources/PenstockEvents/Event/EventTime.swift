/// Converts `ts` from decimal seconds to whole nanoseconds, in integer arithmetic.
///
/// A `Double` would lose the nanoseconds: at today's dates its steps are about 240 ns wide.
public enum EventTime {
  /// The event time of a record, in nanoseconds since 1970; nil when it has no readable time.
  ///
  /// The time is readable when the record is one well-formed JSON object with exactly one `ts`, which is a number.
  /// ``EventValidator`` reads it in the same way; this also works for unvalidated records. Takes one pass, O(record
  /// bytes), without allocation.
  public static func nanoseconds(ofEvent record: UnsafeRawBufferPointer) -> Int64? {
    var scanner = JSONScanner(record)
    guard (try? scanner.beginDocument()) != nil, scanner.current == UInt8(ascii: "{") else { return nil }
    var walk = ObjectWalk(scanner)
    var value: Range<Int>?
    var count = 0
    do throws(JSONFault) {
      while let member = try walk.next() {
        guard member.field == .timestamp else { continue }
        count += 1
        value = member.kind == .number ? member.value : nil
      }
    } catch {
      return nil
    }
    guard count == 1, let value else { return nil }
    return nanoseconds(value, in: record)
  }

  /// Nanoseconds since 1970 for a JSON number of seconds.
  ///
  /// Truncates fractions of a nanosecond toward zero. A value outside `Int64` (the years 1677 to 2262) becomes the
  /// nearest `Int64`.
  static func nanoseconds(_ range: Range<Int>, in bytes: UnsafeRawBufferPointer) -> Int64 {
    var decimal = Decimal()
    var position = range.lowerBound
    let isNegative = bytes[position] == UInt8(ascii: "-")
    if isNegative { position += 1 }
    while position < range.upperBound {
      let byte = bytes[position]
      if isDigit(byte) {
        decimal.append(byte - UInt8(ascii: "0"))
      } else if byte == UInt8(ascii: ".") {
        decimal.inFraction = true
      } else {
        decimal.scale += exponent(position + 1..<range.upperBound, in: bytes)
        break
      }
      position += 1
    }
    let magnitude = decimal.scaled(by: 9)
    if isNegative { return magnitude > UInt64(Int64.max) ? .min : -Int64(magnitude) }
    return Int64(clamping: magnitude)
  }

  /// The exponent after `e`. Drops digits after about the seventeenth: they cannot change the clamped result.
  private static func exponent(_ range: Range<Int>, in bytes: UnsafeRawBufferPointer) -> Int {
    var value = 0
    for index in range where isDigit(bytes[index]) && value < Int.max / 100 {
      value = value * 10 + Int(bytes[index] - UInt8(ascii: "0"))
    }
    return bytes[range.lowerBound] == UInt8(ascii: "-") ? -value : value
  }

  /// `significand` × 10^`scale`, with as many significant digits as always fit.
  private struct Decimal {
    var significand: UInt64 = 0
    var scale = 0
    var inFraction = false

    mutating func append(_ digit: UInt8) {
      // Nineteen digits fit. With more, either the scale is positive and the value exceeds Int64, or `scaled` would cut
      // these digits off anyway.
      if significand < 1_000_000_000_000_000_000 {
        significand = significand * 10 + UInt64(digit)
        if inFraction { scale -= 1 }
      } else if !inFraction {
        scale += 1
      }
    }

    func scaled(by power: Int) -> UInt64 {
      var value = significand
      var scale = scale + power
      while scale > 0, value != 0 {
        let (product, overflow) = value.multipliedReportingOverflow(by: 10)
        if overflow { return .max }
        value = product
        scale -= 1
      }
      while scale < 0, value != 0 {
        value /= 10
        scale += 1
      }
      return value
    }
  }
}
