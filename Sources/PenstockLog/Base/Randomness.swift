/// The source of salts and identities. Injected, so that a simulation repeats byte for byte.
package struct Randomness: Sendable {
  private let draw: @Sendable () -> UInt64

  init(_ draw: @escaping @Sendable () -> UInt64) { self.draw = draw }

  /// The operating system's generator, which is cryptographically secure.
  package static let system = Randomness {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }

  /// 64 random bits.
  package func word() -> UInt64 { draw() }

  /// 16 random bytes.
  package func bytes16() -> [UInt8] {
    let words = (draw(), draw())
    return withUnsafeBytes(of: words.0.littleEndian) { Array($0) }
      + withUnsafeBytes(of: words.1.littleEndian) { Array($0) }
  }
}
