import PenstockDelivery
@testable import PenstockLog
import PenstockSupport
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockSinks

/// A log on a simulated disk, with blocks that are large enough to be copied; and the same log, sealed.
private struct StoredLog {
  let disk = SimulatedFileSystem()
  let clock = ManualClock()
  private let salts = SimulationSalts(seed: 9)
  let records: [[UInt8]] = FrameCopyTests.records

  func open() throws -> LogWriter {
    var configuration = LogConfiguration()
    configuration.segmentBytes = 128 << 10
    var settings = SealingSettings()
    settings.blockBytes = 200 << 10
    configuration.sealing = .settings(settings)
    return try LogOpening.open("/log", configuration, .simulated(disk, clock: clock, salts: salts))
  }

  /// 1,400 records of 600 bytes, 140 in a block.
  init() throws {
    let writer = try open()
    // Twice, because the newest segment is never sealed.
    for start in stride(from: 0, to: 2 * records.count, by: 140) {
      var batch = RecordBatch()
      for record in records[start % records.count..<start % records.count + 140] { batch.append(record) }
      _ = try writer.write([batch])
      try writer.synchronize()
      try writer.publish()
    }
    try writer.close()
  }

  func seal() throws {
    let writer = try open()
    var plan = SealingPlan()
    let sealer = try #require(writer.sealer)
    while let job = plan.next(in: writer.view.set.segments.map(\.name)) {
      let outcome = try sealer.seal(job, in: writer.view)
      if case .left(let reason) = outcome { Issue.record("not sealed: \(reason)") }
      plan.finished(job, .done)
    }
    try writer.close()
  }

  /// As a new process reads it.
  func batch(_ range: Range<Int> = range, unopened: Bool) throws -> Batch {
    let writer = try open()
    defer { try? writer.close() }
    return try writer.view.batch(
      in: Offset(UInt64(range.lowerBound))..<Offset(UInt64(range.upperBound)), unopened: unopened)
  }

  static let range = 20..<685
  var rows: [UInt8] { records[Self.range].flatMap { $0 + [10] } }
}

