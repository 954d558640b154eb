import Foundation
import PenstockDelivery
import PenstockLog
import PenstockServer
import Testing

@testable import PenstockSinks

/// The webhook sink against the reference receiver, over the loopback interface.
struct WebhookLoopbackTests {
  @TemporaryDirectory private var directory: String
  private static let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
  private let records = (0..<7).map { #"{"n":\#($0),"text":"é & + % ="}"# }

  private var rows: [UInt8] { records.flatMap { Array("\($0)\n".utf8) } }

  @Test(arguments: WebhookConfiguration.Method.allCases)
  func `what is delivered is what is stored, byte for byte, once`(method: WebhookConfiguration.Method) async throws {
    try await withReceiver { _ in
    } body: { url, receiver, output in
      let sink = try makeSink(url) { $0.method = method }
      let count = method == .get ? 1 : records.count
      for first in stride(from: 0, to: records.count, by: count) {
        let batch = makeBatch(Array(records[first..<(first + count)]), first: UInt64(first))
        let delivery = try makeDelivery(sink, batch)
        for attempt in 1...3 { #expect(await sink.deliver(delivery).isDelivered, "attempt \(attempt)") }
      }
      await sink.close()
      #expect(try read(output) == rows)
      let counters = await receiver.counters
      #expect(counters.batches == records.count / count)
      #expect(counters.rows == records.count)
      #expect(counters.duplicates == 2 * counters.batches)
      #expect(counters.violations == 0)
    }
  }

  @Test func `failures on purpose, before and after storing, lose nothing and double nothing`() async throws {
    try await withReceiver {
      ($0.failureRate, $0.seed) = (0.6, 7)
    } body: { url, receiver, output in
      let sink = try makeSink(url)
      var attempts = 0
      for first in records.indices {
        let delivery = try makeDelivery(sink, makeBatch([records[first]], first: UInt64(first)))
        var outcome: DeliveryOutcome
        repeat {
          outcome = await sink.deliver(delivery)
          attempts += 1
        } while outcome.isRetry && attempts < 1000
        #expect(outcome.isDelivered)
      }
      await sink.close()
      #expect(try read(output) == rows)
      let counters = await receiver.counters
      #expect(counters.injectedFailures == attempts - records.count)
      #expect(counters.duplicates > 0)
      #expect(counters.batches == records.count)
    }
  }

  @Test func `another secret is refused, and nothing is stored`() async throws {
    try await withReceiver { _ in
    } body: { url, receiver, output in
      let sink = try makeSink(url) { $0.secrets = [Secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")] }
      let outcome = await sink.deliver(try makeDelivery(sink, makeBatch(records)))
      await sink.close()
      #expect(outcome == .refused(reason: "the receiver answered 401 Unauthorized: no signature matches"))
      #expect(try read(output).isEmpty)
      #expect(await receiver.counters.unauthorized == 1)
    }
  }

  @Test func `a test delivery is checked by the receiver and leaves nothing there`() async throws {
    try await withReceiver { _ in
    } body: { url, receiver, output in
      let sink = try makeSink(url)
      let report = await sink.test()
      #expect(report.outcome.isDelivered && report.excerpt.contains("nothing stored"), "\(report)")
      await sink.close()
      let stranger = try makeSink(url) { $0.secrets = [Secret("whsec_" + String(repeating: "A", count: 32))] }
      #expect((await stranger.test()).outcome.isRefused)
      await stranger.close()
      #expect(try read(output).isEmpty)
      #expect(await receiver.counters.batches == 0)
    }
  }

  @Test func `the guard is on unless it is switched off`() async throws {
    expectSinkError(containing: "is loopback") {
      _ = try makeSink("http://127.0.0.1:9/") { $0.addresses = .publicOnly }
    }
    #expect(WebhookConfiguration(url: "https://example.com").addresses == .publicOnly)
    let sink = try makeSink("http://localhost:9/") { $0.addresses = .publicOnly }
    let outcome = await sink.deliver(try makeDelivery(sink, makeBatch(records)))
    await sink.close()
    #expect(outcome.isRefused && outcome.words.contains("to which localhost resolves, is loopback"), "\(outcome)")
  }

  @Test(arguments: [("right", true), ("wrong", false)])
  func `a receiver that demands a key takes the right one only`(key: String, isRight: Bool) async throws {
    try await withReceiver {
      ($0.secrets, $0.requiredHeader) = ([], .init("Your-Api-Key", Secret("right")))
    } body: { url, _, _ in
      let sink = try makeSink(url) { ($0.secrets, $0.headers) = ([], [.init("your-api-key", Secret(key))]) }
      let outcome = await sink.deliver(try makeDelivery(sink, makeBatch(records)))
      await sink.close()
      #expect(outcome.isDelivered == isRight)
      #expect(outcome.isRefused == !isRight)
    }
  }

  @Test func `a body that is no JSON is rejected, and one too long is`() async throws {
    try await withReceiver {
      $0.maxBodyBytes = 100
    } body: { url, receiver, output in
      let sink = try makeSink(url)
      #expect(await sink.deliver(try makeDelivery(sink, makeBatch(["{]"]))).isRejected)
      let long = await sink.deliver(try makeDelivery(sink, makeBatch([String(repeating: "1", count: 100)])))
      await sink.close()
      #expect(long.isRejected)
      #expect(long.words.contains("413"), "\(long)")
      #expect(try read(output).isEmpty)
      #expect(await receiver.counters.malformed == 2)
    }
  }

  @Test func `a megabyte and more passes`() async throws {
    try await withReceiver { _ in
    } body: { url, _, output in
      let sink = try makeSink(url)
      let record = #"{"text":"\#(String(repeating: "x", count: 3 << 20))"}"#
      #expect(await sink.deliver(try makeDelivery(sink, makeBatch([record, record]))).isDelivered)
      await sink.close()
      #expect(try read(output) == Array("\(record)\n\(record)\n".utf8))
    }
  }

  private func makeSink(
    _ url: String, _ change: (inout WebhookConfiguration) -> Void = { _ in }
  ) throws -> WebhookSink {
    var configuration = WebhookConfiguration(url: url)
    (configuration.secrets, configuration.addresses) = ([Self.secret], .publicAndPrivate)
    change(&configuration)
    return try WebhookSink(configuration)
  }

  /// Runs a receiver on a free port for as long as `body` takes.
  private func withReceiver(
    _ change: (inout ReceiverConfiguration) -> Void,
    body: (_ url: String, _ receiver: WebhookReceiver, _ output: String) async throws -> Void
  ) async throws {
    var configuration = ReceiverConfiguration()
    configuration.output = directory + "/rows"
    (configuration.ledger, configuration.secrets) = (directory + "/ledger", [Self.secret])
    change(&configuration)
    let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
    let receiver = try WebhookReceiver(configuration) { port in continuation.yield(port) }
    let running = Task {
      defer { continuation.finish() }
      try await receiver.run()
    }
    var iterator = ports.makeAsyncIterator()
    let port = await iterator.next()
    if let port { try await body("http://127.0.0.1:\(port)/in?tenant=1", receiver, directory + "/rows") }
    running.cancel()
    try await running.value
    try #require(port != nil, "the receiver did not listen")
  }
}
