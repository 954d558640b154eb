import Foundation
import PenstockDelivery
import PenstockLog
import Testing

@testable import PenstockSinks

/// A real S3-compatible server, named by environment variables.
struct S3Server {
  private let made: S3Configuration

  init?(_ prefix: String) {
    let environment = ProcessInfo.processInfo.environment
    guard let endpoint = environment["\(prefix)_ENDPOINT"], let accessKey = environment["\(prefix)_ACCESS_KEY"],
      let secretKey = environment["\(prefix)_SECRET_KEY"], let bucket = environment["\(prefix)_BUCKET"]
    else { return nil }
    var configuration = S3Configuration(
      bucket: bucket, region: environment["\(prefix)_REGION"] ?? "us-east-1",
      credentials: S3Credentials(accessKeyID: accessKey, secretAccessKey: Secret(secretKey)))
    configuration.endpoint = endpoint
    self.made = configuration
  }

  /// With a place of its own each time it is asked for.
  func configuration(_ name: String = "{first}-{last}.json") -> S3Configuration {
    var configuration = made
    configuration.layout.keyTemplate = "tests/\(UUID().uuidString)/\(name)"
    return configuration
  }

  static let conditional = S3Server("PENSTOCK_S3")
  static let strict = S3Server("PENSTOCK_S3_STRICT")
}

