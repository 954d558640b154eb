import Foundation
import PenstockDelivery
import PenstockLog
import Testing

@testable import PenstockSinks

/// A real S3-compatible server, named by environment variables.
struct S3Server {
  let configuration: S3Configuration

  init?(_ prefix: String) {
    let environment = ProcessInfo.processInfo.environment
    guard let endpoint = environment["\(prefix)_ENDPOINT"], let accessKey = environment["\(prefix)_ACCESS_KEY"],
      let secretKey = environment["\(prefix)_SECRET_KEY"], let bucket = environment["\(prefix)_BUCKET"]
    else { return nil }
    var configuration = S3Configuration(
      bucket: bucket, region: environment["\(prefix)_REGION"] ?? "us-east-1",
      credentials: S3Credentials(accessKeyID: accessKey, secretAccessKey: Secret(secretKey)))
    configuration.endpoint = endpoint
    configuration.layout.keyTemplate = "tests/\(UUID().uuidString)/a b+c=é (x)!*'~/{first}-{last}.json"
    self.configuration = configuration
  }

  static let conditional = S3Server("PENSTOCK_S3")
  static let strict = S3Server("PENSTOCK_S3_STRICT")
}

struct S3ServerTests {
  private static let needed: Comment = "needs PENSTOCK_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY and _BUCKET"
  private static let strictNeeded: Comment =
    "needs PENSTOCK_S3_STRICT_ENDPOINT, _ACCESS_KEY, _SECRET_KEY and _BUCKET"
  private let batch = makeBatch((0..<5).map { #"{"n":\#($0),"text":"é"}"# }, first: 3)

  @Test(
    "an object is created once, found again, and never overwritten", .enabled(if: S3Server.conditional != nil, needed),
    arguments: [.none, .gzip(), .zstd()] as [ExportCompression])
  func conditionalCreate(compression: ExportCompression) async throws {
    var configuration = try #require(S3Server.conditional).configuration
    configuration.layout.keyTemplate = "tests/\(UUID().uuidString)/{first}-{last}.json"
    configuration.layout.compression = compression
    let sink = try S3Sink(configuration)
    let delivery = try makeDelivery(sink, batch)
    let first = await sink.deliver(delivery)
    #expect(first.isDelivered, "\(first)")
    let again = await sink.deliver(delivery)
    #expect(again.isDelivered, "\(again)")
    #expect(again.words.contains("already there"), "\(again)")

    let other = makeBatch((0..<5).map { #"{"n":\#($0),"text":"ü"}"# }, first: 3)
    let impostor = try makeDelivery(sink, other)
    let conflict = await sink.deliver(impostor)
    #expect(conflict.isConflict, "\(conflict)")
    #expect(await sink.deliver(delivery).isDelivered)
    await sink.close()
  }

  @Test(
    "of many writers of one name one creates, and those with other content learn it",
    .enabled(if: S3Server.conditional != nil, needed))
  func race() async throws {
    var configuration = try #require(S3Server.conditional).configuration
    configuration.layout.keyTemplate = "tests/\(UUID().uuidString)/{first}-{last}.json"
    let sink = try S3Sink(configuration)
    let deliveries = try (0..<6).map { try makeDelivery(sink, makeBatch([#"{"writer":\#($0)}"#])) }
    let outcomes = await withTaskGroup { group in
      for delivery in deliveries { group.addTask { await sink.deliver(delivery) } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    await sink.close()
    #expect(outcomes.count { $0.isDelivered } == 1, "\(outcomes)")
    #expect(outcomes.allSatisfy { $0.isDelivered || $0.isConflict || $0.isRetry }, "\(outcomes)")
  }

  @Test("a wrong secret key is refused", .enabled(if: S3Server.conditional != nil, needed))
  func wrongSecret() async throws {
    var configuration = try #require(S3Server.conditional).configuration
    configuration.credentials?.secretAccessKey = Secret("wrong")
    let sink = try S3Sink(configuration)
    let outcome = await sink.deliver(try makeDelivery(sink, batch))
    await sink.close()
    #expect(outcome.isRefused, "\(outcome)")
  }

  @Test(
    "a server that checks signatures and digests takes a strange key",
    .enabled(if: S3Server.strict != nil, strictNeeded),
    arguments: [.none, .gzip(), .zstd()] as [ExportCompression])
  func strictSignatures(compression: ExportCompression) async throws {
    var configuration = try #require(S3Server.strict).configuration
    configuration.layout.compression = compression
    let sink = try S3Sink(configuration)
    let delivery = try makeDelivery(sink, batch)
    let first = await sink.deliver(delivery)
    #expect(first.isDelivered, "\(first)")
    let again = await sink.deliver(delivery)
    #expect(again.isDelivered, "\(again)")
    #expect(again.words.contains("already there"), "\(again)")
    await sink.close()
  }

  @Test("a wrong key, region or clock is refused with the reason", .enabled(if: S3Server.strict != nil, strictNeeded))
  func strictRefusals() async throws {
    let right = try #require(S3Server.strict).configuration
    var wrongKey = right
    wrongKey.credentials?.secretAccessKey = Secret("wrong")
    var wrongRegion = right
    wrongRegion.region = "eu-nowhere-1"
    let sinks = [
      try S3Sink(wrongKey), try S3Sink(wrongRegion),
      try S3Sink(right, clock: FixedClock(time: Timestamp(seconds: 1e9))),
    ]
    for sink in sinks {
      let outcome = await sink.deliver(try makeDelivery(sink, batch))
      await sink.close()
      #expect(outcome.isRefused, "\(outcome)")
      #expect(outcome.words.contains("the store answered 4"), "\(outcome)")
    }
  }
}
