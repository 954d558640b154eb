package import PenstockDelivery
import PenstockLog

/// Compresses input that arrives in pieces.
///
/// zstd: one frame per 4 MiB of rows, and one for the rows before a copied frame; consecutive frames are one valid zstd
/// file. gzip: a single member, because some readers stop after the first.
package struct PieceCompressor {
  private enum Method {
    case none
    case gzip(Gzip.Stream, level: Int)
    case zstd(level: Int)
  }

  private var method: Method
  private var rows: [UInt8]
  static let frameBytes = 4 << 20

  package init(_ compression: ExportCompression) { self.init(compression, pending: []) }

  /// - Parameter pending: Rows that are not in a frame yet; see ``pending``.
  init(_ compression: ExportCompression, pending: [UInt8]) {
    rows = pending
    method =
      switch compression {
      case .none: .none
      case .gzip(let level): .gzip(Gzip.Stream(), level: level)
      case .zstd(let level): .zstd(level: level)
      }
  }

  /// Rows that are not in a frame yet. With zstd, they are all that a compressor must know to continue.
  var pending: [UInt8] { rows }

  package mutating func add(_ piece: [UInt8], to output: inout [UInt8]) throws(SinkError) {
    switch method {
    case .none: output += piece
    case .gzip(let stream, let level): try stream.compress(piece, level: level, ends: false, into: &output)
    case .zstd(let level):
      rows += piece
      var start = 0
      while rows.count - start >= Self.frameBytes {
        try Self.frame(rows[start..<start + Self.frameBytes], level, &output)
        start += Self.frameBytes
      }
      rows.removeFirst(start)
    }
  }

  /// Adds a zstd frame unchanged, after the pending rows.
  mutating func add(frame: [UInt8], to output: inout [UInt8]) throws(SinkError) {
    try finish(&output)
    output += frame
  }

  package mutating func finish(_ output: inout [UInt8]) throws(SinkError) {
    switch method {
    case .none: break
    case .gzip(let stream, let level): try stream.compress([], level: level, ends: true, into: &output)
    case .zstd(let level): if !rows.isEmpty { try Self.frame(rows[...], level, &output) }
    }
    rows = []
  }

  private static func frame(_ rows: ArraySlice<UInt8>, _ level: Int, _ output: inout [UInt8]) throws(SinkError) {
    let rows = Array(rows)
    let frame: [UInt8]
    do {
      frame = try rows.withUnsafeBytes { (rows) throws(LogError) in try Zstd.compress(rows, level: level) }
    } catch {
      throw SinkError("the body could not be compressed: \(error)")
    }
    output += frame
  }
}
