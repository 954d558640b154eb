import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import PenstockLog
import Testing

@testable import PenstockServer

/// A service on a free port of this machine, and a client for it.
struct ServiceRig {
  let service: PenstockService
  let client: any TestClientProtocol

  static func run(
    in directory: String, _ change: (inout ServiceConfiguration) -> Void = { _ in },
    destinations: [ServiceDestination] = [], _ body: @Sendable (ServiceRig) async throws -> Void
  ) async throws {
    var configuration = ServiceConfiguration()
    configuration.port = 0
    change(&configuration)
    let service = try await PenstockService.open(
      log: directory + "/log", configuration: configuration, destinations: destinations)
    let application = try service.application()
    try await application.test(.live) { client in
      try await body(ServiceRig(service: service, client: client))
    }
    try await service.end()
  }

  struct Answer {
    let status: Int
    let headers: HTTPFields
    let text: String

    var json: [String: Any] {
      (try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]) ?? [:]
    }
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
    return try await client.execute(
      uri: path, method: method, headers: fields, body: body.map { ByteBuffer(bytes: $0) }
    ) { response in
      Answer(status: Int(response.status.code), headers: response.headers, text: String(buffer: response.body))
    }
  }

  func post(_ body: String, _ headers: [(String, String)] = [], query: String = "") async throws -> Answer {
    try await send(.post, "/v1/events" + query, Array(body.utf8), headers)
  }
}

extension PenstockService {
  fileprivate static func open(
    log: String, configuration: ServiceConfiguration, destinations: [ServiceDestination]
  ) async throws -> PenstockService {
    try await open(
      log: log, LogConfiguration(), configuration, destinations: destinations,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }
}
