import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import PenstockSinks

/// A reference receiver of webhooks: verifies requests, stores each batch once, and keeps a ledger of every request.
///
/// It accepts POST and PUT on any path (a JSON array or one object), and GET with the event in a query parameter. The
/// `webhook-id` identifies a batch. The first request with an id adds the batch's events to
/// ``ReceiverConfiguration/output``. Later requests with the same body are answered 200 and counted. A request with
/// another body is answered 409 and counted as a violation. A request with the header `webhook-test: true` is checked
/// but not stored.
///
/// Rows and ledger are written before the answer, and synced if configured. A receiver that is killed at any moment
/// continues from its files. It neither loses nor doubles an event that it acknowledged.
///
/// Statuses:
/// - 200: stored, or a duplicate.
/// - 400: not readable. 401: no valid signature or header. 405: another method. 413: too long.
/// - 409: a violation.
/// - 422: rejected on purpose. 500: not stored, or failed on purpose.
public struct WebhookReceiver: Sendable {
  private let configuration: ReceiverConfiguration
  private let onListening: @Sendable (_ port: Int) async -> Void
  private let store: ReceiverStore

  /// Opens the files and reads the ledger. Blocks the calling thread.
  ///
  /// - Parameters:
  ///   - configuration: The address, files, checks and deliberate failures.
  ///   - onListening: Called once, with the port, when the receiver accepts requests.
  /// - Throws: ``ReceiverError`` when a file cannot be opened or read, or a secret is invalid.
  public init(
    _ configuration: ReceiverConfiguration, onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
  ) throws(ReceiverError) {
    self.configuration = configuration
    self.onListening = onListening
    store = try ReceiverStore(configuration)
  }

  /// What the receiver has counted since the start.
  public var counters: ReceiverCounters { get async { await store.counters } }

  /// Runs the receiver until its task is cancelled or its service group shuts down. A graceful shutdown answers the
  /// requests in progress first.
  ///
  /// - Throws: an error of the server, such as a port in use.
  public func run() async throws {
    var logger = Logger(label: "penstock.receiver")
    // Hummingbird logs every connection that a shutdown closes as an error.
    logger.logLevel = .critical
    let application = Application(
      responder: CallbackResponder<BasicRequestContext> { request, _ in try await respond(to: request) },
      configuration: ApplicationConfiguration(address: .hostname(configuration.host, port: configuration.port)),
      onServerRunning: { channel in await onListening(channel.localAddress?.port ?? configuration.port) },
      logger: logger)
    do {
      try await application.run()
    } catch is CancellationError {
      // Cancellation is the normal way to stop.
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
    default: return .failure(ReceiverAnswer(status: 405, text: "only POST, PUT and GET are accepted"))
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
