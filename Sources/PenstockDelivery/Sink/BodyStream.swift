/// A body that is rendered while it is sent, again for each reader.
///
/// Every reader returns equal content, of which the digest is. The bytes may differ, with another compressor or other
/// blocks. A sink must never join bytes of two readers in one object without proof that they are equal.
public protocol BodyStream: Sendable {
  /// Makes a reader at the beginning of the body.
  func makeReader() -> any BodyReader
}

/// Reads a ``BodyStream`` once.
public protocol BodyReader {
  /// The next `count` bytes; fewer, or none, only at the end.
  mutating func read(_ count: Int) throws(SinkError) -> [UInt8]
}
