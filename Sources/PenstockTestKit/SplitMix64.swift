import PenstockLog

/// A small, fast random generator. Equal seeds give equal values on every machine.
///
/// The algorithm is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
/// Not for secrets.
public struct SplitMix64: RandomNumberGenerator, Sendable, Equatable {
  private var random: SeededRandom

  public init(seed: UInt64) { random = SeededRandom(seed: seed) }

  public mutating func next() -> UInt64 { random.next() }

  /// A number in `0..<bound`. Written out rather than taken from the standard library, whose mapping from bits to numbers
  /// may change with its version and with it every recorded seed. The bias is below bound/2⁶⁴.
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0, "a bound must be positive")
    return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// True with probability `numerator` / 256.
  public mutating func chance(_ numerator: Int) -> Bool { below(256) < numerator }
}
