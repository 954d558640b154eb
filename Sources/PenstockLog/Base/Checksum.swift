internal import CPenstock

/// CRC-32C (Castagnoli), in hardware where there is some.
///
/// A segment's salt seeds all its checksums. So bytes of an earlier use of the same disk region never validate.
/// RFC 3720 appendix B.4 names the polynomial; its test vectors are in the tests.
package struct Checksum: Hashable, Sendable {
  package private(set) var value: UInt32

  /// A checksum of nothing.
  package init(seed: UInt32 = 0) { value = seed }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    value = penstock_crc32c(value, bytes.baseAddress, bytes.count)
  }

  static func of(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
    penstock_crc32c(seed, bytes.baseAddress, bytes.count)
  }

  package static func of(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { of($0, seed: seed) }
  }

  /// The table implementation, for the test that compares both.
  static func portable(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { penstock_crc32c_portable(seed, $0.baseAddress, $0.count) }
  }
}

/// A 64-bit value that identifies a block and, through its own chain field, everything before it.
///
/// It detects missing and reordered blocks; it is no defence against an attacker. Each step is the finaliser of
/// SplitMix64 over one word (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
package enum Chain {
  package static func link(_ header: UnsafeRawBufferPointer) -> UInt64 {
    precondition(header.count % 8 == 0)
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    for position in stride(from: 0, to: header.count, by: 8) {
      state ^= UInt64(littleEndian: header.loadUnaligned(fromByteOffset: position, as: UInt64.self))
      state = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
      state = (state ^ (state >> 27)) &* 0x94D0_49BB_1331_11EB
      state ^= state >> 31
    }
    return state
  }
}

/// Searching bytes at memory speed.
package enum Bytes {
  /// The positions of all line feeds.
  static func lineFeeds(in bytes: UnsafeRawBufferPointer, expecting count: Int) -> [UInt32] {
    // Swift's empty arrays share one piece of memory, and each thread would write the length zero into it. That is
    // harmless, but ThreadSanitizer reports a race.
    guard count > 0 else {
      let found = penstock_line_feeds(bytes.baseAddress, bytes.count, nil, 0)
      return found > 0 ? lineFeeds(in: bytes, expecting: found) : []
    }
    var found = 0
    var places = [UInt32](unsafeUninitializedCapacity: count) { buffer, initialized in
      found = penstock_line_feeds(bytes.baseAddress, bytes.count, buffer.baseAddress, count)
      initialized = min(found, count)
    }
    guard found > count else { return places }
    places = [UInt32](unsafeUninitializedCapacity: found) { buffer, initialized in
      initialized = penstock_line_feeds(bytes.baseAddress, bytes.count, buffer.baseAddress, found)
    }
    return places
  }

  static func containsLineFeed(_ bytes: UnsafeRawBufferPointer) -> Bool {
    penstock_line_feeds(bytes.baseAddress, bytes.count, nil, 0) > 0
  }

  static func areEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    a.count == b.count && penstock_equal(a.baseAddress, b.baseAddress, a.count) != 0
  }

  /// One past the last byte that is not zero; 0 when all are.
  package static func nonzeroEnd(of bytes: UnsafeRawBufferPointer) -> Int {
    penstock_nonzero_end(bytes.baseAddress, bytes.count)
  }
}
