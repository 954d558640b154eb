import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockSinks
import PenstockSupport

/// Objects in parts, with every call going wrong in every way.
struct S3UploadTests {
  private let bucket = BucketInMemory()
  private let clean = BucketInMemory()
  fileprivate static func configuration(_ compression: ExportCompression = .none) -> S3Configuration {
    .acme { ($0.partBytes, $0.maxBytes, $0.layout.compression) = (600, 1 << 20, compression) }
  }

  /// Twelve records: three parts.
  fileprivate static let batch = makeBatch(
    (0..<12).map { "{\"n\":\($0),\"text\":\"" + String(repeating: "\($0)", count: 100) + "\"}" }, first: 7)
  fileprivate static let rows = rows(of: batch)

  fileprivate static func rows(of batch: Batch) -> [UInt8] {
    var rows: [UInt8] = []
    batch.forEachRecord { rows += Array($0.bytes) + [UInt8(ascii: "\n")] }
    return rows
  }

  fileprivate static let key = "exports/usages-2026-02-28T23-00000000000000000007-00000000000000000018.json"

  @Test func `a large batch becomes one object of parts, with everything said of it, and an entry`() async throws {
    let sink = try S3Sink(Self.configuration(), transport: bucket, clock: FixedClock())
    let delivery = try makeDelivery(sink, Self.batch)
    #expect(delivery.body.bytes.isEmpty)
    #expect(await sink.deliver(delivery).isDelivered)
    #expect(
      bucket.calls == ["list", "head", "uploads", "create", "part 1", "part 2", "part 3", "complete", "get", "put"])
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

