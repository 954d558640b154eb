import HTTPTypes
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockServer

@Suite("What a key of one app is shown of destinations", .timeLimit(.minutes(1))) struct RedactionTests {
  @TemporaryDirectory private var directory: String

  /// Words of a receiver and an address, which are for nobody but the company.
  static let secrets = ["hooks.example", "4711"]

  static func destination(_ name: String, _ last: ScriptedSink.Step) -> ServiceDestination {
    let sink = ScriptedSink(last: last, description: "webhook https://hooks.example/in")
    return .test(name) { cursor, log in Delivery(from: cursor, source: log, to: sink) }
  }

  static let destinations = [
    destination("refusing", .answer(.refused(reason: "403: user 4711 of app books is not known"))),
    destination("retrying", .answer(.retry(reason: "503: user 4711 of app books", after: .seconds(3600)))),
    .test("broken") { _, _ in throw SinkError("no certificate for hooks.example") },
  ]

  @Test func `the kind of its trouble, and neither what it said nor where it is`() async throws {
    let path = directory + "/keys.json"
    let store = try APIKeyStore(path)
    let admin = try store.create(.init(name: "ops", role: .companyAdmin)).token
    let whole = try store.create(.init(name: "eye", role: .viewer)).token
    let ofOneApp = [
      try store.create(.init(name: "shop", role: .appAdmin, appID: "shop")).token,
      try store.create(.init(name: "shop's eye", role: .viewer, appID: "shop")).token,
    ]
    try await ServiceRig.serve(in: directory, { $0.keysFile = path }, destinations: Self.destinations) { rig in
      #expect(try await rig.send(.post, "/v1/events", Array("{}".utf8), token: admin).status == 200)
      func all(_ token: String) async throws -> (text: String, shown: [[String: Any]]) {
        let answer = try await rig.send(.get, "/v1/destinations", token: token)
        return (answer.text, try #require(answer.json["destinations"] as? [[String: Any]]))
      }
      while true {
        let shown = try await all(admin).shown
        if shown[0]["trouble"] is [String: Any], shown[1]["trouble"] is [String: Any], shown[2]["failure"] is String {
          break
        }
        await Task.yield()
      }
      for token in [admin, whole] {
        for path in ["/v1/destinations", "/v1/status"] {
          let text = try await rig.send(.get, path, token: token).text
          for word in Self.secrets { #expect(text.contains(word), "\(path) lacks \(word)") }
        }
      }
      for token in ofOneApp {
        for path in ["/v1/destinations", "/v1/status"] {
          let text = try await rig.send(.get, path, token: token).text
          for word in Self.secrets { #expect(!text.contains(word), "\(path): \(text)") }
        }
        let shown = try await all(token).shown
        for (one, kind) in zip(shown, ["refused", "unavailable"]) {
          let trouble = try #require(one["trouble"] as? [String: Any])
          #expect(trouble["kind"] as? String == kind && trouble.keys.contains("message"), "\(trouble)")
        }
        #expect(shown[2]["failure"] as? String == "failed")
      }
      let watching = Task { try await rig.send(.get, "/v1/status/stream", token: ofOneApp[1]).text }
      while rig.service.feed.streams == 0 { await Task.yield() }
      rig.service.feed.end()
      let text = try await watching.value
      #expect(text.hasPrefix("event: status\n") && text.contains(#""kind":"refused""#), "\(text)")
      for word in Self.secrets { #expect(!text.contains(word), "\(text)") }
    }
  }

  @Test func `a request that needs no key sees what the company sees`() throws {
    #expect(RedactionScope(nil) == .company)
    #expect(RedactionScope(try AuditTests.key(1)) == .oneApp)
    var keySet = APIKeySet()
    let key = try keySet.create(.init(name: "eye", role: .viewer), at: 0, random: KeyRingTests.random(3)).key
    #expect(RedactionScope(key) == .company)
  }
}
