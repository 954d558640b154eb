import Foundation

/// Numbers with units.
enum Units {
  static func bytes(_ text: String) -> Int? {
    let units: [String: Int] = [
      "": 1, "B": 1, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
    ]
    guard let (number, unit) = split(text), let factor = units[unit], number * Double(factor) < 9e18 else { return nil }
    return Int(number * Double(factor))
  }

  static func duration(_ text: String) -> Duration? {
    let units: [String: Double] = ["ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400]
    guard let (number, unit) = split(text), let factor = units[unit], number * factor < 1e12 else { return nil }
    return .seconds(number * factor)
  }

  private static func split(_ text: String) -> (Double, String)? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let number = Double(digits) else { return nil }
    return (number, text.dropFirst(digits.count).trimmingCharacters(in: .whitespaces))
  }
}
