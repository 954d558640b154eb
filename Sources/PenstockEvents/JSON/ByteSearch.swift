import CPenstock

/// Compares eight bytes at once in a 64-bit integer (the classic "has a zero byte" trick, Hacker's Delight 6-1).
///
/// Every function returns the high bit of each byte that matches. Borrows may also mark bytes above the first match, so
/// only the lowest mark is exact. That is the one needed, since the bytes are read little-endian.
enum EightBytes {
  static let ones: UInt64 = 0x0101_0101_0101_0101
  static let highBits: UInt64 = 0x8080_8080_8080_8080

  @inline(__always)
  static func equal(_ word: UInt64, to byte: UInt8) -> UInt64 {
    let difference = word ^ (ones &* UInt64(byte))
    return (difference &- ones) & ~difference & highBits
  }
}

extension UnsafeRawBufferPointer {
  /// The eight bytes from `position`, the first in the lowest byte.
  @inline(__always)
  func eightBytes(at position: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: position, as: UInt64.self))
  }

  /// How many of the 16 bytes from `position` are plain in a JSON string, before the first that is not. The buffer must
  /// have 16 bytes there.
  @inline(__always)
  func plainBytes(at position: Int) -> Int {
    Int(penstock_plain_bytes(baseAddress.unsafelyUnwrapped + position))
  }

  /// The position of the first line feed at or after `start`.
  func firstLineFeed(from start: Int) -> Int? {
    let lineFeed = UInt8(ascii: "\n")
    var position = start
    while position &+ 8 <= count {
      let found = EightBytes.equal(eightBytes(at: position), to: lineFeed)
      if found != 0 { return position &+ found.trailingZeroBitCount >> 3 }
      position &+= 8
    }
    while position < count {
      if self[position] == lineFeed { return position }
      position &+= 1
    }
    return nil
  }

  /// Whether the bytes from `position` equal `text`. The buffer must have as many bytes there. Two loads that may
  /// overlap cover every length of a name; a call of `memcmp` would cost more than the comparison.
  @inline(__always)
  func matches(_ text: StaticString, at position: Int) -> Bool {
    let (length, text) = (text.utf8CodeUnitCount, UnsafeRawPointer(text.utf8Start))
    let found = baseAddress.unsafelyUnwrapped + position
    if length >= 8 {
      var at = 0
      while at &+ 8 < length {
        if Self.word(found, at) as UInt64 != Self.word(text, at) { return false }
        at &+= 8
      }
      return Self.word(found, length &- 8) as UInt64 == Self.word(text, length &- 8)
    }
    if length >= 4 {
      return Self.word(found, 0) as UInt32 == Self.word(text, 0)
        && Self.word(found, length &- 4) as UInt32 == Self.word(text, length &- 4)
    }
    for index in 0..<length where Self.word(found, index) as UInt8 != Self.word(text, index) { return false }
    return true
  }

  @inline(__always)
  private static func word<Word: FixedWidthInteger & BitwiseCopyable>(_ pointer: UnsafeRawPointer, _ offset: Int)
    -> Word
  {
    pointer.loadUnaligned(fromByteOffset: offset, as: Word.self)
  }

  /// The bytes of `range` as a buffer of their own, counted from 0.
  @inline(__always)
  func part(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: self[range])
  }

  /// Whether a UTF-8 byte order mark comes first.
  var startsWithByteOrderMark: Bool {
    count >= 3 && self[0] == 0xEF && self[1] == 0xBB && self[2] == 0xBF
  }
}

/// Whether `byte` is white space to JSON (RFC 8259, section 2).
@inline(__always)
func isJSONWhitespace(_ byte: UInt8) -> Bool {
  byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\t")
}
