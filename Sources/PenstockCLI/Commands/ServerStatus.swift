import Foundation
import PenstockDelivery
import PenstockLog
import PenstockSinks
import PenstockSupport
import PenstockToolSupport

/// The status of a running service, shown like `penstock status --log`.
struct ServerStatus {
  /// The parts of `GET /v1/status` that are shown.
  struct Status: Decodable {
    struct Lag: Decodable {
      var records: Int
      var bytes: UInt64?
      var seconds: Double?
      var health: String
      var words: String?
    }
    struct Pause: Decodable {
      var since: String?
      var reason: String
    }
    struct Range: Decodable {
      var first: UInt64
      var end: UInt64
    }
    struct Destination: Decodable {
      var name: String
      var kind: String
      var state: String
      var pause: Pause?
      var committed: UInt64?
      var lag: Lag?
      var inFlight: Range?
      var deadLetters: Int?
    }
    var log: String
    var ready: Bool
    var first: UInt64
    var end: UInt64
    var segments: Int
    var bytesOnDisk: UInt64
    var startedAt: String
    var destinations: [Destination]
  }

  let server: String
  let status: Status
  /// The unchanged response.
  let text: String

  /// Requests the status.
  ///
  /// - Parameters:
  ///   - server: The address, as in `http://127.0.0.1:8080`.
  ///   - key: A token; nil when the service needs none.
  init(_ server: String, key: String?, tls: TLSSettings) async throws {
    self.server = server
    let answer = try await Self.ask(server, key, tls)
    guard answer.status == 200 else { throw Self.failure(answer, server, hasKey: key != nil) }
    text = String(decoding: answer.body, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    guard let found = try? JSONDecoder().decode(Status.self, from: Data(answer.body)), found.first <= found.end else {
      throw Failure(
        .bad, "unexpectedAnswer", "the response of \(server) is not a penstock status",
        advice: "use the address that `penstock serve` listens on")
    }
    status = found
  }

  private static func ask(_ server: String, _ key: String?, _ tls: TLSSettings) async throws -> TransportResponse {
    var settings = TransportSettings()
    settings.tls = tls
    let transport = try AsyncHTTPTransport(settings)
    var request = TransportRequest(
      method: "GET", url: trimmed(server) + "/v1/status",
      headers: key.map { [(name: "Authorization", value: "Bearer \($0)")] } ?? [], timeout: .seconds(30))
    request.responseLimit = 64 << 20
    do throws(TransportError) {
      let answer = try await transport.send(request)
      await transport.close()
      return answer
    } catch {
      await transport.close()
      throw Failure(
        error.kind == .invalidRequest ? .usage : .cannot, "unreachable", "cannot reach \(server): \(error)",
        advice: "check that `penstock serve` listens there")
    }
  }

  private static func trimmed(_ server: String) -> String {
    var server = server
    while server.last == "/" { server.removeLast() }
    return server
  }

  private static func failure(_ answer: TransportResponse, _ server: String, hasKey: Bool) -> Failure {
    switch answer.status {
    case 401:
      Failure(
        .cannot, "unauthorized", "\(server) " + (hasKey ? "rejected this key" : "needs a key"),
        advice: "set a token in PENSTOCK_KEY or with --key-file; `penstock keys create` creates one")
    case 403:
      Failure(
        .cannot, "forbidden", "this key has no permission for the status of \(server)",
        advice: "use a key with the role viewer or higher")
    case 429: Failure(.cannot, "tooManyRequests", "rate limit of \(server) exceeded for this key")
    default:
      Failure(.cannot, "unexpectedAnswer", "\(server) answered \(statusWords(answer.status))")
    }
  }

  static func isServer(_ text: String) -> Bool {
    guard let url = URL(string: text), let scheme = url.scheme?.lowercased() else { return false }
    return ["http", "https"].contains(scheme) && url.host?.isEmpty == false && url.query == nil
  }
}

// MARK: Output

extension ServerStatus {
  /// The members of `penstock status --log --json` that a service reports, under the same names, and its full response.
  var json: JSON {
    .object([
      ("server", .string(server)), ("log", .string(status.log)), ("ready", .bool(status.ready)),
      ("first", .number(status.first)), ("end", .number(status.end)), ("records", .number(status.end - status.first)),
      ("bytesOnDisk", .number(status.bytesOnDisk)), ("writer", .bool(true)),
      ("cursors", .array(status.destinations.map(Self.json))), ("service", .raw(text)),
    ])
  }

  private static func json(_ destination: Status.Destination) -> JSON {
    .object([
      ("name", .string(destination.name)), ("committed", .optional(destination.committed)),
      ("lag", .optional(destination.lag?.records)), ("lagBytes", .optional(destination.lag?.bytes)),
      ("lagSeconds", destination.lag?.seconds.map { .number($0) } ?? .null),
      ("health", .optional(destination.lag?.health)), ("healthWords", .optional(destination.lag?.words)),
      ("state", .string(destination.state)), ("deadLetters", .optional(destination.deadLetters)),
      (
        "paused",
        destination.pause.map { .object([("since", .optional($0.since)), ("reason", .string($0.reason))]) } ?? .null
      ),
    ])
  }

  var words: String {
    var rows = [
      ["log", server], ["id", status.log],
      ["writer", status.ready ? "the service accepts events" : "the service does not accept events"],
      ["records", "\(HumanFormat.count(status.end - status.first)) (offsets \(status.first) ..< \(status.end))"],
      ["size", "\(HumanFormat.bytes(status.bytesOnDisk)) on disk in \(HumanFormat.count(status.segments, "segment"))"],
      ["started", status.startedAt],
    ]
    for destination in status.destinations {
      if let lag = destination.lag, lag.health != "ok" {
        rows.append([lag.health, "\(destination.name): \(lag.words ?? destination.state)"])
      }
      if let count = destination.deadLetters, count > 0 {
        rows.append([
          "dead letters", "cursor \(destination.name): \(HumanFormat.count(count)) since its delivery started",
        ])
      }
    }
    return HumanFormat.table(rows) + "\n\n" + table
  }

  private var table: String {
    if status.destinations.isEmpty { return "no cursors" }
    var rows = [["cursor", "committed", "lag", "bytes", "age", "in flight", "state"]]
    for destination in status.destinations {
      let lag = destination.lag
      rows.append([
        destination.name, destination.committed.map { "\($0)" } ?? "–",
        lag.map { HumanFormat.count($0.records) } ?? "–",
        lag?.bytes.map { HumanFormat.bytes($0) } ?? "–",
        lag?.seconds.map { $0 > 0 ? HumanFormat.seconds($0) : "–" } ?? "–",
        destination.inFlight.map { "\($0.first) ..< \($0.end)" } ?? "–", destination.state,
      ])
    }
    return HumanFormat.table(rows, right: [1, 2, 3, 4])
  }
}
