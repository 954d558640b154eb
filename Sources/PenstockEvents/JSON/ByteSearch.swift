/// Eight bytes looked at in one 64-bit word (the classic "has a zero byte" trick, Hacker's Delight 6-1).
///
/// Every function answers with the high bit of each byte that matches. Borrows may mark bytes above the first match
/// too, so only the lowest mark is exact: which is the one that is wanted, the words being read little-endian.
enum EightBytes {
  static let ones: UInt64 = 0x0101_0101_0101_0101
  static let highBits: UInt64 = 0x8080_8080_8080_8080

  @inline(__always)
  static func equal(_ word: UInt64, to byte: UInt8) -> UInt64 {
    let difference = word ^ (ones &* UInt64(byte))
    return (difference &- ones) & ~difference & highBits
  }

  /// Marks what may not stand unexamined within a JSON string: quote, backslash, control character, non-ASCII.
  @inline(__always)
  static func notPlain(_ word: UInt64) -> UInt64 {
    let control = (word &- (ones &* 0x20)) & ~word & highBits
    return equal(word, to: UInt8(ascii: "\"")) | equal(word, to: UInt8(ascii: "\\")) | control | (word & highBits)
  }
}

extension UnsafeRawBufferPointer {
  /// The eight bytes from `position`, the first in the lowest byte.
  @inline(__always)
  func eightBytes(at position: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: position, as: UInt64.self))
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
