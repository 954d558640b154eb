// CRC-32C of joined bytes, from the checksums of the parts.
//
// A checksum is the remainder of the bytes, as a polynomial over two elements, by the polynomial P. So what follows a
// part multiplies its remainder by x once for each bit, and the remainders are added. The inversions at the beginning
// and at the end of a checksum cancel each other.

extension Checksum {
  /// The unseeded checksum of `first` and `second` joined, where both are unseeded. O(log length).
  package static func joined(_ first: UInt32, _ second: UInt32, ofLength length: Int) -> UInt32 {
    precondition(length >= 0)
    var (moved, rest, power) = (first, length, 0)
    while rest > 0 {
      if rest & 1 != 0 { moved = product(moved, powers[power]) }
      rest >>= 1
      power += 1
    }
    return moved ^ second
  }

  /// x to the power of 8 · 2ⁿ, for every n of a length.
  private static let powers: [UInt32] = {
    // The highest bit is x⁰, so this is x⁸.
    var power: UInt32 = 1 << 23
    return (0..<Int.bitWidth).map { _ in
      defer { power = product(power, power) }
      return power
    }
  }()

  /// The product of two polynomials, by P. The highest bit is the coefficient of x⁰.
  private static func product(_ a: UInt32, _ b: UInt32) -> UInt32 {
    var (product, shifted): (UInt32, UInt32) = (0, b)
    for bit in stride(from: 31, through: 0, by: -1) {
      if a >> UInt32(bit) & 1 != 0 { product ^= shifted }
      shifted = shifted & 1 != 0 ? (shifted >> 1) ^ 0x82F6_3B78 : shifted >> 1
    }
    return product
  }
}
