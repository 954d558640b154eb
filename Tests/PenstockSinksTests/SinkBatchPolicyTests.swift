import Logging
import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockSinks

/// What a configuration says of batches holds for every delivery to that sink, not for the command line alone.
@Suite("A delivery to a sink of this package", .timeLimit(.minutes(1))) struct SinkBatchPolicyTests {
  private let dead = InMemoryDeadLetters()
  @TemporaryDirectory private var directory: String
  private let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  private func source(_ count: Int) -> InMemorySource {
    let source = InMemorySource()
    for number in 0..<count { source.append(#"{"n":\#(number)}"#) }
    return source
  }

  private func configuration(_ change: (inout WebhookConfiguration) -> Void = { _ in }) -> WebhookConfiguration {
    var configuration = WebhookConfiguration(url: "https://example.com/")
    change(&configuration)
    return configuration
  }

  @Test(arguments: [WebhookConfiguration.Method.post, .get], [nil, BatchPolicy(), BatchPolicy(maxWait: .seconds(1))])
  func `with one event a request sends every event, alone and in order, whatever policy it is given`(
    method: WebhookConfiguration.Method, policy: BatchPolicy?
  ) async throws {
    let source = source(10)
    let transport = ScriptedTransport((0..<10).map { _ in ScriptedTransport.Step.answer(200) })
    let sink = try WebhookSink(
      configuration { ($0.method, $0.batching) = (method, .single) }, transport: transport, clock: FixedClock())
    let cursor = InMemoryCursor(named: "hook", of: source)
    let report = try await Delivery(
      from: cursor.acquire(), source: source, to: sink, options: DeliveryOptions(policy: policy),
      deadLetters: dead.box(),
      environment: DeliveryEnvironment(logger: silent)
    ).run(untilCaughtUpWith: nil)
    #expect(report.deadLetters == 0 && dead.letters.isEmpty && report.events == 10 && report.attempts == 10)
    #expect(transport.requests.map { $0.header("x-penstock-range") } == (0..<10).map { "\($0)-\($0)" })
    if method == .post {
      #expect(transport.requests.map { String(decoding: $0.body, as: UTF8.self) } == (0..<10).map { #"{"n":\#($0)}"# })
    }
  }

  @Test func `that is changed to one event a request blames no first record for a rejected part`() async throws {
    let source = source(8)
    let cursor = InMemoryCursor(named: "hook", of: source)
    // The whole is rejected, and the delivery is stopped with its parts reserved.
    let first = try WebhookSink(
      configuration(), transport: ScriptedTransport(.answer(422), .answer(410)), clock: FixedClock())
    _ = try? await Delivery(
      from: cursor.acquire(), source: source, to: first, deadLetters: dead.box(),
      environment: DeliveryEnvironment(logger: silent)
    ).run(untilCaughtUpWith: nil)
    #expect(cursor.state.committed == .zero && !cursor.state.reserved.isEmpty)
    let second = try WebhookSink(
      configuration { $0.batching = .single },
      transport: ScriptedTransport((0..<8).map { _ in ScriptedTransport.Step.answer(200) }), clock: FixedClock())
    // The reserved part is longer than one record, and planned as a whole: that is no record's fault.
    _ = try? await Delivery(
      from: cursor.acquire(), source: source, to: second, deadLetters: dead.box(),
      environment: DeliveryEnvironment(logger: silent)
    ).run(untilCaughtUpWith: nil)
    #expect(dead.letters.isEmpty)
  }

  @Test func `closes its batches where the configuration of the webhook says`() throws {
    let sink = try WebhookSink(
      configuration { ($0.maxRecords, $0.maxBytes, $0.maxWait) = (7, 99, .seconds(3)) }, transport: ScriptedTransport())
    #expect(sink.batchPolicy == BatchPolicy(maxRecords: 7, maxBytes: 99, maxWait: .seconds(3)))
    #expect(sink.batchLimits == BatchLimits())
    let single = try WebhookSink(configuration { $0.batching = .single }, transport: ScriptedTransport())
    #expect(single.batchPolicy.maxRecords == 1 && single.batchLimits.maxRecords == 1)
  }

  @Test func `closes its objects where the bucket's configuration says, and none is too large to upload`() throws {
    var configuration = S3Configuration.acme { $0.endpoint = nil }
    let usual = try S3Sink(configuration, transport: ScriptedTransport()).batchPolicy
    #expect(usual == BatchPolicy(maxRecords: 1_000_000, maxBytes: 64 << 20, maxWait: .seconds(300)))
    (configuration.maxRecords, configuration.maxBytes, configuration.maxWait) = (11, 1 << 20, .seconds(7))
    configuration.boundary = .seconds(3600)
    let sink = try S3Sink(configuration, transport: ScriptedTransport())
    #expect(
      sink.batchPolicy
        == BatchPolicy(maxRecords: 11, maxBytes: 1 << 20, maxWait: .seconds(7), boundary: .seconds(3600)))
    #expect(sink.batchLimits == BatchLimits(maxBytes: 5 << 30))
    (configuration.endpoint, configuration.partBytes) = ("http://127.0.0.1:1", 1000)
    #expect(try S3Sink(configuration, transport: ScriptedTransport()).batchLimits.maxBytes == 5_000_000)
  }

  @Test func `puts as many records into one file as the directory sink says`() async throws {
    let source = source(1200)
    var sink = try DirectorySink(root: directory)
    sink.boundary = .seconds(3600)
    #expect(sink.batchPolicy.boundary == .seconds(3600) && sink.batchPolicy.maxWait == .seconds(300))
    let cursor = InMemoryCursor(named: "archive", of: source)
    let report = try await Delivery(
      from: cursor.acquire(), source: source, to: sink, environment: DeliveryEnvironment(logger: silent)
    ).run(untilCaughtUpWith: nil)
    #expect(report.batches == 1 && report.records == 1200)
    sink.maxRecords = 500
    let again = InMemoryCursor(named: "again", of: source)
    let parts = try await Delivery(
      from: again.acquire(), source: source, to: sink, environment: DeliveryEnvironment(logger: silent)
    ).run(untilCaughtUpWith: nil)
    #expect(parts.batches == 3)
  }
}

/// Every sink against `SinkConformance`.
struct SinkContractTests {
  @TemporaryDirectory private var directory: String
  private let records = [#"{"a":1,"traits":{"é":[1,2]}}"#, #"{"b":"two"}"#, #"{"c":null}"#].map { Array($0.utf8) }

  @Test(arguments: [.none, .gzip(), .zstd()] as [ExportCompression])
  func `the directory keeps the contract`(compression: ExportCompression) async throws {
    var layout = ExportLayout()
    (layout.keyTemplate, layout.compression) = ("exports/{cursor}-{first}-{last}.json", compression)
    var changed = ExportLayout(prefix: "elsewhere")
    changed.fields = FieldSelection(keeping: [])
    try await SinkConformance.check(
      records: records, reconfigured: { [changed] in try DirectorySink(root: directory, layout: changed) },
      makeSink: { [layout] in try DirectorySink(root: directory, layout: layout) })
  }

  @Test func `S3 keeps the contract`() async throws {
    let bucket = BucketInMemory()
    func make(_ compression: ExportCompression, _ template: String) throws -> S3Sink {
      try S3Sink(.acme { ($0.layout.compression, $0.layout.keyTemplate) = (compression, template) }, transport: bucket)
    }
    try await SinkConformance.check(
      records: records, secrets: ["hunter2"], reconfigured: { try make(.zstd(), "x/{first}{last}") },
      makeSink: { try make(.gzip(), "{cursor}/{first}{last}") })
    #expect(bucket.keys(under: "").count { !$0.contains("_penstock") } == 2)
  }

  @Test(arguments: ["array", "single", "get"])
  func `the webhook keeps the contract, with one event a request as well`(form: String) async throws {
    func make(_ fields: FieldSelection) throws -> WebhookSink {
      var configuration = WebhookConfiguration(url: "https://example.com/?key=hunter2")
      if form == "single" { configuration.batching = .single }
      if form == "get" { configuration.method = .get }
      (configuration.headers, configuration.fields) = ([.init("api-key", Secret("hunter2"))], fields)
      return try WebhookSink(configuration, transport: AlwaysOK())
    }
    try await SinkConformance.check(
      records: records, secrets: ["hunter2"], reconfigured: { try make(FieldSelection(keeping: [])) },
      makeSink: { try make(.all) })
  }
}

private struct AlwaysOK: HTTPTransport {
  func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse {
    TransportResponse(status: 200)
  }
  func close() async {}
}