  @Test(arguments: [.none, .gzip(level: 1), .zstd(level: 1)] as [ExportCompression])
  func `streamed bodies hold what bodies in memory hold`(compression: ExportCompression) throws {
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
  fileprivate func converge(_ bucket: BucketInMemory, restarts: Bool, small: Bool) async throws -> DeliveryOutcome {
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

  @Test func `an ETag that is not of a part's bytes is found at the end, and the upload begins again`() async throws {
    let bucket = BucketInMemory { at, call in at < 8 && call == "part 2" ? .wrongETag : nil }
    let sink = try S3Sink(Self.configuration(), transport: bucket, clock: FixedClock())
    let first = await sink.deliver(try makeDelivery(sink, Self.batch))
    #expect(first.isRetry && bucket[Self.key] == nil && bucket.openUploads.isEmpty, "\(first)")
    #expect(await sink.deliver(try makeDelivery(sink, Self.batch, attempt: 2)).isDelivered)
    try check(bucket, "a wrong ETag", small: false, mayLeaveUpload: false)
    #expect(bucket.calls.count { $0 == "create" } == 2)
  }

  @Test func `a 429 says when to come again`() async throws {
    let bucket = BucketInMemory { at, call in call == "put" && at < 3 ? .tooMany : nil }
    let sink = try S3Sink(Self.configuration(), transport: bucket, clock: FixedClock())
    let outcome = await sink.deliver(try makeDelivery(sink, makeBatch(["{}"])))
    guard case .retry(_, .seconds(7)) = outcome else {
      Issue.record("\(outcome)")
      return
    }
  }

  fileprivate func check(_ bucket: BucketInMemory, _ what: String, small: Bool, mayLeaveUpload: Bool) throws {
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

  @Test(arguments: [false, true])
  func `every fault at every call, with and without a restart, ends with one right object`(small: Bool) async throws {
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

extension S3UploadTests {
  @Test func `every pair of faults that can follow each other ends with one right object`() async throws {
    #expect(try await converge(clean, restarts: false, small: false).isDelivered)
    let faults: [BucketInMemory.Fault] = [.dropped, .lost, .late, .falseFailure]
    for restarts in [false, true] {
      for (first, second) in faults.flatMap({ first in faults.map { (first, $0) } }) {
        for at in clean.calls.indices {
          for distance in 1...5 {
            let what = "\(first) at \(clean.calls[at]), \(second) \(distance) calls later, restarts: \(restarts)"
            let bucket = BucketInMemory { index, _ in index == at ? first : index == at + distance ? second : nil }
            let outcome = try await converge(bucket, restarts: restarts, small: false)
            #expect(outcome.isDelivered, "\(what): \(outcome)")
            // When the abort itself fails, or the list that would have found the upload, it is the lifecycle rule's.
            try check(bucket, what, small: false, mayLeaveUpload: true)
          }
        }
      }
    }
  }

  @Test func `what another process left open is aborted, never completed`() async throws {
    bucket.addUpload(key: Self.key, parts: [1: Array("theirs".utf8), 2: Array("too".utf8)])
    bucket.addUpload(key: Self.key + "x", parts: [:])
    #expect(try await converge(bucket, restarts: false, small: false).isDelivered)
    #expect(bucket.openUploads == [Self.key + "x"])
    #expect(bucket[Self.key]?.bytes == Self.rows)
  }

  @Test(arguments: [false, true])
  func `an equal object is content, another one a conflict that is left alone, whichever call finds it`(
    small: Bool
  ) async throws {
    let made = BucketInMemory()
    _ = try await converge(made, restarts: false, small: small)
    let key = try #require(made.keys(under: "exports/usages").first)
    let ours = try #require(made[key])
    var theirs = ours
    theirs.headers = []
    theirs.bytes = Array("theirs".utf8)
    for object in [ours, theirs] {
      for index in made.calls.indices.dropLast(2) {
        // Appears right before that call: a writer beside us.
        let bucket = BucketInMemory(appearing: (index, key, object))
        let outcome = try await converge(bucket, restarts: false, small: small)
        let isOurs = object.bytes == ours.bytes
        #expect(isOurs ? outcome.isDelivered : outcome.isConflict, "\(made.calls[index]): \(outcome)")
        #expect(bucket[key]?.bytes == object.bytes)
        #expect(bucket[key]?.creations == 1)
        #expect(bucket.openUploads.isEmpty)
        #expect(isOurs == !bucket.keys(under: "exports/_penstock").isEmpty)
      }
    }
  }

  /// The same rows, compressed at another level in every attempt, as another version of the library would.
  private struct Restless: BodyStream {
    let batch: Batch
    let level: Counter
    func makeReader() -> any BodyReader {
      let level = level.next()
      let plan = ExportPlan(key: "k", compression: .gzip(level: level), selection: .all)
      return ExportStream(batch: batch, plan: plan).makeReader()
    }
  }

  @Test func `parts of two renderings are never put together`() async throws {
    var generator = SplitMix64(seed: 7)
    let letters = Array("abcdefgh ".utf8)
    let batch = makeBatch(
      (0..<40).map { number in
        let text = (0..<1000).map { _ in letters[Int(generator.next() % 9)] }
        return "{\"n\":\(number),\"text\":\"" + String(decoding: text, as: UTF8.self) + "\"}"
      })
    let rows = Self.rows(of: batch)
    for index in 4...7 {
      let bucket = BucketInMemory { at, _ in at == index ? .lost : nil }
      let sink = try S3Sink(Self.configuration(.gzip(level: 1)), transport: bucket, clock: FixedClock())
      var delivery = try makeDelivery(sink, batch)
      delivery.body.stream = Restless(batch: batch, level: Counter())
      #expect(await sink.deliver(delivery).isRetry)
      let taken = bucket.calls.count
      #expect(await sink.deliver(delivery).isDelivered)
      // Went on with the same upload, and sent again what differed.
      #expect(Array(bucket.calls.dropFirst(taken).prefix(2)) == ["list", "part 1"])
      let key = try #require(bucket.keys(under: "exports/usages").first)
      let object = try #require(bucket[key])
      #expect(ExportCompression.gzip().decompress(object.bytes, count: rows.count) == rows, "fault at call \(index)")
    }
  }

  @Test func `what was taken is not sent again by the same process`() async throws {
    let bucket = BucketInMemory { at, call in at < 8 && call == "part 3" ? .dropped : nil }
    #expect(try await converge(bucket, restarts: false, small: false).isDelivered)
    #expect(bucket.calls.count { $0 == "part 1" } == 1)
    #expect(bucket.calls.count { $0 == "create" } == 1)
    #expect(bucket.calls.contains("part 3"))
  }

  @Test func `storage options are said where an object is created, and checksums where bytes are sent`() async throws {
    var configuration = Self.configuration()
    configuration.storage.storageClass = "STANDARD_IA"
    configuration.storage.accessControl = .bucketOwnerFullControl
    configuration.storage.tags = [.init("team", "data & more"), .init("kind", "usage")]
    configuration.storage.encryption = .keyManagement(keyID: "arn:aws:kms:x", bucketKey: true)
    for checksum in S3StorageOptions.Checksum.allCases {
      configuration.storage.checksum = checksum
      for batch in [Self.batch, makeBatch(["{}"])] {
        let bucket = BucketInMemory()
        let sink = try S3Sink(configuration, transport: bucket, clock: FixedClock())
        #expect(await sink.deliver(try makeDelivery(sink, batch)).isDelivered)
        let creation = try #require(
          bucket.requests.first { $0.url.contains("usages") && ($0.method == "POST" || $0.method == "PUT") })
        creation.expect([
          "x-amz-storage-class": "STANDARD_IA", "x-amz-acl": "bucket-owner-full-control",
          "x-amz-tagging": "team=data%20%26%20more&kind=usage", "x-amz-server-side-encryption": "aws:kms",
          "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:x",
          "x-amz-server-side-encryption-bucket-key-enabled": "true",
        ])
        let data = bucket.requests.filter { $0.method == "PUT" && $0.url.contains("usages") }
        for request in data {
          let value = checksum.value(of: request.body, digest: Digest.sha256(request.body))
          #expect(request.header(checksum.header) == value)
        }
        if batch.count > 1 {
          #expect(creation.header("x-amz-checksum-algorithm") == checksum.algorithm)
          let completion = bucket.requests.last { $0.method == "POST" }?.body ?? []
          #expect(String(decoding: completion, as: UTF8.self).contains("<Checksum\(checksum.algorithm)>"))
        }
      }
    }
    // The check value of CRC-32C is that of "123456789" (Castagnoli): E3 06 92 83.
    #expect(
      S3StorageOptions.Checksum.crc32c.value(of: Array("123456789".utf8), digest: [])
        == Digest.base64([0xE3, 0x06, 0x92, 0x83]))
  }

  @Test func `storage options that no store takes are refused`() {
    let changes: [(String, (inout S3Configuration) -> Void)] = [
      ("storage class", { $0.storage.storageClass = "A B" }),
      ("10 tags", { $0.storage.tags = (0..<11).map { .init("\($0)", "") } }),
      ("same name", { $0.storage.tags = [.init("a", "1"), .init("a", "2")] }),
      ("too long", { $0.storage.tags = [.init("", "1")] }),
      ("SSE-KMS", { $0.storage.encryption = .keyManagement(keyID: "a\nb") }), ("5 MiB", { $0.endpoint = nil }),
    ]
    for (words, change) in changes {
      expectSinkError(containing: words) {
        var configuration = Self.configuration()
        change(&configuration)
        _ = try S3Sink(configuration, transport: BucketInMemory())
      }
    }
  }
}

/// Counts up from 1.
private final class Counter: Sendable {
  private let value = Atomic(0)

  func next() -> Int { value.add(1, ordering: .relaxed).newValue }
}
