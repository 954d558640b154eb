import CZlib
import PenstockDelivery

/// gzip (RFC 1952) with zlib: one member, no name, modification time 0. So equal content gives equal bytes.
enum Gzip {
  static func compress(_ bytes: [UInt8], level: Int) throws(SinkError) -> [UInt8] {
    var stream = z_stream()
    let status = deflateInit2_(
      &stream, Int32(level), Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else { throw SinkError("gzip could not start (\(Gzip.words(status)))") }
    defer { deflateEnd(&stream) }
    guard let output = run(&stream, bytes, capacity: Int(deflateBound(&stream, uLong(bytes.count))), deflate) else {
      throw SinkError("the body could not be compressed by gzip")
    }
    return output
  }

  /// Nil when `bytes` are not one gzip member of exactly `count` bytes. Memory is bounded by `count`.
  static func decompress(_ bytes: [UInt8], count: Int) -> [UInt8]? {
    var stream = z_stream()
    guard inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      return nil
    }
    defer { inflateEnd(&stream) }
    // One byte more than expected, so that a longer content shows.
    guard let output = run(&stream, bytes, capacity: count + 1, inflate), output.count == count,
      Int(stream.total_in) == bytes.count
    else { return nil }
    return output
  }

  /// zlib's name of a status.
  fileprivate static func words(_ status: Int32) -> String {
    guard let text = zError(status) else { return "zlib status \(status)" }
    return String(cString: text)
  }

  /// The largest window, with a gzip header and trailer instead of zlib's.
  fileprivate static let windowBits: Int32 = 15 + 16

  /// Runs zlib over the whole input. Returns nil unless the stream ends within `capacity`. zlib counts in 32 bits, so
  /// both buffers are passed in pieces.
  private static func run(
    _ stream: inout z_stream, _ input: [UInt8], capacity: Int,
    _ step: (UnsafeMutablePointer<z_stream>, Int32) -> Int32
  ) -> [UInt8]? {
    let piece = 1 << 30
    var ended = false
    let output = [UInt8](unsafeUninitializedCapacity: capacity) { output, written in
      var input = input
      input.withUnsafeMutableBufferPointer { input in
        var consumed = 0
        while true {
          let inputPiece = min(piece, input.count - consumed)
          let outputPiece = min(piece, capacity - written)
          stream.next_in = input.baseAddress.map { $0 + consumed }
          stream.avail_in = UInt32(inputPiece)
          stream.next_out = output.baseAddress.map { $0 + written }
          stream.avail_out = UInt32(outputPiece)
          let isLast = consumed + inputPiece == input.count
          let status = step(&stream, isLast ? Z_FINISH : Z_NO_FLUSH)
          let taken = inputPiece - Int(stream.avail_in)
          let given = outputPiece - Int(stream.avail_out)
          consumed += taken
          written += given
          if status == Z_STREAM_END {
            ended = true
            return
          }
          guard status == Z_OK || status == Z_BUF_ERROR, taken + given > 0 else { return }
        }
      }
    }
    return ended ? output : nil
  }
}

extension Gzip {
  /// Compresses one gzip member in pieces. Only one thread may use it at a time.
  final class Stream {
    // At a stable address, because zlib stores a pointer to it.
    private let stream: UnsafeMutablePointer<z_stream>
    private var isOpen = false
    private static let roomBytes = 65_536

    init() {
      stream = .allocate(capacity: 1)
      stream.initialize(to: z_stream())
    }

    deinit {
      if isOpen { deflateEnd(stream) }
      stream.deallocate()
    }

    /// Compresses `bytes` and appends the output that is available. With `ends`, completes the member.
    func compress(_ bytes: [UInt8], level: Int, ends: Bool, into output: inout [UInt8]) throws(SinkError) {
      if !isOpen {
        let status = deflateInit2_(
          stream, Int32(level), Z_DEFLATED, Gzip.windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
          Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else { throw SinkError("gzip could not start (\(Gzip.words(status)))") }
        isOpen = true
      }
      // A block's rows are far below what zlib counts in 32 bits.
      guard bytes.count <= Int(Int32.max) else {
        throw SinkError("a piece of \(bytes.count) bytes is too large for gzip")
      }
      var status = Z_OK
      var input = bytes
      input.withUnsafeMutableBufferPointer { input in
        stream.pointee.next_in = input.baseAddress
        stream.pointee.avail_in = UInt32(input.count)
        repeat {
          let room = [UInt8](unsafeUninitializedCapacity: Self.roomBytes) { room, count in
            stream.pointee.next_out = room.baseAddress
            stream.pointee.avail_out = UInt32(room.count)
            status = deflate(stream, ends ? Z_FINISH : Z_NO_FLUSH)
            count = room.count - Int(stream.pointee.avail_out)
          }
          output += room
        } while status == Z_OK && stream.pointee.avail_out == 0
      }
      // Z_BUF_ERROR only means that there was nothing to do.
      guard status == (ends ? Z_STREAM_END : Z_OK) || (!ends && status == Z_BUF_ERROR) else {
        throw SinkError("the body could not be compressed by gzip (\(Gzip.words(status)))")
      }
    }
  }
}
