import PenstockDelivery
import PenstockLog

/// The compression of an exported object.
public enum ExportCompression: Sendable, Hashable {
  case none
  /// Level 1 to 9.
  case gzip(level: Int = 6)
  /// Level 1 to 19.
  case zstd(level: Int = 3)

  /// The suffix of the object's name.
  var suffix: String {
    switch self {
    case .none: ""
    case .gzip: ".gz"
    case .zstd: ".zst"
    }
  }

  var contentType: String {
    switch self {
    case .none: "application/x-ndjson"
    case .gzip: "application/gzip"
    case .zstd: "application/zstd"
    }
  }

  func validate() throws(SinkError) {
    switch self {
    case .none: break
    case .gzip(let level):
      if !(1...9).contains(level) { throw SinkError("the gzip level must be 1 to 9, not \(level)") }
    case .zstd(let level):
      if !(1...19).contains(level) { throw SinkError("the zstd level must be 1 to 19, not \(level)") }
    }
  }

  func compress(_ bytes: [UInt8]) throws(SinkError) -> [UInt8] {
    switch self {
    case .none: return bytes
    case .gzip(let level): return try Gzip.compress(bytes, level: level)
    case .zstd(let level):
      do {
        return try bytes.withUnsafeBytes { (bytes) throws(LogError) in try Zstd.compress(bytes, level: level) }
      } catch {
        throw SinkError("the body could not be compressed: \(error)")
      }
    }
  }

  /// Decompresses `bytes`. Returns nil unless they are the compressed form of exactly `count` bytes.
  func decompress(_ bytes: [UInt8], count: Int) -> [UInt8]? {
    switch self {
    case .none: bytes.count == count ? bytes : nil
    case .gzip: Gzip.decompress(bytes, count: count)
    case .zstd:
      try? bytes.withUnsafeBytes { (bytes) throws(LogError) in try Zstd.decompress(bytes, count: count) }
    }
  }
}
