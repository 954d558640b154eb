import Crypto
package import PenstockDelivery
import PenstockEvents
import PenstockLog

/// Renders and compresses a batch in pieces. Memory: the batch, the rows of one block, one frame or window of the
/// compressor, and the requested bytes.
///
/// If the plan allows it, a block that is completely in the batch is not rendered and compressed. Instead, its
/// compressed frame is copied from the log. The digest still covers the content: the bytes that were decompressed from
/// that frame.
struct ExportStream: BodyStream {
  let batch: Batch
  let plan: ExportPlan

  /// The first of two renderings. Keeps only its digest and length.
  func prepare() throws(SinkError) -> PreparedBody {
    var hash = SHA256()
    var length = 0
    var rows = RowIterator(batch: batch, plan)
    var piece: [UInt8] = []
    while true {
      if let slice = rows.nextCopied() {
        slice.payload.withUnsafeBytes { hash.update(bufferPointer: $0) }
        length += slice.payloadCount
        continue
      }
      guard rows.next(&piece) else { break }
      piece.withUnsafeBytes { hash.update(bufferPointer: $0) }
      length += piece.count
      piece.removeAll(keepingCapacity: true)
    }
    var body = PreparedBody(
      bytes: [], contentDigest: Array(hash.finalize()), contentLength: length, eventCount: batch.count)
    body.stream = self
    return body
  }

  /// Prepares the body with its bytes in memory.
  func prepareWhole() throws(SinkError) -> PreparedBody {
    var body = try prepare()
    var reader = ExportReader(self)
    body.bytes = try reader.read(.max)
    body.stream = nil
    return body
  }

  func makeReader() -> any BodyReader { ExportReader(self) }
}

/// Iterates over the rows of a batch, which is selected already: one block at a time, or a piece of what was copied.
struct RowIterator {
  private let batch: Batch
  private var renderer = NDJSONRenderer()
  /// The next block, or the next selected record.
  private var next = 0
  private let acceptsCompressedFrames: Bool
  /// A smaller frame compresses much worse than a large one, so its records are compressed again.
  static let leastCopied = 64 << 10
  private static let pieceRecords = 4_096

  init(batch: Batch, _ plan: ExportPlan) {
    self.batch = batch
    acceptsCompressedFrames = plan.acceptsCompressedFrames
  }

  /// The frame to copy for these records, if any.
  static func copiedFrame(_ slice: BlockSlice) -> [UInt8]? {
    slice.payloadCount >= leastCopied ? slice.frame : nil
  }

  /// Advances past the next block if its frame is copied, and returns it.
  mutating func nextCopied() -> BlockSlice? {
    guard acceptsCompressedFrames, next < batch.slices.count, Self.copiedFrame(batch.slices[next]) != nil else {
      return nil
    }
    defer { next += 1 }
    return batch.slices[next]
  }

  /// Appends the next rows; false at the end.
  mutating func next(_ output: inout [UInt8]) -> Bool {
    let count = batch.selected?.count ?? batch.slices.count
    guard next < count else { return false }
    if next == 0 { renderer.begin(&output) }
    if let selected = batch.selected {
      let piece = next..<min(count, next + Self.pieceRecords)
      selected.forEachRecord(in: piece) { renderer.append($0.bytes, to: &output) }
      next = piece.upperBound
    } else {
      batch.slices[next].forEachRecord { renderer.append($0.bytes, to: &output) }
      next += 1
    }
    if next == count { renderer.finish(&output) }
    return true
  }
}

/// Reads an ``ExportStream`` from its beginning.
struct ExportReader: BodyReader {
  private var rows: RowIterator
  private var compressor: PieceCompressor
  /// Compressed bytes that were not read yet.
  private var ready: [UInt8] = []
  private var hasEnded = false
  private let plan: ExportPlan
  private static let reservedUpTo = 64 << 20

  init(_ stream: ExportStream) {
    plan = stream.plan
    rows = RowIterator(batch: stream.batch, stream.plan)
    compressor = PieceCompressor(stream.plan.compression)
  }

  mutating func read(_ count: Int) throws(SinkError) -> [UInt8] {
    // A growing array copies itself each time and fragments the heap. Reserved pages that are never written cost
    // nothing.
    if !hasEnded, count <= Self.reservedUpTo { ready.reserveCapacity(count + PieceCompressor.frameBytes / 4) }
    var piece: [UInt8] = []
    while ready.count < count, !hasEnded {
      if let frame = rows.nextCopied()?.frame {
        try compressor.add(frame: frame, to: &ready)
        continue
      }
      piece.removeAll(keepingCapacity: true)
      if rows.next(&piece) {
        try compressor.add(piece, to: &ready)
      } else {
        try compressor.finish(&ready)
        hasEnded = true
      }
    }
    // The returned part is large and the rest is small, so copy the rest.
    let rest = Array(ready.dropFirst(count))
    defer { ready = rest }
    ready.removeLast(rest.count)
    return ready
  }
}

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
  private var rows: [UInt8] = []
  static let frameBytes = 4 << 20

  package init(_ compression: ExportCompression) {
    method =
      switch compression {
      case .none: .none
      case .gzip(let level): .gzip(Gzip.Stream(), level: level)
      case .zstd(let level): .zstd(level: level)
      }
  }

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
