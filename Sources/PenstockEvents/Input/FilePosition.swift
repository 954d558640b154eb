/// How far a reader has read in a growing file, and in which file: a position with fingerprints of the bytes before it.
///
/// A position alone does not distinguish a file from another that took its name. A rotated log as long as the old one
/// would be read from its middle. So the position has a hash of the file's beginning and one of the line before the
/// position, each of at most ``window`` bytes. A file that has grown still has both, and so has a copy of it. A file
/// that was replaced, or truncated and written again, has not. The hash is 64-bit FNV-1a, which is no defence against a
/// deliberately forged beginning.
///
/// Written as `2 POSITION BEGINNING LINE`, the hashes in hexadecimal: at most 57 bytes. The older form is the position
/// alone.
package struct FilePosition: Hashable, Sendable {
  /// The most bytes that a fingerprint covers.
  package static let window = 4096

  /// One past the last byte of the last appended record. The record's line ending follows.
  package let position: Int
  package let beginning: UInt64
  package let line: UInt64

  /// - Parameters:
  ///   - beginning: The file's first ``window`` bytes, or all that were read.
  ///   - record: The bytes before the position, at least from the last line's beginning, or ``window`` of them.
  package init(position: Int, beginning: [UInt8], record: some Collection<UInt8>) {
    self.position = position
    self.beginning = Self.hash(beginning.prefix(min(Self.window, position)))
    line = Self.hash(Self.lastLine(record))
  }

  package var encoded: [UInt8] { Array("2 \(position) \(Self.hex(beginning)) \(Self.hex(line))".utf8) }

  /// A stored position, decoded.
  package enum StoredPosition: Hashable, Sendable {
    /// Nothing was appended yet.
    case none
    /// The older form, without fingerprints.
    case position(Int)
    case place(position: Int, beginning: UInt64, line: UInt64)
    /// Not written by this program.
    case unknown

    package init(_ source: [UInt8]) {
      let text = String(decoding: source, as: UTF8.self)
      if text.isEmpty {
        self = .none
      } else if let position = Int(text), position >= 0 {
        self = .position(position)
      } else {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "2", let position = Int(parts[1]), position > 0,
          let beginning = UInt64(parts[2], radix: 16), let line = UInt64(parts[3], radix: 16)
        else {
          self = .unknown
          return
        }
        self = .place(position: position, beginning: beginning, line: line)
      }
    }
  }

  /// Where to begin reading a file.
  package enum Decision: Hashable, Sendable {
    /// At a byte; 0 for a source that has appended nothing yet.
    case begin(at: Int)
    /// At a byte, from the older form alone: nothing proves that it is the same file.
    case unproven(at: Int)
    /// The position belongs to another file; the text says why.
    case otherFile(String)
    /// The source holds something other than a position in a file.
    case notAPlace
  }

  /// - Parameters:
  ///   - kept: The position that was stored with the last append.
  ///   - size: The file's size, in bytes.
  ///   - read: Returns the file's bytes in a range within `size`; fewer when the file was truncated meanwhile.
  package static func decide<Failure: Error>(
    _ kept: StoredPosition, size: Int, read: (Range<Int>) throws(Failure) -> [UInt8]
  ) throws(Failure) -> Decision {
    let position: Int
    switch kept {
    case .none: return .begin(at: 0)
    case .unknown: return .notAPlace
    case .position(let known), .place(let known, _, _): position = known
    }
    guard position > 0 else { return .begin(at: 0) }
    guard position <= size else { return .otherFile("it ends at byte \(size), before byte \(position)") }
    // An appended record is followed by its line ending, or was the last one of a complete file.
    let next = try read(position..<min(size, position + 2))
    guard next.isEmpty || next[0] == UInt8(ascii: "\n") || next == [UInt8(ascii: "\r"), UInt8(ascii: "\n")] else {
      return .otherFile("no line ends at byte \(position)")
    }
    guard case .place(_, let beginning, let line) = kept else { return .unproven(at: position) }
    let found = Self(
      position: position, beginning: try read(0..<min(window, position)),
      record: try read(max(0, position - window)..<position))
    guard found.beginning == beginning else { return .otherFile("it begins with other bytes") }
    guard found.line == line else { return .otherFile("another line comes before byte \(position)") }
    return .begin(at: position)
  }

  private static func lastLine(_ bytes: some Collection<UInt8>) -> ArraySlice<UInt8> {
    let tail = Array(bytes.suffix(window))
    return tail.lastIndex(of: UInt8(ascii: "\n")).map { tail[($0 + 1)...] } ?? tail[...]
  }

  private static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  private static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
