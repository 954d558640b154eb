import CZlib
import CZstd

/// The compression of a request body.
package enum ContentCoding: String, Sendable, Hashable, CaseIterable {
  case identity, gzip, zstd

  /// The coding of a `Content-Encoding` header; nil for an unsupported coding, or for more than one.
  package init?(header: String?) {
    guard let header else {
      self = .identity
      return
    }
    let name = header.lowercased().filter { $0 != " " && $0 != "\t" }
    self.init(rawValue: name == "x-gzip" ? "gzip" : name)
  }
}

/// The body does not match its content coding.
package struct CodingError: Error, Sendable, Hashable {
  package let message: String
}

/// Decompresses a body in pieces. It holds at most one piece of output, whatever size the input claims. A caller that
/// counts the pieces therefore bounds both memory and work.
///
/// Not safe for use by two tasks at once.
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
  /// Whether the input is between two members or frames, where the body may end.
  private var isAtEnd = true

  package init(_ coding: ContentCoding) throws(CodingError) {
    switch coding {
    case .identity:
      engine = .identity
      return
    case .gzip:
      // Allocated separately: zlib keeps the address of its stream.
      let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
      stream.initialize(to: z_stream())
      // The largest window, with a gzip header.
      guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        stream.deallocate()
        throw CodingError(message: "the gzip decoder could not start")
      }
      engine = .gzip(stream)
    case .zstd:
      guard let stream = ZSTD_createDStream() else {
        throw CodingError(message: "the zstd decoder could not start")
      }
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

  /// Bytes of memory it holds, approximately.
  package var heldBytes: Int {
    switch engine {
    case .identity: 0
    // As zconf.h documents it: a window of 32 KiB and about 7 KiB of state.
    case .gzip: Self.pieceBytes + 40_960
    case .zstd(let stream): Self.pieceBytes + ZSTD_sizeof_DStream(stream)
    }
  }

  /// Decompresses the next bytes of the body and passes the output to `body`, in pieces.
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

  /// Ends the body.
  ///
  /// - Throws: an error when the body ends inside a member or a frame.
  package func finish() throws(CodingError) {
    if !isAtEnd { throw CodingError(message: "the compressed body is truncated") }
  }

  private func inflateAll<Failure: Error>(
    _ stream: UnsafeMutablePointer<z_stream>, _ input: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws {
    // zlib only reads its input; its API predates const.
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
      // At the end of the input zstd asks for the header of a next frame; that is no progress, so `isAtEnd` must not
      // change.
      if source.pos > before || count > 0 { isAtEnd = status == 0 }
      if source.pos == source.size, count < output.count { return }
    }
  }
}
