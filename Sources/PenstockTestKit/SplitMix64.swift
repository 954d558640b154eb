import PenstockLog

/// A small, fast random generator. Equal seeds give equal values on every machine.
///
/// The algorithm is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
/// Not for secrets.
public struct SplitMix64: RandomNumberGenerator, Sendable, Equatable {
  private var random: SeededRandom

  /// Makes a generator; equal seeds give equal numbers.
  public init(seed: UInt64) { random = SeededRandom(seed: seed) }

  public mutating func next() -> UInt64 { random.next() }

  /// A number in `0..<bound`. The standard library is not used here: its mapping from bits to numbers may change with a
  /// version, and with it every recorded seed.
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0, "a bound must be positive")
    return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// True with probability `numerator` / 256.
  public mutating func chance(_ numerator: Int) -> Bool { below(256) < numerator }
}
