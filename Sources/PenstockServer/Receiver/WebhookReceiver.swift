import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import PenstockSinks

/// A reference receiver of webhooks: verifies, stores each batch once, and keeps a ledger of every request.
///
/// Takes POST and PUT on any path (a JSON array or one object) and GET with the event in a query parameter. A batch is
/// known by its `webhook-id`: the first request with an id adds the batch's events to ``ReceiverConfiguration/output``,
/// later ones with the same body are answered 200 and counted, one with another body is answered 409 and counted as a
/// violation. A request with the header `webhook-test: true` is checked and thrown away. Rows and ledger are written, and synced if asked for, before the answer, so a receiver that is killed at any
/// moment goes on from its files without losing or doubling an event it answered for.
///
/// Status: 200 stored or seen before, 400 not readable, 401 not signed or no key, 405 another method, 409 violation, 413 too
/// long, 500 could not be stored, or failed on purpose.
public struct WebhookReceiver: Sendable {
  private let configuration: ReceiverConfiguration
  private let onListening: @Sendable (_ port: Int) async -> Void
  private let store: ReceiverStore

  /// Opens the files and reads the ledger.
  ///
  /// - Parameters:
  ///   - configuration: Where it listens, what it keeps, and how it fails on purpose.
  ///   - onListening: Called once, with the port, when requests are taken.
  public init(
    _ configuration: ReceiverConfiguration, onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
  ) throws(ReceiverError) {
    self.configuration = configuration
    self.onListening = onListening
    store = try ReceiverStore(configuration)
  }

  /// What has been received since the start.
  public var counters: ReceiverCounters { get async { await store.counters } }

  /// Receives until the task is cancelled, or the service group it runs in shuts down; requests under way are answered
  /// first in the latter case. Throws when the port cannot be had.
  public func run() async throws {
    var logger = Logger(label: "penstock.receiver")
    // Being stopped is logged as an error for each connection that is still open.
    logger.logLevel = .critical
    let application = Application(
      responder: CallbackResponder<BasicRequestContext> { request, _ in try await respond(to: request) },
      configuration: ApplicationConfiguration(address: .hostname(configuration.host, port: configuration.port)),
      onServerRunning: { channel in await onListening(channel.localAddress?.port ?? configuration.port) },
      logger: logger)
    do {
      try await application.run()
    } catch is CancellationError {
      // The way to stop it.
    }
  }

  private func respond(to request: Request) async throws -> Response {
    if configuration.delay > .zero { try await Task.sleep(for: configuration.delay) }
    switch try await body(of: request) {
    case .failure(let answer):
      await store.noteUnreadable()
      return Self.response(answer)
    case .success(let body):
      let received = ReceivedRequest(
        id: Self.header("webhook-id", request), timestamp: Self.header("webhook-timestamp", request),
        signature: Self.header("webhook-signature", request), range: Self.header("x-penstock-range", request),
        key: configuration.requiredHeader.flatMap { Self.header($0.name, request) },
        isTest: Self.header("webhook-test", request) == "true", body: body)
      return Self.response(await store.receive(received, now: secondsNow()))
    }
  }

  private enum Body {
    case success([UInt8])
    case failure(ReceiverAnswer)
  }

  private func body(of request: Request) async throws -> Body {
    switch request.method {
    case .get:
      guard let value = request.uri.query.flatMap({ ReceiverBody.parameter(configuration.parameter, in: $0) }) else {
        return .failure(ReceiverAnswer(status: 400, text: "the parameter \(configuration.parameter) is missing"))
      }
      return .success(value)
    case .post, .put:
      var bytes: [UInt8] = []
      for try await chunk in request.body {
        guard bytes.count + chunk.readableBytes <= configuration.maxBodyBytes else {
          return .failure(ReceiverAnswer(status: 413, text: "longer than \(configuration.maxBodyBytes) bytes"))
        }
        bytes.append(contentsOf: chunk.readableBytesView)
      }
      return .success(bytes)
    default: return .failure(ReceiverAnswer(status: 405, text: "POST, PUT and GET are taken"))
    }
  }

  private static func header(_ name: String, _ request: Request) -> String? {
    HTTPField.Name(name).flatMap { request.headers[$0] }
  }

  private static func response(_ answer: ReceiverAnswer) -> Response {
    Response(
      status: HTTPResponse.Status(code: answer.status), headers: [.contentType: "text/plain; charset=utf-8"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: answer.text + "\n")))
  }
}
