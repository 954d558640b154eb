/// A running 64-bit digest of what happened: equal runs, equal digest, in every process (unlike `Hasher`).
///
/// FNV-1a over words, with a shift so that high bits reach low ones. Finds accidents, not adversaries.
package struct TraceHash: Sendable, Equatable {
  package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  package init() {}

  package mutating func mix(_ word: UInt64) {
    let product = (value ^ word) &* 0x0000_0100_0000_01b3
    value = product ^ (product >> 29)
  }

  package mutating func mix(_ text: String) {
    for byte in text.utf8 { mix(UInt64(byte)) }
    mix(UInt64(text.utf8.count) | 1 << 63)
  }

  package mutating func mix(_ bytes: UnsafeRawBufferPointer) {
    mix(UInt64(bytes.count))
    guard let first = bytes.first else { return }
    // Files are zero-filled ahead of use; a digest of zeros word by word would be most of a simulation's time.
    if isUniform(bytes) { return mix(UInt64(first)) }
    var position = 0
    while position + 8 <= bytes.count {
      mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
      position += 8
    }
    while position < bytes.count {
      mix(UInt64(bytes[position]))
      position += 1
    }
  }
}
