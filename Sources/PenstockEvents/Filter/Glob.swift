/// A pattern over UTF-8: `*` matches any scalars, `?` one scalar, and a backslash makes the next byte literal.
struct Glob: Hashable, Sendable {
  private enum Piece: Hashable {
    case byte(UInt8)
    case one, many
  }
  private let pieces: [Piece]

  /// Nil for a backslash at the end, or before anything but `*`, `?` and itself. A later version may define these.
  init?(_ pattern: String) {
    var pieces: [Piece] = []
    var isEscaped = false
    for byte in pattern.utf8 {
      let isSpecial = byte == UInt8(ascii: "*") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "\\")
      if isEscaped {
        guard isSpecial else { return nil }
        pieces.append(.byte(byte))
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: "*") {
        if pieces.last != .many { pieces.append(.many) }
      } else {
        pieces.append(byte == UInt8(ascii: "?") ? .one : .byte(byte))
      }
    }
    if isEscaped { return nil }
    self.pieces = pieces
  }

  /// Whether the whole of `text`, which is well-formed UTF-8, matches. At most O(pattern · text): after a mismatch only
  /// the last `*` takes one scalar more, since what earlier ones took can stay.
  func matches(_ text: UnsafeRawBufferPointer) -> Bool {
    pieces.withUnsafeBufferPointer { pieces in
      var (piece, at) = (0, 0)
      var retry: (piece: Int, at: Int)?
      while at < text.count || piece < pieces.count {
        if piece < pieces.count {
          switch pieces[piece] {
          case .many:
            piece += 1
            retry = (piece, at)
            continue
          case .one where at < text.count:
            piece += 1
            at = Self.nextScalar(text, after: at)
            continue
          case .byte(let byte) where at < text.count && text[at] == byte:
            piece += 1
            at += 1
            continue
          default: break
          }
        }
        guard let last = retry, last.at < text.count else { return false }
        let moved = Self.nextScalar(text, after: last.at)
        retry = (last.piece, moved)
        (piece, at) = (last.piece, moved)
      }
      return true
    }
  }

  private static func nextScalar(_ text: UnsafeRawBufferPointer, after position: Int) -> Int {
    var next = position + 1
    while next < text.count, text[next] & 0xC0 == 0x80 { next += 1 }
    return next
  }
}
