import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import PenstockDelivery
import PenstockLog
import Synchronization
import Testing
import Tracing

@testable import PenstockServer

/// A service on a free port of this machine, and a client for it.
struct ServiceRig {
  let service: PenstockService
  let line: ServiceLine

  /// With the service as it listens and answers, and no destination running.
  ///
  /// - Parameter directory: a temporary one unless given.
  static func run(
    in directory: String? = nil, _ change: (inout ServiceConfiguration) -> Void = { _ in },
    destinations: [ServiceDestination] = [], tracer: any Tracer = NoOpTracer(),
    logger: Logger = ConnectionTimeoutTests.quiet, _ body: @Sendable (ServiceRig) async throws -> Void
  ) async throws {
    let temporary = TemporaryDirectory()
    defer { withExtendedLifetime(temporary) {} }
    let service = try await open(in: directory ?? temporary.wrappedValue, change, destinations, tracer, logger)
    let application = try service.application()
    try await application.test(.live) { client in
      try await body(ServiceRig(service: service, line: ServiceLine(port: try #require(client.port))))
    }
    try await service.end()
  }

  /// With all of it running, destinations included, from its start to its end.
  static func serve(
    in directory: String? = nil, _ change: (inout ServiceConfiguration) -> Void = { _ in },
    destinations: [ServiceDestination], _ body: @Sendable (ServiceRig) async throws -> Void
  ) async throws {
    let (ports, temporary) = (AsyncStream<Int>.makeStream(), TemporaryDirectory())
    defer { withExtendedLifetime(temporary) {} }
    let service = try await open(in: directory ?? temporary.wrappedValue, change, destinations) {
      ports.continuation.yield($0)
    }
    let serving = Task {
      defer { ports.continuation.finish() }
      try await service.run()
    }
    do {
      let port = try #require(await ports.stream.first { _ in true }, "it ended before it listened")
      try await body(ServiceRig(service: service, line: ServiceLine(port: port)))
    } catch {
      serving.cancel()
      _ = await serving.result
      throw error
    }
    serving.cancel()
    try await serving.value
  }

  private static func open(
    in directory: String, _ change: (inout ServiceConfiguration) -> Void, _ destinations: [ServiceDestination],
    _ tracer: any Tracer = NoOpTracer(), _ logger: Logger = ConnectionTimeoutTests.quiet,
    onListening: @escaping @Sendable (Int) async -> Void = { _ in }
  ) async throws -> PenstockService {
    var configuration = ServiceConfiguration()
    configuration.port = 0
    change(&configuration)
    return try await PenstockService.open(
      log: directory + "/log", LogConfiguration(), configuration, destinations: destinations,
      environment: ServiceEnvironment(logger: logger, tracer: tracer), onListening: onListening)
  }

  struct Answer {
    let status: Int
    let headers: HTTPFields
    let text: String

    var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]) ?? [:] }
    var code: String? { (json["error"] as? [String: Any])?["code"] as? String }
  }

  func send(
    _ method: HTTPRequest.Method, _ path: String, _ body: [UInt8]? = nil, type: String? = "application/json",
    token: String? = nil, _ headers: [(String, String)] = []
  ) async throws -> Answer {
    var fields = HTTPFields()
    if body != nil, let type { fields[.contentType] = type }
    if let token { fields[.authorization] = "Bearer \(token)" }
    for (name, value) in headers { fields[try #require(HTTPField.Name(name))] = value }
    let request = TestClient.Request(
      path, method: method, authority: "localhost", headers: fields, body: body.map { ByteBuffer(bytes: $0) })
    let response = try await line.send(request)
    return Answer(
      status: Int(response.status.code), headers: response.headers, text: response.body.map { String(buffer: $0) } ?? ""
    )
  }

  func post(_ body: String, _ headers: [(String, String)] = [], query: String = "") async throws -> Answer {
    try await send(.post, "/v1/events" + query, Array(body.utf8), headers)
  }
}

extension ServiceDestination {
  /// A destination of a test, which delivers or replays only where that is given.
  static func test(
    _ name: String = "shop", kind: String = "webhook", deadLetters: String? = nil, settings: [ServiceSetting] = [],
    delivering: @escaping @Sendable (Cursor, Log) async throws -> Delivery = { _, _ in
      throw LogError(.closed, "not in this test")
    },
    replaying: @escaping @Sendable (_ id: String) throws -> any Sink = { _ in throw SinkError("not in this test") }
  ) -> ServiceDestination {
    ServiceDestination(
      name: name, kind: kind, options: .init(deadLetters: deadLetters, settings: settings),
      makeDelivery: { cursor, log, _ in try await delivering(cursor, log) }, makeReplaySink: replaying)
  }
}

/// A client's connection, and a new one whenever the service has said that it ends this one. After a refusal the
/// service does not read the rest of the body.
final class ServiceLine: Sendable {
  let port: Int
  private let client: Mutex<TestClient?>

  init(port: Int) {
    self.port = port
    client = Mutex(nil)
  }

  func send(_ request: TestClient.Request) async throws -> TestClient.Response {
    let client = connected()
    let response = try await client.execute(request)
    if response.headers[.connection] == "close" {
      self.client.withLock { $0 = nil }
      try await client.shutdown()
    }
    return response
  }

  private func connected() -> TestClient {
    client.withLock { kept in
      if let kept { return kept }
      let made = TestClient(host: "localhost", port: port)
      made.connect()
      kept = made
      return made
    }
  }
}
