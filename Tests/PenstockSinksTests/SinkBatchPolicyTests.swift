import Logging
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockSinks

/// What a configuration says of batches holds for every delivery to that sink, not for the command line alone.
@Suite("A delivery to a sink of this package", .timeLimit(.minutes(1)))
struct SinkBatchPolicyTests {
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

  @Test(
    "with one event a request sends every event, alone and in order, whatever policy it is given",
    arguments: [WebhookConfiguration.Method.post, .get], [nil, BatchPolicy(), BatchPolicy(maxWait: .seconds(1))])
  func single(method: WebhookConfiguration.Method, policy: BatchPolicy?) async throws {
    let source = source(10)
    let transport = ScriptedTransport((0..<10).map { _ in ScriptedTransport.answer(200) })
    let sink = try WebhookSink(
      configuration {
        $0.method = method
        $0.batching = .single
      }, transport: transport, clock: FixedClock())
    let cursor = InMemoryCursor(named: "hook", of: source)
    let dead = InMemoryDeadLetters()
    let report = try await Delivery(
      from: cursor.acquire(), source: source, to: sink, options: DeliveryOptions(policy: policy),
      deadLetters: dead.box(),
      environment: DeliveryEnvironment(logger: silent)
    ).run(untilCaughtUpWith: nil)
    #expect(report.deadLetters == 0 && dead.letters.isEmpty && report.events == 10 && report.batches == 10)
    #expect(transport.requests.map { $0.header("x-penstock-range") } == (0..<10).map { "\($0)-\($0)" })
    if method == .post {
      #expect(transport.requests.map { String(decoding: $0.body, as: UTF8.self) } == (0..<10).map { #"{"n":\#($0)}"# })
    }
  }

  @Test("that is changed to one event a request sends parts of a rejected batch without blaming their first record")
  func changedToSingle() async throws {
    let source = source(8)
    let cursor = InMemoryCursor(named: "hook", of: source)
    let dead = InMemoryDeadLetters()
    // The whole is rejected, and the delivery is stopped with its parts reserved.
    let first = try WebhookSink(
      configuration(),
      transport: ScriptedTransport(ScriptedTransport.answer(422), ScriptedTransport.answer(410)), clock: FixedClock())
    _ = try? await Delivery(
      from: cursor.acquire(), source: source, to: first, deadLetters: dead.box(),
      environment: DeliveryEnvironment(logger: silent)
    ).run(untilCaughtUpWith: nil)
    #expect(cursor.state.committed == .zero && !cursor.state.reserved.isEmpty)
    let second = try WebhookSink(
      configuration { $0.batching = .single },
      transport: ScriptedTransport((0..<8).map { _ in ScriptedTransport.answer(200) }), clock: FixedClock())
    // The reserved part is longer than one record, and planned as a whole: that is no record's fault.
    _ = try? await Delivery(
      from: cursor.acquire(), source: source, to: second, deadLetters: dead.box(),
      environment: DeliveryEnvironment(logger: silent)
    ).run(untilCaughtUpWith: nil)
    #expect(dead.letters.isEmpty)
  }

  @Test("closes its batches where the configuration of the webhook says")
  func webhook() throws {
    let sink = try WebhookSink(
      configuration {
        $0.maxRecords = 7
        $0.maxBytes = 99
        $0.maxWait = .seconds(3)
      }, transport: ScriptedTransport())
    #expect(sink.batchPolicy == BatchPolicy(maxRecords: 7, maxBytes: 99, maxWait: .seconds(3)))
    #expect(sink.batchLimits == BatchLimits())
    let single = try WebhookSink(configuration { $0.batching = .single }, transport: ScriptedTransport())
    #expect(single.batchPolicy.maxRecords == 1 && single.batchLimits.maxRecords == 1)
  }

  @Test("closes its objects where the configuration of the bucket says, and never makes one that cannot be uploaded")
  func bucket() throws {
    var configuration = S3Configuration(
      bucket: "acme", credentials: S3Credentials(accessKeyID: "id", secretAccessKey: Secret("key")))
    let usual = try S3Sink(configuration, transport: ScriptedTransport()).batchPolicy
    #expect(usual == BatchPolicy(maxRecords: 1_000_000, maxBytes: 64 << 20, maxWait: .seconds(300)))
    configuration.maxRecords = 11
    configuration.maxBytes = 1 << 20
    configuration.maxWait = .seconds(7)
    configuration.boundary = .seconds(3600)
    let sink = try S3Sink(configuration, transport: ScriptedTransport())
    #expect(
      sink.batchPolicy
        == BatchPolicy(maxRecords: 11, maxBytes: 1 << 20, maxWait: .seconds(7), boundary: .seconds(3600)))
    #expect(sink.batchLimits == BatchLimits(maxBytes: 5 << 30))
    configuration.endpoint = "http://127.0.0.1:1"
    configuration.partBytes = 1000
    #expect(try S3Sink(configuration, transport: ScriptedTransport()).batchLimits.maxBytes == 5_000_000)
  }

  @Test("puts as many records into one file as the directory sink says")
  func directory() async throws {
    try await withTemporaryDirectory { directory in
      let source = source(1200)
      var sink = try DirectorySink(root: directory)
      sink.boundary = .seconds(3600)
      #expect(sink.batchPolicy.boundary == .seconds(3600) && sink.batchPolicy.maxWait == .seconds(300))
      let cursor = InMemoryCursor(named: "archive", of: source)
      let report = try await Delivery(
        from: cursor.acquire(), source: source, to: sink, environment: DeliveryEnvironment(logger: silent)
      )
      .run(untilCaughtUpWith: nil)
      #expect(report.batches == 1 && report.records == 1200)
      sink.maxRecords = 500
      let again = InMemoryCursor(named: "again", of: source)
      let parts = try await Delivery(
        from: again.acquire(), source: source, to: sink, environment: DeliveryEnvironment(logger: silent)
      )
      .run(untilCaughtUpWith: nil)
      #expect(parts.batches == 3)
    }
  }
}
