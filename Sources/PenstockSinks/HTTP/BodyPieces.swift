import NIOCore

/// A long body in pieces of 128 KiB. A piece is copied into a network buffer when the connection takes it, so a request
/// that waits for its connection holds no copy. Larger pieces would be memory that the system has to clear each time.
struct BodyPieces: AsyncSequence, Sendable {
  static let size = 128 << 10
  /// A body of at most so many bytes is one piece.
  static let mostAtOnce = 16 << 10

  let bytes: [UInt8]

  func makeAsyncIterator() -> Iterator { Iterator(rest: bytes[...]) }

  struct Iterator: AsyncIteratorProtocol {
    var rest: ArraySlice<UInt8>

    mutating func next() async -> ByteBuffer? {
      guard !rest.isEmpty else { return nil }
      let piece = rest.prefix(BodyPieces.size)
      rest = rest.dropFirst(piece.count)
      return ByteBuffer(bytes: piece)
    }
  }
}