struct S3ServerTests {
  private static let needed: Comment = "needs PENSTOCK_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY and _BUCKET"
  private static let strictNeeded: Comment = "needs PENSTOCK_S3_STRICT_ENDPOINT, _ACCESS_KEY, _SECRET_KEY and _BUCKET"
  private let batch = makeBatch((0..<5).map { #"{"n":\#($0),"text":"é"}"# }, first: 3)

  private func deliver(to sink: S3Sink) async throws -> DeliveryOutcome {
    let outcome = await sink.deliver(try makeDelivery(sink, batch))
    await sink.close()
    return outcome
  }

  private func expectCreatedOnce(_ delivery: DeliveryRequest, by sink: S3Sink) async {
    let first = await sink.deliver(delivery)
    #expect(first.isDelivered, "\(first)")
    let again = await sink.deliver(delivery)
    #expect(again.isDelivered && again.words.contains("already exists"), "\(again)")
  }

  @Test(.enabled(if: S3Server.conditional != nil, needed), arguments: [.none, .gzip(), .zstd()] as [ExportCompression])
  func `an object is created once, found again, and never overwritten`(compression: ExportCompression) async throws {
    var configuration = try #require(S3Server.conditional).configuration()
    configuration.layout.compression = compression
    let sink = try S3Sink(configuration)
    let delivery = try makeDelivery(sink, batch)
    await expectCreatedOnce(delivery, by: sink)
    let other = makeBatch((0..<5).map { #"{"n":\#($0),"text":"ü"}"# }, first: 3)
    let impostor = try makeDelivery(sink, other)
    let conflict = await sink.deliver(impostor)
    #expect(conflict.isConflict, "\(conflict)")
    #expect(await sink.deliver(delivery).isDelivered)
    await sink.close()
  }

  @Test(.enabled(if: S3Server.conditional != nil, needed))
  func `of many writers of one name one creates, and those with other content learn it`() async throws {
    let sink = try S3Sink(try #require(S3Server.conditional).configuration())
    let deliveries = try (0..<6).map { try makeDelivery(sink, makeBatch([#"{"writer":\#($0)}"#])) }
    let outcomes = await withTaskGroup { group in
      for delivery in deliveries { group.addTask { await sink.deliver(delivery) } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    await sink.close()
    #expect(outcomes.count { $0.isDelivered } == 1, "\(outcomes)")
    #expect(outcomes.allSatisfy { $0.isDelivered || $0.isConflict || $0.isRetry }, "\(outcomes)")
  }

  @Test(.enabled(if: S3Server.conditional != nil, needed))
  func `a wrong secret key is refused`() async throws {
    var configuration = try #require(S3Server.conditional).configuration()
    configuration.credentials?.secretAccessKey = Secret("wrong")
    let outcome = try await deliver(to: S3Sink(configuration))
    #expect(outcome.isRefused, "\(outcome)")
  }

  @Test(
    .enabled(if: S3Server.strict != nil, strictNeeded), arguments: [.none, .gzip(), .zstd()] as [ExportCompression])
  func `a server that checks signatures and digests takes a strange key`(compression: ExportCompression) async throws {
    var configuration = try #require(S3Server.strict).configuration("a b+c=é (x)!*'~/{first}-{last}.json")
    configuration.layout.compression = compression
    let sink = try S3Sink(configuration)
    await expectCreatedOnce(try makeDelivery(sink, batch), by: sink)
    await sink.close()
  }

  @Test(.enabled(if: S3Server.strict != nil, strictNeeded))
  func `a wrong key or region is refused with the reason`() async throws {
    let right = try #require(S3Server.strict).configuration()
    var wrongKey = right
    wrongKey.credentials?.secretAccessKey = Secret("wrong")
    var wrongRegion = right
    wrongRegion.region = "eu-nowhere-1"
    for configuration in [wrongKey, wrongRegion] {
      let outcome = try await deliver(to: S3Sink(configuration))
      #expect(outcome.isRefused, "\(outcome)")
      #expect(outcome.words.contains("the store answered 4"), "\(outcome)")
    }
  }

  @Test(.enabled(if: S3Server.strict != nil, strictNeeded))
  func `a clock that is years off is corrected by the server's`() async throws {
    let configuration = try #require(S3Server.strict).configuration()
    let outcome = try await deliver(
      to: S3Sink(configuration, clock: FixedClock(time: Timestamp(seconds: 1e9))))
    #expect(outcome.isDelivered, "\(outcome)")
  }

  // MARK: Parts, and the proof

  /// Both servers with the name of what they are there for.
  static let both: [(name: String, server: S3Server)] = [
    ("conditional", S3Server.conditional), ("strict", S3Server.strict),
  ].compactMap { name, server in server.map { (name, $0) } }

  /// A little more than two parts that do not compress.
  private static let large: Batch = {
    var state: UInt64 = 42
    let letters = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_".utf8)
    return makeBatch(
      (0..<11).map { number in
        let text = (0..<1 << 20).map { _ in
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          return letters[Int(state >> 58)]
        }
        return "{\"n\":\(number),\"text\":\"" + String(decoding: text, as: UTF8.self) + "\"}"
      })
  }()

  @Test(
    .enabled(if: S3Server.conditional != nil && S3Server.strict != nil, needed), arguments: both.indices,
    [nil, .sha256, .crc32c] as [S3StorageOptions.Checksum?])
  func `a server takes an object in parts, finds it again, and the export proves itself`(
    index: Int, checksum: S3StorageOptions.Checksum?
  ) async throws {
    var configuration = Self.both[index].server.configuration("usages-{first}-{last}.json")
    (configuration.partBytes, configuration.storage.checksum) = (5 << 20, checksum)
    let sink = try S3Sink(configuration)
    let delivery = try makeDelivery(sink, Self.large)
    let first = await sink.deliver(delivery)
    #expect(first.isDelivered, "\(first)")
    // Another process: nothing is remembered.
    let other = try S3Sink(configuration)
    let again = await other.deliver(delivery)
    #expect(again.isDelivered && again.words.contains("already exists"), "\(again)")
    let impostor = await other.deliver(try makeDelivery(other, makeBatch((0..<11).map { "{\"n\":\($0)}" })))
    #expect(impostor.isConflict, "\(impostor)")
    let next = await other.deliver(try makeDelivery(other, makeBatch(["{\"n\":11}", "{\"n\":12}"], first: 11)))
    #expect(next.isDelivered, "\(next)")
    let store = try S3ExportStore(configuration)
    let verifier = try ExportVerifier(store: store, layout: configuration.layout, logID: logID, cursor: "archive")
    for depth in ExportReport.Depth.allCases {
      let report = try await verifier.verify(depth, expecting: 0..<13)
      #expect(report.isSound, "\(report.lines)")
    }
    let reader = try ManifestReader(store: store, layout: configuration.layout, logID: logID, cursor: "archive")
    #expect(try await reader.committedEnd() == .init(source: .manifest, committedEnd: 13))
    for closing in [sink, other] { await closing.close() }
    await store.close()
  }
}
