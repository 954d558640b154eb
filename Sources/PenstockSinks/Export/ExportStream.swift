import Crypto
import PenstockDelivery
import PenstockEvents
import PenstockLog

/// Renders and compresses a batch once: rows are compressed while they are hashed, and the compressed bytes are kept.
/// Memory: the batch, what is kept, the rows of one block, one frame or window of the compressor, and the requested
/// bytes.
///
/// If the plan allows it, a block that is completely in the batch is not rendered and compressed. Instead, its
/// compressed frame is copied from the log. The digest still is of the content: SHA-256 of what the frame decompresses
/// to, or CRC-32C as the block's trailer says it, and then nothing is decompressed.
struct ExportStream: BodyStream {
  let batch: Batch
  let plan: ExportPlan
  /// What is kept of the stored form.
  private(set) var form: StoredForm

  init(batch: Batch, plan: ExportPlan) {
    self.batch = batch
    self.plan = plan
    form = StoredForm(rendering: batch, plan)
  }

  /// - Parameter limit: The most bytes to keep.
  func prepare(keeping limit: Int = StoredForm.mostBytes) throws(SinkError) -> PreparedBody {
    var digest = ContentHasher(plan.digest)
    var rows = RowIterator(batch: batch, plan)
    var form = StoredForm.Builder(batch, plan, limit: limit)
    var piece: [UInt8] = []
    while true {
      if let slice = rows.nextCopied(), let frame = slice.frame {
        digest.update(block: slice)
        try form.add(frame: frame, before: rows)
        continue
      }
      piece.removeAll(keepingCapacity: true)
      guard rows.next(&piece) else { break }
      digest.update(piece)
      try form.add(piece, before: rows)
    }
    var body = PreparedBody(
      bytes: [], contentDigest: digest.finish(), contentLength: digest.length, eventCount: batch.count)
    var stream = self
    stream.form = try form.finish()
    body.stream = stream
    return body
  }

  /// Prepares the body with its bytes in memory.
  func prepareWhole() throws(SinkError) -> PreparedBody {
    var body = try prepare(keeping: .max)
    var reader = body.stream?.makeReader() ?? makeReader()
    body.bytes = try reader.read(.max)
    body.stream = nil
    return body
  }

  func makeReader() -> any BodyReader { ExportReader(form, plan) }
}

/// The bytes of an object as they are stored, as far as they are kept. What is not kept is rendered again by each
/// reader; with equal content, and in one process equal bytes.
struct StoredForm: Sendable {
  /// Where rendering continues.
  struct Rest: Sendable {
    var rows: RowIterator
    /// Rows before it that are not compressed yet.
    var pending: [UInt8] = []
  }
  /// From the beginning on. The log's own frames share the memory of the batch.
  private(set) var pieces: [[UInt8]] = []
  private(set) var count = 0
  /// What follows the pieces; nil when all is kept.
  private(set) var rest: Rest?
  /// SHA-256 of all bytes; nil unless all are kept.
  private(set) var digest: [UInt8]?

  /// So many bytes are kept of one object. With the usual 64 MiB of rows, it is half of them: usage events take a
  /// tenth. Rows that compress so badly that they take more are rendered again from there on.
  static let mostBytes = 32 << 20
  /// Smaller outputs of a compressor are joined.
  private static let pieceBytes = 256 << 10

  /// Nothing is kept.
  init(rendering batch: Batch, _ plan: ExportPlan) { rest = Rest(rows: RowIterator(batch: batch, plan)) }

  /// Keeps what one rendering gives.
  struct Builder {
    private var form: StoredForm
    private let none: StoredForm
    private let compression: ExportCompression
    private var compressor: PieceCompressor
    private var output: [UInt8] = []
    private var hash = SHA256()
    private let limit: Int

    init(_ batch: Batch, _ plan: ExportPlan, limit: Int) {
      none = StoredForm(rendering: batch, plan)
      form = none
      compression = plan.compression
      compressor = PieceCompressor(plan.compression)
      self.limit = limit
      // Rows that are not compressed are in memory already, in the batch. A second form would double it.
      if compression != .none || limit == .max { form.rest = nil }
    }

    private var keeps: Bool { form.rest == nil }

    /// - Parameter rows: Where rendering continues after this piece.
    mutating func add(_ piece: [UInt8], before rows: RowIterator) throws(SinkError) {
      guard keeps else { return }
      try compressor.add(piece, to: &output)
      if output.count >= StoredForm.pieceBytes { keepOutput() }
      stop(before: rows)
    }

    mutating func add(frame: [UInt8], before rows: RowIterator) throws(SinkError) {
      guard keeps else { return }
      try compressor.finish(&output)
      keepOutput()
      keep(frame)
      stop(before: rows)
    }

    mutating func finish() throws(SinkError) -> StoredForm {
      guard keeps else { return form }
      try compressor.finish(&output)
      keepOutput()
      form.digest = Array(hash.finalize())
      return form
    }

    private mutating func keepOutput() {
      if !output.isEmpty { keep(output) }
      output = []
    }

    private mutating func keep(_ piece: [UInt8]) {
      piece.withUnsafeBytes { hash.update(bufferPointer: $0) }
      form.count += piece.count
      form.pieces.append(piece)
    }

    /// Keeps no more at the limit. A gzip member has one state from its beginning to its end, so it is not continued.
    private mutating func stop(before rows: RowIterator) {
      guard form.count + output.count >= limit else { return }
      guard case .zstd = compression else { return form = none }
      keepOutput()
      form.rest = Rest(rows: rows, pending: compressor.pending)
    }
  }
}

/// Reads a stored form from its beginning.
struct ExportReader: BodyReader {
  private let pieces: [[UInt8]]
  private var next = 0
  private var rows: RowIterator?
  private var compressor: PieceCompressor
  /// Compressed bytes that were not read yet.
  private var ready: [UInt8] = []
  /// The rows of one block.
  private var piece: [UInt8] = []
  private let kept: Int
  private static let reservedUpTo = 64 << 20

  init(_ form: StoredForm, _ plan: ExportPlan) {
    pieces = form.pieces
    kept = form.count
    rows = form.rest?.rows
    compressor = PieceCompressor(plan.compression, pending: form.rest?.pending ?? [])
  }

  mutating func read(_ count: Int) throws(SinkError) -> [UInt8] {
    // A growing array copies itself each time and fragments the heap. Reserved pages that are never written cost
    // nothing.
    let most = rows == nil ? min(count, kept) : count
    if ready.count < count, most <= Self.reservedUpTo { ready.reserveCapacity(most + PieceCompressor.frameBytes / 4) }
    while ready.count < count, try more() {}
    // The returned part is large and the rest is small, so copy the rest.
    let rest = Array(ready.dropFirst(count))
    defer { ready = rest }
    ready.removeLast(rest.count)
    return ready
  }

  /// Adds to ``ready``; false at the end.
  private mutating func more() throws(SinkError) -> Bool {
    if next < pieces.count {
      ready += pieces[next]
      next += 1
      return true
    }
    guard rows != nil else { return false }
    piece.removeAll(keepingCapacity: true)
    if let frame = rows?.nextCopied()?.frame {
      try compressor.add(frame: frame, to: &ready)
    } else if rows?.next(&piece) == true {
      try compressor.add(piece, to: &ready)
    } else {
      try compressor.finish(&ready)
      rows = nil
    }
    return true
  }
}
