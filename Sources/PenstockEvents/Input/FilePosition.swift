/// How far in a growing file a reader came, and which file it was: a position with fingerprints of what stands before
/// it.
///
/// A position alone cannot tell a file from the one that took its name: a rotated log as long as the old one would be
/// read from its middle. So the place keeps a hash of the file's beginning and one of the line before the position,
/// each of at most ``window`` bytes. A file that has grown still has both, and so has a copy of it; a file that was
/// replaced, or cut and written again, has not. 64-bit FNV-1a, which is no defence against somebody who makes up an
/// equal beginning.
///
/// Written as `2 POSITION BEGINNING LINE`, the hashes in hexadecimal: at most 57 bytes. Releases before wrote the
/// position alone.
package struct FilePosition: Hashable, Sendable {
  /// Bytes that a fingerprint looks at, at most.
  package static let window = 4096

  /// One past the last byte of the last record that was taken. The record's line end follows.
  package let position: Int
  package let beginning: UInt64
  package let line: UInt64

  /// - Parameters:
  ///   - beginning: The file's first ``window`` bytes, or all that were read.
  ///   - record: What stands before the position, at least from the last line's beginning or ``window`` bytes on.
  package init(position: Int, beginning: [UInt8], record: some Collection<UInt8>) {
    self.position = position
    self.beginning = Self.hash(beginning.prefix(min(Self.window, position)))
    line = Self.hash(Self.lastLine(record))
  }

  package var encoded: [UInt8] { Array("2 \(position) \(Self.hex(beginning)) \(Self.hex(line))".utf8) }

  /// What a kept place says.
  package enum Kept: Hashable, Sendable {
    /// Nothing was taken yet.
    case none
    /// Of a release that kept no fingerprints.
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

  /// Where to begin in a file.
  package enum Decision: Hashable, Sendable {
    /// At a byte; 0 for a source that took nothing yet.
    case begin(at: Int)
    /// At a byte, on the word of an earlier release alone: nothing proves that it is the same file.
    case unproven(at: Int)
    /// It is not the file that the place is of; why.
    case otherFile(String)
    /// The source holds something else than a place in a file.
    case notAPlace
  }

  /// - Parameters:
  ///   - kept: What was kept with the last append.
  ///   - size: The file's, in bytes.
  ///   - read: The file's bytes in a range that lies within `size`; fewer where the file was cut meanwhile.
  package static func decide<Failure: Error>(
    _ kept: Kept, size: Int, read: (Range<Int>) throws(Failure) -> [UInt8]
  ) throws(Failure) -> Decision {
    let position: Int
    switch kept {
    case .none: return .begin(at: 0)
    case .unknown: return .notAPlace
    case .position(let known), .place(let known, _, _): position = known
    }
    guard position > 0 else { return .begin(at: 0) }
    guard position <= size else { return .otherFile("it ends at byte \(size), before byte \(position)") }
    // A record that was taken has its line end behind it, or was the last of a file that is complete.
    let next = try read(position..<min(size, position + 2))
    guard next.isEmpty || next[0] == UInt8(ascii: "\n") || next == [UInt8(ascii: "\r"), UInt8(ascii: "\n")] else {
      return .otherFile("no line ends at byte \(position)")
    }
    guard case .place(_, let beginning, let line) = kept else { return .unproven(at: position) }
    let found = Self(
      position: position, beginning: try read(0..<min(window, position)),
      record: try read(max(0, position - window)..<position))
    guard found.beginning == beginning else { return .otherFile("it begins with other bytes") }
    guard found.line == line else { return .otherFile("another line stands before byte \(position)") }
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