/// The digest of rows that are not read, and the hash of the bytes that are stored.
@Suite("Two digests", .timeLimit(.minutes(3))) struct StoredDigestTests {
  private typealias Frames = FrameCopyTests

  private static func sink(
    _ bucket: BucketInMemory, partBytes: Int = 60_000, compression: ExportCompression = .zstd()
  ) throws -> S3Sink {
    var configuration = Frames.configuration()
    configuration.partBytes = partBytes
    configuration.layout.compression = compression
    return try S3Sink(configuration, transport: bucket, clock: FixedClock())
  }

  private static func content(_ bytes: [UInt8], _ log: StoredLog) -> Bool {
    ExportCompression.zstd().decompress(bytes, count: log.rows.count) == log.rows
  }

  private static func entry(_ bucket: BucketInMemory) throws -> ManifestEntry {
    let key = try #require(bucket.keys(under: "exports/_penstock").first)
    let bytes = try #require(bucket[key]).bytes
    return try #require(ManifestEntry.parse(bytes)).entry
  }

  private static func isSound(_ bucket: BucketInMemory) async throws -> Bool {
    let store = try S3ExportStore(Frames.configuration(), transport: bucket, clock: FixedClock())
    let report = try await ExportVerifier(
      store: store, layout: Frames.configuration().layout, logID: logID, cursor: "archive"
    ).verify(.content)
    return report.isSound && report.hasManifest
  }

  @Test
  func `power goes between begin and send, the log is sealed, and the same id has the same digest`() async throws {
    let log = try StoredLog()
    for partBytes in [60_000, 8 << 20] {
      let bucket = BucketInMemory()
      let sink = try Self.sink(bucket, partBytes: partBytes)
      let begun = try makeDelivery(sink, try log.batch(unopened: true))
      let checksum = Checksum.of(log.rows)
      #expect(begun.intent.contentDigest == ContentDigest.crc32c(checksum).bytes(length: log.rows.count))
      #expect(try sink.copiesFrames(plan: begun.intent.plan))
      for isSealed in [false, true] {
        if isSealed { try log.seal() }
        for unopened in [false, true] {
          let batch = try log.batch(unopened: unopened)
          #expect(batch.hasUnopenedBlocks == unopened)
          let again = try makeDelivery(sink, batch, plan: begun.intent.plan)
          #expect(again.intent == begun.intent, "sealed \(isSealed), unopened \(unopened)")
        }
      }
      let last = try makeDelivery(sink, try log.batch(unopened: true), plan: begun.intent.plan)
      #expect(await sink.deliver(last).isDelivered)
      let object = try #require(bucket.keys(under: "exports/usages").first.flatMap { bucket[$0] })
      #expect(Self.content(object.bytes, log))
      let said = Dictionary(uniqueKeysWithValues: object.headers.map { ($0.name, $0.value) })
      #expect(said["x-amz-meta-penstock-crc32c"] == ContentDigest.crc32c(checksum).text)
      #expect(said["x-amz-meta-penstock-sha256"] == nil)
      #expect(said["x-amz-meta-penstock-stored-sha256"] == Digest.hex(Digest.sha256(object.bytes)))
      #expect(said["x-amz-meta-penstock-stored"] == String(object.bytes.count))
      let entry = try Self.entry(bucket)
      #expect(entry.storedSHA256 == Digest.hex(Digest.sha256(object.bytes)))
      #expect(entry.crc32c == ContentDigest.crc32c(checksum).text && entry.sha256.isEmpty && entry.hasOwnID)
      #expect(try await Self.isSound(bucket))
    }
  }

  @Test(arguments: [60_000, 8 << 20])
  func `after a 412 the hash is that of the object that is there, not of another rendering`(
    partBytes: Int
  ) async throws {
    let log = try StoredLog()
    // The entry is not written: the next attempt, of another process and of a sealed log, finds the object.
    let isFailing = Mutex(true)
    let bucket = BucketInMemory { _, call in call == "get" && isFailing.withLock { $0 } ? .internalError : nil }
    let first = try makeDelivery(try Self.sink(bucket, partBytes: partBytes), try log.batch(unopened: true))
    #expect(await (try Self.sink(bucket, partBytes: partBytes)).deliver(first).isRetry)
    let key = try #require(bucket.keys(under: "exports/usages").first)
    let object = try #require(bucket[key])
    #expect(bucket.keys(under: "exports/_penstock").isEmpty)
    isFailing.withLock { $0 = false }
    try log.seal()
    let sink = try Self.sink(bucket, partBytes: partBytes)
    let second = try makeDelivery(sink, try log.batch(unopened: true), plan: first.intent.plan)
    let form = (second.body.stream as? ExportStream)?.form.digest ?? Digest.sha256(second.body.bytes)
    let hash = Digest.sha256(object.bytes)
    #expect(second.intent == first.intent && form != hash)
    #expect(await sink.deliver(second).isDelivered)
    #expect(bucket[key]?.bytes == object.bytes)
    let entry = try Self.entry(bucket)
    #expect(entry.storedSHA256 == Digest.hex(hash) && entry.stored == object.bytes.count)
    #expect(try await Self.isSound(bucket))
    // An object without that hash is known again, and nothing is claimed of its bytes.
    bucket[key]?.headers.removeAll { $0.name.contains("stored") }
    for name in bucket.keys(under: "exports/_penstock") { bucket[name] = nil }
    #expect(await (try Self.sink(bucket, partBytes: partBytes)).deliver(second).isDelivered)
    #expect(try Self.entry(bucket).storedSHA256.isEmpty)
    #expect(try await Self.isSound(bucket))
    // An object of another size than its metadata say is another object.
    bucket[key]?.headers.append((name: "x-amz-meta-penstock-stored", value: "7"))
    #expect(await (try Self.sink(bucket, partBytes: partBytes)).deliver(second).isConflict)
  }

  @Test func `a file that is there is hashed itself`() async throws {
    let log = try StoredLog()
    let disk = SimulatedFileSystem()
    func sink() throws -> DirectorySink {
      try DirectorySink(root: "/out", layout: Frames.configuration().layout, fileSystem: disk)
    }
    let first = try makeDelivery(try sink(), try log.batch(unopened: true))
    #expect(await (try sink()).deliver(first).isDelivered)
    let path = try #require(disk.filePaths.first { $0.contains("usages-") })
    let entryPath = try #require(disk.filePaths.first { $0.contains("_penstock") })
    let bytes = try #require(disk.contents(path))
    try disk.remove(entryPath)
    try log.seal()
    let second = try makeDelivery(try sink(), try log.batch(unopened: true), plan: first.intent.plan)
    #expect(second.intent == first.intent && second.body.bytes != bytes)
    #expect(await (try sink()).deliver(second).isDelivered)
    let line = try #require(disk.contents(entryPath))
    let entry = try #require(ManifestEntry.parse(line)).entry
    #expect(entry.storedSHA256 == Digest.hex(Digest.sha256(bytes)) && entry.stored == bytes.count)
  }

  @Test func `an upload whose metadata describe other bytes is not continued with these`() async throws {
    let log = try StoredLog()
    let bucket = BucketInMemory { _, call in call == "part 3" ? .dropped : nil }
    let sink = try Self.sink(bucket)
    let first = try makeDelivery(sink, try log.batch(unopened: true))
    #expect(await sink.deliver(first).isRetry)
    try log.seal()
    // As after a pause: the batch is rendered again, in the same process.
    let other = BucketInMemory { at, call in at == 6 && call.hasPrefix("part") ? .dropped : nil }
    let same = try Self.sink(other)
    #expect(await same.deliver(first).isRetry)
    let second = try makeDelivery(same, try log.batch(unopened: true), plan: first.intent.plan)
    #expect(await same.deliver(second).isDelivered)
    let object = try #require(other.keys(under: "exports/usages").first.flatMap { other[$0] })
    #expect(Self.content(object.bytes, log) && other.openUploads.isEmpty)
    let hash = object.headers.first { $0.name == "x-amz-meta-penstock-stored-sha256" }?.value
    #expect(hash == Digest.hex(Digest.sha256(object.bytes)))
    #expect(try Self.entry(other).storedSHA256 == hash)
  }

  @Test
  func `beyond what is kept, the hash is taken while parts are sent, and is in the manifest alone`() async throws {
    let log = try StoredLog()
    let bucket = BucketInMemory()
    let sink = try Self.sink(bucket)
    var delivery = try makeDelivery(sink, try log.batch(unopened: true))
    let stream = try #require(delivery.body.stream as? ExportStream)
    delivery.body = try stream.prepare(keeping: 50_000)
    #expect((delivery.body.stream as? ExportStream)?.form.digest == nil)
    #expect(await sink.deliver(delivery).isDelivered)
    let object = try #require(bucket.keys(under: "exports/usages").first.flatMap { bucket[$0] })
    #expect(!object.headers.contains { $0.name.contains("stored") } && Self.content(object.bytes, log))
    #expect(try Self.entry(bucket).storedSHA256 == Digest.hex(Digest.sha256(object.bytes)))
    #expect(try await Self.isSound(bucket))
  }

  @Test func `who changes an object is found by the hash, also where the rows are the same`() async throws {
    let log = try StoredLog()
    let bucket = BucketInMemory()
    let sink = try Self.sink(bucket, partBytes: 8 << 20)
    #expect(await sink.deliver(try makeDelivery(sink, try log.batch(unopened: true))).isDelivered)
    #expect(try await Self.isSound(bucket))
    let key = try #require(bucket.keys(under: "exports/usages").first)
    let size = try #require(bucket[key]).bytes.count
    var other = try log.rows.withUnsafeBytes { try Zstd.compress($0, level: 3) }
    // A skippable frame makes it as long as the object.
    let rest = size - other.count - 8
    if rest >= 0 {
      other.append(littleEndian: UInt32(0x184D_2A50))
      other.append(littleEndian: UInt32(rest))
      other += [UInt8](repeating: 0, count: rest)
      bucket[key]?.bytes = other
      #expect(try await !Self.isSound(bucket))
    }
    bucket[key]?.bytes = [UInt8](repeating: 7, count: size)
    #expect(try await !Self.isSound(bucket))
  }

  // MARK: Plans

  @Test func `a plan names the digest where frames are copied, and one that names none means SHA-256 of the rows`()
    throws
  {
    let log = try StoredLog()
    let sink = try Self.sink(BucketInMemory())
    let plan = try sink.plan(outline(try log.batch(unopened: true)))
    #expect(String(decoding: plan, as: UTF8.self).contains("\ndigest=crc32c\n"))
    let old = Array(String(decoding: plan, as: UTF8.self).replacing("digest=crc32c\n", with: "").utf8)
    #expect(try !sink.copiesFrames(plan: old) && ExportPlan(parsing: old).encoded() == old)
    let body = try sink.prepare(try log.batch(unopened: false), plan: old)
    #expect(body.contentDigest == Digest.sha256(log.rows))
    expectSinkError(containing: "digest=") {
      _ = try ExportPlan(
        parsing: Array(String(decoding: plan, as: UTF8.self).replacing("=crc32c", with: "=md5").utf8))
    }
    for compression in [.none, .gzip(level: 1), .zstd(level: 4)] as [ExportCompression] {
      let other = try Self.sink(BucketInMemory(), compression: compression)
      let plan = try other.plan(outline(try log.batch(unopened: false)))
      #expect(try !other.copiesFrames(plan: plan) && !String(decoding: plan, as: UTF8.self).contains("digest"))
    }
  }

  @Test func `the digest of an intent says what it was made of, and depends on the length`() {
    for (checksum, length) in [(0, 0), (1, 70_000), (0xFFFF_FFFF, .max)] as [(UInt32, Int)] {
      let digest = ContentDigest.crc32c(checksum)
      let bytes = digest.bytes(length: length)
      #expect(bytes.count == 32 && ContentDigest(bytes: bytes) == digest)
      #expect(bytes != digest.bytes(length: length / 2 + 1))
      #expect(ContentDigest(.crc32c, text: digest.text) == digest && ContentDigest(.sha256, text: digest.text) == nil)
    }
    let hash = Digest.sha256([1])
    #expect(ContentDigest(bytes: hash) == .sha256(hash) && ContentDigest.sha256(hash).bytes(length: 5) == hash)
    #expect(ContentDigest(.sha256, text: Digest.hex(hash)) == .sha256(hash))
  }

  @Test func `an entry with another version, without a member or with both digests is none`() throws {
    let rows = Array("{}\n".utf8)
    let (hash, id) = (
      Digest.hex(Digest.sha256(rows)),
      DeliveryID(logID: logID, cursor: "archive", first: .zero, end: Offset(1), contentDigest: Digest.sha256(rows))
    )
    let line =
      "{\"version\":1,\"log\":\"\(logID)\",\"cursor\":\"archive\",\"id\":\"\(id.rawValue)\",\"key\":\"k\",\"first\":0,"
      + "\"last\":0,\"count\":1,\"bytes\":3,\"sha256\":\"\(hash)\",\"stored\":3,\"storedSha256\":\"\(hash)\","
      + "\"closed\":\"records\",\"previous\":\"\(ManifestEntry.noPrevious)\"}"
    let entry = try #require(ManifestEntry.parse(Array((line + "\n").utf8))).entry
    #expect(entry.line == line && entry.hasOwnID && entry.storedSHA256 == hash)
    for (old, new) in [
      ("\"version\":1", "\"version\":2"), (",\"storedSha256\":\"\(hash)\"", ""), (",\"sha256\":\"\(hash)\"", ""),
      ("\"stored\":3", "\"crc32c\":\"01020304\",\"stored\":3"),
    ] {
      let changed = line.replacing(old, with: new)
      #expect(changed != line && ManifestEntry.parse(Array((changed + "\n").utf8)) == nil)
    }
  }
}
