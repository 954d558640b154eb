import PenstockDelivery
@testable import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockSinks
import PenstockSupport

/// What a large object keeps of its one rendering.
@Suite("Rows are rendered once", .timeLimit(.minutes(3))) struct RenderedOnceTests {
  private typealias Frames = FrameCopyTests

  private static func stream(_ compression: ExportCompression, _ storage: Frames.Storage) throws -> ExportStream {
    let plan = ExportPlan(key: "k", compression: compression, selection: .all)
    return ExportStream(batch: try Frames.batch(storage), plan: plan)
  }

  private static func form(_ stream: ExportStream, keeping limit: Int) throws -> (PreparedBody, StoredForm) {
    let body = try stream.prepare(keeping: limit)
    return (body, try #require(body.stream as? ExportStream).form)
  }

  private static func bytes(_ body: PreparedBody, by count: Int = 10_000) throws -> [UInt8] {
    var reader = try #require(body.stream).makeReader()
    var bytes: [UInt8] = []
    while case let piece = try reader.read(count), !piece.isEmpty {
      bytes += piece
      if piece.count < count { break }
    }
    return bytes
  }

  @Test(arguments: [.gzip(level: 1), .zstd(level: 3), .zstd(level: 9)] as [ExportCompression])
  func `all is kept below the bound, and its digest is that of the bytes that are sent`(
    compression: ExportCompression
  ) throws {
    for storage in [Frames.hot, Frames.plain, Frames.packed] {
      let (body, form) = try Self.form(try Self.stream(compression, storage), keeping: StoredForm.mostBytes)
      let bytes = try Self.bytes(body)
      #expect(form.rest == nil && form.count == bytes.count && form.digest == Digest.sha256(bytes))
      let isSame = form.pieces.flatMap { $0 } == bytes
      #expect(isSame && compression.decompress(bytes, count: Frames.rows.count) == Frames.rows)
    }
  }

  @Test(arguments: [.none, .gzip(level: 1), .zstd(level: 3), .zstd(level: 9)] as [ExportCompression])
  func `at any bound every reader gives equal bytes, and no more than the bound and a piece is kept`(
    compression: ExportCompression
  ) throws {
    for storage in [Frames.hot, Frames.plain, Frames.packed] {
      let stream = try Self.stream(compression, storage)
      let whole = try Self.bytes(try stream.prepare())
      for limit in [1, 50_000, 100_000, whole.count - 1, whole.count + 1] {
        let (body, form) = try Self.form(stream, keeping: limit)
        // An edge and the frame after it may go beyond it together.
        let piece = form.pieces.map(\.count).max() ?? 0
        #expect(form.count < limit + 2 * max(piece, 1), "\(limit)")
        #expect((form.digest != nil) == (form.rest == nil))
        for count in [7_000, .max] {
          let isEqual = try Self.bytes(body, by: count) == whole
          #expect(isEqual, "\(compression) at \(limit)")
        }
        let isKept = form.rest == nil
        if compression == .none { #expect(!isKept && form.count == 0) } else if limit > whole.count { #expect(isKept) }
      }
    }
  }

  @Test func `rows that no frame has yet when the bound is reached are in what is rendered again`() throws {
    let count = 2 * PieceCompressor.frameBytes / Frames.records[0].count
    let records = (0..<count).map { String(decoding: Frames.records[$0 % Frames.records.count], as: UTF8.self) }
    let plan = ExportPlan(key: "k", compression: .zstd(level: 1), selection: .all)
    let stream = ExportStream(batch: makeBatch(records), plan: plan)
    let (body, form) = try Self.form(stream, keeping: 1)
    let pending = try #require(form.rest).pending
    // A frame is no whole number of these rows.
    #expect(!pending.isEmpty && form.pieces.count == 1)
    let rows: [UInt8] = records.flatMap { Array($0.utf8) + [UInt8(10)] }
    let isWhole = ExportCompression.zstd().decompress(try Self.bytes(body, by: .max), count: rows.count) == rows
    #expect(isWhole && body.contentDigest == Digest.sha256(rows))
  }

  @Test func `what is kept of copied frames is the memory of the batch`() throws {
    let batch = try Frames.batch(Frames.packed)
    let (_, form) = try Self.form(ExportStream(batch: batch, plan: Frames.plan), keeping: .max)
    func places(_ arrays: [[UInt8]]) -> Set<UnsafeRawPointer> {
      Set(arrays.compactMap { $0.withUnsafeBytes { $0.baseAddress } })
    }
    #expect(places(form.pieces).isSuperset(of: places(batch.slices.compactMap(\.frame))))
  }

  @Test func `a stored object is hashed once for all attempts, and each signature names that hash`() async throws {
    let bucket = BucketInMemory { index, call in call == "put" && index < 4 ? .slowDown : nil }
    var configuration = Frames.configuration()
    configuration.partBytes = 1 << 20
    configuration.storage.checksum = .sha256
    let sink = try S3Sink(configuration, transport: bucket, clock: FixedClock())
    // Larger than a part before it is compressed: it is streamed, and fits into one part.
    var records = Frames.records
    while records.count < 4000 { records += Frames.records }
    let delivery = try makeDelivery(sink, makeBatch(records.map { String(decoding: $0, as: UTF8.self) }))
    let form = try #require(delivery.body.stream as? ExportStream).form
    var outcome = await sink.deliver(delivery)
    while outcome.isRetry { outcome = await sink.deliver(delivery) }
    #expect(outcome.isDelivered)
    let puts = bucket.requests.filter { $0.method == "PUT" && $0.url.contains("usages-") }
    #expect(puts.count > 1 && puts.allSatisfy { $0.body == puts[0].body })
    let digest = try #require(form.digest)
    #expect(digest == Digest.sha256(puts[0].body))
    #expect(puts.allSatisfy { $0.header("x-amz-content-sha256") == Digest.hex(digest) })
    #expect(puts.allSatisfy { $0.header("x-amz-checksum-sha256") == Digest.base64(digest) })
  }
}
