import PenstockDelivery
import PenstockEvents
@testable import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockSinks
import PenstockSupport

/// Objects that are made of the log's own frames.
@Suite("Frames that are copied", .timeLimit(.minutes(3))) struct FrameCopyTests {
  private let disk = SimulatedFileSystem()

  /// How a log holds the same records at one time: sealing makes other blocks and other frames of them.
  struct Storage: Sendable {
    var recordsPerBlock: Int
    var level: Int
    /// Nil keeps no frames, as blocks do that were cached before anybody asked.
    var retainsCompressedFrames = true
    /// As in a large batch.
    var isPacked = false
  }
  static let hot = Storage(recordsPerBlock: 140, level: 1)
  static let sealed = Storage(recordsPerBlock: 210, level: 5)
  static let plain = Storage(recordsPerBlock: 100, level: 1, retainsCompressedFrames: false)
  static let packed = Storage(recordsPerBlock: 140, level: 1, isPacked: true)
  private static let readers = BlockReaders()

  /// 700 rows of 600 bytes that do not compress well.
  static let records: [[UInt8]] = {
    var random = SplitMix64(seed: 5)
    return (0..<700).map { number in
      var text = "{\"n\":\(number),\"text\":\""
      while text.utf8.count < 597 { text += String(random.next(), radix: 16) }
      return Array((text.prefix(597) + "\"}").utf8)
    }
  }()
  /// Cuts the first and the last block of every storage.
  static let range = 20..<685
  static let rows: [UInt8] = records[range].flatMap { $0 + [10] }

  static func batch(_ storage: Storage, _ range: Range<Int> = range) throws -> Batch {
    var slices: [BlockSlice] = []
    for start in stride(from: 0, to: records.count, by: storage.recordsPerBlock) {
      let block = start..<min(start + storage.recordsPerBlock, records.count)
      let wanted = block.clamped(to: range)
      if wanted.isEmpty { continue }
      var (payload, ends) = ([UInt8](), [UInt32]())
      for record in records[block] {
        payload += record
        ends.append(UInt32(payload.count))
        payload.append(10)
      }
      let frame = try payload.withUnsafeBytes { try Zstd.compress($0, level: storage.level) }
      let decoded = DecodedBlock(
        baseOffset: Offset(UInt64(start)), appendTimes: AppendTimes(Timestamp(nanoseconds: 0)),
        payload: BlockPayload(payload), ends: ends, frame: storage.retainsCompressedFrames ? frame : nil)
      let slice = BlockSlice(block: decoded, indices: (wanted.lowerBound - start)..<(wanted.upperBound - start))
      slices.append(storage.isPacked ? slice.packed(unpackedBy: readers) : slice)
    }
    return Batch(slices: slices)
  }

  static let plan = ExportPlan(key: "k", compression: .zstd(level: 3), selection: .all)

  static func content(_ bytes: [UInt8]) -> [UInt8]? { ExportCompression.zstd().decompress(bytes, count: rows.count) }

  /// Where `part` stands in `bytes`.
  private func holds(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    guard let first = part.first else { return true }
    return bytes.indices.contains { at in
      bytes[at] == first && at + part.count <= bytes.count && bytes[at..<at + part.count].elementsEqual(part)
    }
  }

  @Test
  func `are in the object as they are, between edges that are compressed again; the digest is of the rows`() throws {
    for storage in [Self.hot, Self.sealed, Self.plain, Self.packed] {
      let batch = try Self.batch(storage)
      let whole = try Self.plan.prepare(batch)
      let streamed = try Self.plan.prepare(batch, streamingAbove: 1000)
      var reader = try #require(streamed.stream).makeReader()
      var pieces: [UInt8] = []
      while case let piece = try reader.read(10_000), !piece.isEmpty { pieces += piece }
      for (body, bytes) in [(whole, whole.bytes), (streamed, pieces)] {
        #expect(body.contentDigest == Digest.sha256(Self.rows) && body.contentLength == Self.rows.count)
        #expect(body.eventCount == Self.range.count && Self.content(bytes) == Self.rows)
        let frames = batch.slices.compactMap(\.frame)
        #expect(frames.count == (storage.retainsCompressedFrames ? batch.slices.count - 2 : 0))
        let areCopied = frames.allSatisfy { holds(bytes, $0) }
        #expect(areCopied)
      }
    }
  }

  @Test func `are copied where nothing is selected, filtered or compressed harder, and they are large enough`() throws {
    var wanted = EventFilter.Terms()
    wanted.types = [.page]
    let filter = try EventFilter(including: wanted)
    let selection = FieldSelection(keeping: [])
    let others = [
      ExportPlan(key: "k", compression: .none, selection: .all),
      ExportPlan(key: "k", compression: .gzip(level: 1), selection: .all),
      ExportPlan(key: "k", compression: .zstd(level: 4), selection: .all),
      ExportPlan(key: "k", compression: .zstd(level: 3), selection: EventSelection(fields: selection)),
      ExportPlan(key: "k", compression: .zstd(level: 3), selection: EventSelection(filter: filter)),
    ]
    #expect(Self.plan.acceptsCompressedFrames && !others.contains { $0.acceptsCompressedFrames })
    let batch = try Self.batch(Self.hot)
    for plan in others where plan.selection.isEverything {
      let body = try plan.prepare(batch)
      let frame = try #require(batch.slices[1].frame)
      #expect(!holds(body.bytes, frame) && body.contentDigest == Digest.sha256(Self.rows))
    }
    let small = try Self.batch(Storage(recordsPerBlock: 100, level: 1))
    #expect(small.slices[1].frame != nil && small.slices[1].block.payload.count < RowIterator.leastCopied)
    let body = try Self.plan.prepare(small)
    #expect(!holds(body.bytes, try #require(small.slices[1].frame)) && Self.content(body.bytes) == Self.rows)
  }

  @Test func `come from a packed batch as from a decoded one, and so does every other body`() throws {
    let selection = FieldSelection(keeping: [])
    let plans = [
      Self.plan, ExportPlan(key: "k", compression: .none, selection: .all),
      ExportPlan(key: "k", compression: .gzip(level: 1), selection: .all),
      ExportPlan(key: "k", compression: .zstd(level: 9), selection: .all),
      ExportPlan(key: "k", compression: .zstd(level: 3), selection: EventSelection(fields: selection)),
    ]
    for plan in plans {
      for range in [Self.range, 0..<Self.records.count, 0..<1, 139..<141, 300..<301] {
        let (packed, decoded) = (try Self.batch(Self.packed, range), try Self.batch(Self.hot, range))
        #expect(packed.slices.allSatisfy(\.isPacked) && !decoded.slices.contains(where: \.isPacked))
        for limit in [.max, 1] {
          let (body, expected) = (
            try plan.prepare(packed, streamingAbove: limit), try plan.prepare(decoded, streamingAbove: limit)
          )
          #expect(body.contentDigest == expected.contentDigest && body.contentLength == expected.contentLength)
          #expect(body.eventCount == expected.eventCount && body.bytes == expected.bytes)
          guard var reader = body.stream?.makeReader(), var other = expected.stream?.makeReader() else { continue }
          let areEqual = try reader.read(.max) == other.read(.max)
          #expect(areEqual, "\(plan.compression), \(range)")
        }
      }
    }
  }

  static func configuration(_ prefix: String = "exports/usages") -> S3Configuration {
    .acme {
      ($0.partBytes, $0.maxBytes) = (60_000, 1 << 20)
      ($0.layout, $0.layout.compression) = (ExportLayout(prefix: prefix), .zstd())
    }
  }

  @Test func `ask for stored frames only where they can be used`() throws {
    var configuration = Self.configuration()
    #expect(try S3Sink(configuration, transport: BucketInMemory()).acceptsCompressedFrames)
    configuration.layout.compression = .zstd(level: 9)
    #expect(try !S3Sink(configuration, transport: BucketInMemory()).acceptsCompressedFrames)
    #expect(try !DirectorySink(root: "/out").acceptsCompressedFrames)
    #expect(try DirectorySink(root: "/out", layout: Self.configuration().layout).acceptsCompressedFrames)
  }

  /// Delivers until it is done. Before each attempt the log is sealed, or not: the batch is read and rendered again.
  private func converge(_ bucket: BucketInMemory, restarts: Bool, _ storages: [Storage]) async throws -> DeliveryOutcome
  {
    var sink = try S3Sink(Self.configuration(), transport: bucket, clock: FixedClock())
    var outcome = DeliveryOutcome.retry(reason: "", after: nil)
    for attempt in 1...6 {
      let batch = try Self.batch(storages[min(attempt, storages.count) - 1])
      outcome = await sink.deliver(try makeDelivery(sink, batch, attempt: attempt))
      guard outcome.isRetry else { break }
      if restarts { sink = try S3Sink(Self.configuration(), transport: bucket, clock: FixedClock()) }
    }
    return outcome
  }

  @Test(arguments: [false, true])
  func `of a log that is sealed between two attempts never make an object of both`(
    restarts: Bool
  ) async throws {
    let clean = BucketInMemory()
    #expect(try await converge(clean, restarts: false, [Self.hot]).isDelivered)
    #expect(clean.calls.filter { $0.hasPrefix("part") }.count > 3)
    let key = try #require(clean.keys(under: "exports/usages").first)
    for fault in [.dropped, .lost, .falseFailure] as [BucketInMemory.Fault] {
      for index in clean.calls.indices {
        let what = "\(fault) at \(clean.calls[index])"
        let bucket = BucketInMemory { at, _ in at == index ? fault : nil }
        let outcome = try await converge(bucket, restarts: restarts, [Self.hot, Self.sealed, Self.plain])
        #expect(outcome.isDelivered, "\(what): \(outcome)")
        let object = try #require(bucket[key], "\(what)")
        #expect(object.creations == 1 && bucket.openUploads.isEmpty, "\(what)")
        let isRight = Self.content(object.bytes) == Self.rows
        #expect(isRight, "\(what)")
        let entry = try #require(bucket.keys(under: "exports/_penstock").first.flatMap { bucket[$0] }, "\(what)")
        let line = try #require(ManifestEntry.parse(entry.bytes), "\(what)")
        // The object's size, not that of a rendering that came after it.
        #expect(line.entry.stored == object.bytes.count && line.entry.bytes == Self.rows.count, "\(what)")
      }
    }
  }

  @Test
  func `make a file that is known again after a crash and sealing, and another is not overwritten`() async throws {
    func sink() throws -> DirectorySink {
      try DirectorySink(root: "/out", layout: Self.configuration().layout, fileSystem: disk)
    }
    let first = try makeDelivery(try sink(), try Self.batch(Self.hot))
    #expect(await (try sink()).deliver(first).isDelivered)
    let path = try #require(disk.filePaths.first { $0.contains("usages-") })
    let bytes = try #require(disk.contents(path))
    let again = try makeDelivery(try sink(), try Self.batch(Self.sealed))
    #expect(again.intent == first.intent && again.body.bytes != first.body.bytes)
    #expect(await (try sink()).deliver(again).isDelivered)
    #expect(disk.contents(path) == bytes)
    disk.install(path, bytes.dropLast(1) + [0])
    #expect(await (try sink()).deliver(again).isConflict)
  }

  @Test func `however differently the same rows compress, a file that holds them is known again`() async throws {
    // One row a thousand times: a frame of it is far smaller than rows in small frames.
    let row = Array(#"{"event":"Home Page"}"#.utf8)
    let payload = [[UInt8]](repeating: row + [10], count: 4000).flatMap { $0 }
    let ends = (1...4000).map { UInt32($0 * (row.count + 1) - 1) }
    func batch(_ frame: [UInt8]?) -> Batch {
      let block = DecodedBlock(
        baseOffset: .zero, appendTimes: AppendTimes(Timestamp(nanoseconds: 0)), payload: BlockPayload(payload),
        ends: ends, frame: frame)
      return Batch(slices: [BlockSlice(block: block, indices: 0..<4000)])
    }
    var large: [UInt8] = []
    for row in stride(from: 0, to: payload.count, by: row.count + 1) {
      large += try payload[row..<row + 22].withUnsafeBytes { try Zstd.compress($0, level: 1) }
    }
    let sink = try DirectorySink(root: "/out", layout: Self.configuration().layout, fileSystem: disk)
    #expect(await sink.deliver(try makeDelivery(sink, batch(large))).isDelivered)
    #expect(await sink.deliver(try makeDelivery(sink, batch(nil))).isDelivered)
  }
}
