internal import CZstd

/// The only code that calls libzstd. Frames carry their content's size and a content checksum. They use no
/// dictionaries, so that stock tools read everything.
package enum Zstd {
  /// The library's version, as in "1.5.4".
  package static var version: String { String(cString: ZSTD_versionString()) }

  package static func compressBound(_ count: Int) -> Int { ZSTD_compressBound(count) }

  /// One frame holding `bytes`. Level −7 to 19; 1 is the log's own.
  package static func compress(_ bytes: UnsafeRawBufferPointer, level: Int) throws(LogError) -> [UInt8] {
    let compressor = try ZstdCompressor(level: level)
    var failure: LogError?
    let frame = [UInt8](unsafeUninitializedCapacity: compressBound(bytes.count)) { buffer, count in
      do throws(LogError) {
        count = try compressor.compress(bytes, into: UnsafeMutableRawBufferPointer(buffer))
      } catch {
        failure = error
        count = 0
      }
    }
    if let failure { throw failure }
    return frame
  }

  /// The content of one frame, which must be exactly `count` bytes.
  package static func decompress(_ frame: UnsafeRawBufferPointer, count: Int) throws(LogError) -> [UInt8] {
    try ZstdDecompressor().decompress(frame, count: count)
  }
}

/// A reusable compression context. Only one thread may use it at a time.
package final class ZstdCompressor {
  private let context: OpaquePointer

  package init(level: Int) throws(LogError) {
    guard let context = ZSTD_createCCtx() else { throw LogError(.io, "no memory for a zstd context") }
    self.context = context
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1)
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Compresses `bytes` as one frame into `buffer`, which must hold `Zstd.compressBound`; returns the frame's length.
  package func compress(
    _ bytes: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer
  ) throws(LogError) -> Int {
    let result = ZSTD_compress2(context, buffer.baseAddress, buffer.count, bytes.baseAddress, bytes.count)
    guard ZSTD_isError(result) == 0 else {
      throw LogError(.io, "zstd could not compress: \(String(cString: ZSTD_getErrorName(result)))")
    }
    return result
  }
}

/// A reusable decompression context. Only one thread may use it at a time.
///
/// `@unchecked Sendable`: the thread that takes it out of the pool is its only holder until it returns it.
package final class ZstdDecompressor: @unchecked Sendable {
  private let context: OpaquePointer?

  package init() { context = ZSTD_createDCtx() }

  deinit { ZSTD_freeDCtx(context) }

  /// Fills `buffer` with the content of one frame, which must be exactly as long.
  package func decompress(_ frame: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer) throws(LogError)
  {
    try check(
      ZSTD_decompressDCtx(context, buffer.baseAddress, buffer.count, frame.baseAddress, frame.count), buffer.count)
  }

  /// The content of one frame. Anything but exactly `count` bytes is an error; memory is bounded by `count`.
  func decompress(_ frame: UnsafeRawBufferPointer, count: Int) throws(LogError) -> [UInt8] {
    var result = 0
    let content = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      result = ZSTD_decompressDCtx(context, buffer.baseAddress, count, frame.baseAddress, frame.count)
      initialized = ZSTD_isError(result) == 0 ? result : 0
    }
    try check(result, count)
    return content
  }

  private func check(_ result: Int, _ count: Int) throws(LogError) {
    guard ZSTD_isError(result) == 0 else {
      throw LogError(.damaged, "a zstd frame does not decompress: \(String(cString: ZSTD_getErrorName(result)))")
    }
    guard result == count else {
      throw LogError(.damaged, "a zstd frame holds \(result) bytes, \(count) were expected")
    }
  }
}
