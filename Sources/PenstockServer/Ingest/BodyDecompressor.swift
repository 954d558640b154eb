import CZlib
import CZstd

/// How a body is compressed on its way.
package enum ContentCoding: String, Sendable, Hashable, CaseIterable {
  case identity, gzip, zstd

  /// The coding of a `Content-Encoding`; nil for one that is not taken, or more than one.
  package init?(header: String?) {
    guard let header else {
      self = .identity
      return
    }
    let name = header.lowercased().filter { $0 != " " && $0 != "\t" }
    self.init(rawValue: name == "x-gzip" ? "gzip" : name)
  }
}

/// Bytes that are not what their coding says.
package struct CodingError: Error, Sendable, Hashable {
  package let message: String
}

/// Decompresses a body piece by piece. Whatever the input claims to become, no more than one piece of output is held, so
/// whoever counts the pieces bounds both memory and work.
///
/// Not for two tasks at once.
package final class BodyDecompressor {
  private static let pieceBytes = 64 << 10
  /// The largest window that a zstd frame may ask for: 8 MiB, what RFC 8878 (3.1.1.1.2) asks every decoder to have.
  private static let windowLog: Int32 = 23

  private enum Engine {
    case identity
    case gzip(UnsafeMutablePointer<z_stream>)
    case zstd(OpaquePointer)
  }
  private let engine: Engine
  private var output: [UInt8] = []
  /// Whether the input stands between two members or frames, where it may end.
  private var isAtEnd = true

  package init(_ coding: ContentCoding) throws(CodingError) {
    switch coding {
    case .identity:
      engine = .identity
      return
    case .gzip:
      // In a place of its own: zlib remembers where it was called with it.
      let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
      stream.initialize(to: z_stream())
      // The largest window, with a gzip header.
      guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        stream.deallocate()
        throw CodingError(message: "gzip could not start")
      }
      engine = .gzip(stream)
    case .zstd:
      guard let stream = ZSTD_createDStream() else { throw CodingError(message: "zstd could not start") }
      ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, Self.windowLog)
      engine = .zstd(stream)
    }
    output = [UInt8](repeating: 0, count: Self.pieceBytes)
  }

  deinit {
    switch engine {
    case .identity: break
    case .gzip(let stream):
      inflateEnd(stream)
      stream.deallocate()
    case .zstd(let stream): ZSTD_freeDStream(stream)
    }
  }

  /// Bytes of memory it holds, more or less.
  package var heldBytes: Int {
    switch engine {
    case .identity: 0
    // zlib's own account of it (zconf.h): 32 KiB of window and about 7 KiB.
    case .gzip: Self.pieceBytes + 40_960
    case .zstd(let stream): Self.pieceBytes + ZSTD_sizeof_DStream(stream)
    }
  }

  /// Takes the next bytes of the body and calls `body` with what they become, in pieces.
  package func feed<Failure: Error>(
    _ input: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws {
    guard !input.isEmpty else { return }
    switch engine {
    case .identity: try body(input)
    case .gzip(let stream): try inflateAll(stream, input, body)
    case .zstd(let stream): try decompressAll(stream, input, body)
    }
  }

  /// Ends the body; throws when it stops within a member or a frame.
  package func finish() throws(CodingError) {
    if !isAtEnd { throw CodingError(message: "the compressed body stops in the middle") }
  }

  private func inflateAll<Failure: Error>(
    _ stream: UnsafeMutablePointer<z_stream>, _ input: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws {
    // zlib only reads its input; its interface is older than const.
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(input.count)
    while true {
      let hasInput = stream.pointee.avail_in > 0
      if isAtEnd {
        // Members may follow one another (RFC 1952, 2.2).
        guard hasInput else { return }
        inflateReset(stream)
        isAtEnd = false
      }
      var status = Z_OK
      let count = output.withUnsafeMutableBufferPointer { room in
        stream.pointee.next_out = room.baseAddress
        stream.pointee.avail_out = UInt32(room.count)
        status = inflate(stream, Z_NO_FLUSH)
        return room.count - Int(stream.pointee.avail_out)
      }
      if count > 0 { try output.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) } }
      if status == Z_STREAM_END { isAtEnd = true }
      guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
        throw CodingError(message: "the body is not gzip, or is damaged")
      }
      if !isAtEnd, stream.pointee.avail_in == 0, count < output.count { return }
    }
  }

  private func decompressAll<Failure: Error>(
    _ stream: OpaquePointer, _ input: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws {
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    while true {
      let before = source.pos
      var (count, status) = (0, 0)
      output.withUnsafeMutableBytes { room in
        var target = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
        status = ZSTD_decompressStream(stream, &target, &source)
        count = target.pos
      }
      if count > 0 { try output.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) } }
      guard ZSTD_isError(status) == 0 else {
        throw CodingError(message: "the body is not zstd, is damaged, or asks for a window above 8 MiB")
      }
      // Asked for more when there is no more, it answers as for a frame to come.
      if source.pos > before || count > 0 { isAtEnd = status == 0 }
      if source.pos == source.size, count < output.count { return }
    }
  }
}
