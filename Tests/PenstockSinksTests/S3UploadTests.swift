import PenstockDelivery
import PenstockEvents
import PenstockLog
import Synchronization
import Testing

@testable import PenstockSinks

/// Objects in parts, with every call going wrong in every way.
struct S3UploadTests {
  private static let partBytes = 5000

  private static func configuration(_ compression: ExportCompression = .none) -> S3Configuration {
    var configuration = S3Configuration(
      bucket: "acme", credentials: S3Credentials(accessKeyID: "id", secretAccessKey: Secret("hunter2")))
    configuration.endpoint = BucketInMemory.endpoint
    configuration.partBytes = partBytes
    configuration.maxBytes = 1 << 20
    configuration.layout.compression = compression
    return configuration
  }

  /// Twelve records of a kibibyte: three parts.
  private static let batch: Batch = {
    makeBatch((0..<12).map { "{\"n\":\($0),\"text\":\"" + String(repeating: "\($0)", count: 1000) + "\"}" }, first: 7)
  }()
  private static let rows: [UInt8] = {
    var rows: [UInt8] = []
    batch.forEachRecord { rows += Array($0.bytes) + [UInt8(ascii: "\n")] }
    return rows
  }()
  private static let key = "exports/usages-2026-02-28T23-00000000000000000007-00000000000000000018.json"

  @Test("a large batch becomes one object of parts, with everything said of it, and an entry")
  func parts() async throws {
    let bucket = BucketInMemory()
    let sink = try S3Sink(Self.configuration(), transport: bucket, clock: FixedClock())
    let delivery = try makeDelivery(sink, Self.batch)
    #expect(delivery.body.bytes.isEmpty)
    #expect(await sink.deliver(delivery).isDelivered)
    #expect(bucket.calls == ["head", "uploads", "create", "part 1", "part 2", "part 3", "complete", "get", "put"])
    let object = try #require(bucket[Self.key])
    #expect(object.bytes == Self.rows)
    #expect(
      object.headers.contains {
        $0.name == "x-amz-meta-penstock-sha256" && $0.value == Digest.hex(Digest.sha256(Self.rows))
      })
    #expect(object.headers.contains { $0.name == "x-amz-meta-penstock-closed" && $0.value == "records" })
    #expect(bucket.openUploads.isEmpty)
    let completion = try #require(bucket.requests.first { $0.method == "POST" && $0.url.contains("uploadId") })
    #expect(completion.header("if-none-match") == "*")
  }

  @Test(
    "streamed bodies hold what bodies in memory hold",
    arguments: [.none, .gzip(level: 1), .zstd(level: 1)] as [ExportCompression])
  func streaming(compression: ExportCompression) throws {
    let plan = ExportPlan(key: "k", compression: compression, selection: .all)
    let whole = try plan.prepare(Self.batch)
    let streamed = try plan.prepare(Self.batch, streamingAbove: 1000)
    #expect(streamed.contentDigest == whole.contentDigest)
    #expect(streamed.contentLength == whole.contentLength)
    #expect(streamed.eventCount == whole.eventCount)
    for count in [1000, 7, 1 << 20] {
      var reader = try #require(streamed.stream).makeReader()
      var bytes: [UInt8] = []
      while true {
        let piece = try reader.read(count)
        bytes += piece
        if piece.count < count { break }
      }
      #expect(try reader.read(count).isEmpty)
      #expect(compression.decompress(bytes, count: Self.rows.count) == Self.rows)
    }
  }

  /// Delivers until it is done, with a new process after every attempt or without.
  private func converge(_ bucket: BucketInMemory, restarts: Bool, small: Bool) async throws -> DeliveryOutcome {
    let batch = small ? makeBatch([#"{"a":1}"#, #"{"b":2}"#], first: 7) : Self.batch
    var sink = try S3Sink(Self.configuration(), transport: bucket, clock: FixedClock())
    var outcome = DeliveryOutcome.retry(reason: "", after: nil)
    for attempt in 1...6 {
      outcome = await sink.deliver(try makeDelivery(sink, batch, attempt: attempt))
      guard outcome.isRetry else { break }
      if restarts { sink = try S3Sink(Self.configuration(), transport: bucket, clock: FixedClock()) }
    }
    return outcome
  }

  private func check(_ bucket: BucketInMemory, _ what: String, small: Bool, mayLeaveUpload: Bool) throws {
    let key = small ? "exports/usages-2026-02-28T23-00000000000000000007-00000000000000000008.json" : Self.key
    let rows = small ? Array("{\"a\":1}\n{\"b\":2}\n".utf8) : Self.rows
    let entry = "exports/_penstock/\(logID)/archive/" + (small ? "9" : "19").leftPadded20 + ".json"
    #expect(bucket.keys(under: "") == [entry, key], "\(what)")
    let object = try #require(bucket[key], "\(what)")
    #expect(object.bytes == rows, "\(what)")
    #expect(object.creations == 1, "\(what)")
    #expect(object.headers.contains { $0.value == Digest.hex(Digest.sha256(rows)) }, "\(what)")
    let stored = try #require(bucket[entry], "\(what)")
    let line = try #require(ManifestEntry.parse(stored.bytes), "\(what)")
    #expect(line.entry.key == key && line.entry.stored == rows.count && line.entry.closed == "records", "\(what)")
    #expect(line.entry.previous == ManifestEntry.noPrevious, "\(what)")
    #expect(bucket.openUploads.isEmpty || mayLeaveUpload, "\(what): an upload stays open")
  }

  @Test("every fault at every call, with and without a restart, ends with one right object", arguments: [false, true])
  func oneFault(small: Bool) async throws {
    let clean = BucketInMemory()
    #expect(try await converge(clean, restarts: false, small: small).isDelivered)
    var looked = 0
    for restarts in [false, true] {
      for fault in BucketInMemory.Fault.allCases {
        for index in clean.calls.indices {
          let what = "\(fault) at \(clean.calls[index]), \(restarts ? "with" : "without") restart"
          let bucket = BucketInMemory { at, _ in at == index ? fault : nil }
          let outcome = try await converge(bucket, restarts: restarts, small: small)
          #expect(outcome.isDelivered, "\(what): \(outcome)")
          try check(bucket, what, small: small, mayLeaveUpload: false)
          looked += 1
        }
      }
    }
    #expect(looked == 2 * BucketInMemory.Fault.allCases.count * clean.calls.count)
  }
}

extension String {
  fileprivate var leftPadded20: String { String(repeating: "0", count: 20 - count) + self }
}
