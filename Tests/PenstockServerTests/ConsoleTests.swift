import Foundation
import HTTPTypes
import Logging
import NIOCore
import PenstockLog
import PenstockTestKit
import ServiceLifecycle
import Testing

@testable import PenstockServer

@Suite("The console", .timeLimit(.minutes(1))) struct ConsoleTests {
  @TemporaryDirectory private var directory: String

  static func text(_ name: String) throws -> String {
    String(buffer: try #require(ConsoleFiles.shared.files[name]).bytes)
  }

  @Test func `every file comes with its type, its tag, and what a browser must not do with it`() async throws {
    try await ServiceRig.run { rig in
      #expect(ConsoleFiles.shared.files.count >= 14)
      let paths = ConsoleFiles.shared.files.keys.sorted().map { "/console/\($0)" } + ["/"]
      for path in paths {
        let answer = try await rig.send(.get, path)
        #expect(answer.status == 200 && !answer.text.isEmpty, "\(path)")
        #expect(answer.headers[.cacheControl] == "no-cache" && answer.headers[.xContentTypeOptions] == "nosniff")
        #expect(answer.headers[try #require(HTTPField.Name("Referrer-Policy"))] == "no-referrer")
        let policy = try #require(answer.headers[.contentSecurityPolicy])
        for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
          #expect(policy.contains(rule), "\(path): \(rule)")
        }
        #expect(!policy.contains("unsafe") && !policy.contains("*") && !policy.contains("http"))
        let tag = try #require(answer.headers[.eTag])
        let again = try await rig.send(.get, path, nil, [("If-None-Match", "\"other\", W/\(tag)")])
        #expect(again.status == 304 && again.text.isEmpty && again.headers[.eTag] == tag, "\(path)")
        #expect(try await rig.send(.get, path, nil, [("If-None-Match", "\"other\"")]).status == 200)
      }
      #expect(try await rig.send(.get, "/").headers[.contentType] == "text/html; charset=utf-8")
      #expect(try await rig.send(.get, "/console/app.js").headers[.contentType] == "text/javascript; charset=utf-8")
      for path in ["/console/none.js", "/console/", "/console", "/console/../console.c"] {
        #expect(try await rig.send(.get, path).status == 404, "\(path)")
      }
      #expect(try await rig.send(.post, "/").status == 405)
    }
  }

  @Test func `a tag is known in a list, weakly, and by a star`() {
    for header in ["\"a\"", "W/\"a\"", "\"b\" ,\t\"a\" ", "*"] { #expect(ConsoleFiles.isKnown("\"a\"", to: header)) }
    for header in ["\"b\"", "a", "", "\"a\"b"] { #expect(!ConsoleFiles.isKnown("\"a\"", to: header)) }
    #expect(!ConsoleFiles.isKnown("\"a\"", to: nil))
  }

  @Test func `the page has no script or style within it, and names only files that there are`() throws {
    let page = try Self.text("index.html")
    #expect(!page.contains("<style") && !page.contains("style=") && page.matches(of: /<script/).count == 1)
    #expect(page.firstMatch(of: /\son\w+=/) == nil && page.firstMatch(of: /https?:\/\//) == nil)
    for match in page.matches(of: /(?:src|href)="\/console\/([^"]+)"/) {
      #expect(ConsoleFiles.shared.files[String(match.1)] != nil, "\(match.1)")
    }
    for name in ConsoleFiles.shared.files.keys where name.hasSuffix(".js") {
      for match in try Self.text(name).matches(of: /from '([^']+)'/) {
        let path = match.1
        #expect(path.hasPrefix("./") && ConsoleFiles.shared.files[String(path.dropFirst(2))] != nil, "\(name): \(path)")
      }
    }
  }

  @Test func `no text can become markup or a program`() throws {
    let forbidden = [
      "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment",
      "srcdoc", "eval(", "new Function", "setTimeout('", "javascript:", "localStorage", "document.cookie",
    ]
    for name in ConsoleFiles.shared.files.keys where name.hasSuffix(".js") {
      let text = try Self.text(name)
      for word in forbidden { #expect(!text.contains(word), "\(name) has \(word)") }
    }
  }

  @Test func `the page is anybody's; what it asks is under keys and roles`() async throws {
    let path = directory + "/keys.json"
    let store = try APIKeyStore(path)
    let admin = try store.create(.init(name: "ops", role: .companyAdmin)).token
    let viewer = try store.create(.init(name: "eye", role: .viewer, appID: "shop")).token
    let producer = try store.create(.init(name: "web", role: .producer)).token
    try await ServiceRig.run(in: directory, { $0.keysFile = path }) { rig in
      func status(_ path: String, _ token: String?) async throws -> Int {
        try await rig.send(.get, path, token: token).status
      }
      #expect(try await status("/", nil) == 200)
      for path in ["/v1/me", "/v1/status/history", "/v1/status/stream", "/v1/segments", "/v1/settings"] {
        #expect(try await status(path, nil) == 401, "\(path)")
        #expect(try await status(path, "psk_0_0") == 401, "\(path)")
      }
      for path in ["/v1/status/history", "/v1/status/stream", "/v1/segments", "/v1/settings"] {
        #expect(try await status(path, producer) == 403, "\(path)")
      }
      #expect(try await status("/v1/settings", viewer) == 403)
      #expect(try await status("/v1/settings", admin) == 200)
      let me = try await rig.send(.get, "/v1/me", token: viewer)
      #expect(me.json["role"] as? String == "viewer" && me.json["appId"] as? String == "shop", "\(me.text)")
      #expect(me.json["needsKey"] as? Bool == true && !me.text.contains("psk_"))
    }
    try await ServiceRig.run { rig in
      let me = try await rig.send(.get, "/v1/me")
      #expect(me.text == #"{"needsKey":false,"id":null,"name":null,"role":"companyAdmin","appId":null}"# + "\n")
    }
  }

  @Test func `a stream over HTTP gives its place back when the service ends gracefully`() async throws {
    let ports = AsyncStream<Int>.makeStream()
    var configuration = ServiceConfiguration()
    configuration.port = 0
    let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let service = try await PenstockService.open(
      log: directory + "/log", LogConfiguration(), configuration, environment: ServiceEnvironment(logger: quiet)
    ) { ports.continuation.yield($0) }
    let group = ServiceGroup(
      configuration: .init(services: [.init(service: service, successTerminationBehavior: .ignore)], logger: quiet))
    let serving = Task { try await group.run() }
    let port = try #require(await ports.stream.first { _ in true })
    let rig = ServiceRig(service: service, line: ServiceLine(port: port))
    let watching = Task { try await rig.send(.get, "/v1/status/stream") }
    while service.feed.streams == 0 { await Task.yield() }
    await group.triggerGracefulShutdown()
    // A stream that did not end would keep the service from ending: the time limit then does it, and is reported.
    let answer = try await withTaskCancellationHandler {
      let answer = try await watching.value
      try await serving.value
      return answer
    } onCancel: {
      service.feed.end()
    }
    #expect(answer.status == 200 && answer.headers[.contentType] == "text/event-stream")
    #expect(answer.headers[.cacheControl] == "no-store")
    let frames = answer.text.components(separatedBy: "\n\n").filter { !$0.isEmpty }
    #expect(!frames.isEmpty)
    for frame in frames {
      #expect(frame.hasPrefix("event: status\ndata: {\"log\":") && frame.split(separator: "\n").count == 2)
    }
    #expect(service.feed.streams == 0)
  }

  @Test func `when all places are taken, the next is asked to come again`() async throws {
    try await ServiceRig.run { rig in
      let seats = (0..<StatusFeed.maxStreams).compactMap { _ in rig.service.feed.take() }
      let answer = try await rig.send(.get, "/v1/status/stream")
      #expect(answer.status == 503 && answer.code == "too_many_streams" && answer.headers[.retryAfter] == "5")
      withExtendedLifetime(seats) {}
    }
  }

  @Test func `segments are shown newest first, with how far they are compressed`() async throws {
    try await ServiceRig.run { rig in
      #expect(try await (rig.send(.get, "/v1/segments").json["segments"] as? [[String: Any]])?.count == 1)
      let event = #"{"event":"\#(String(repeating: "Home Page ", count: 20))"}"#
      #expect(try await rig.post("[" + Array(repeating: event, count: 500).joined(separator: ",") + "]").status == 200)
      let answer = try await rig.send(.get, "/v1/segments?limit=1")
      let segment = try #require((answer.json["segments"] as? [[String: Any]])?.first)
      #expect(segment["first"] as? Int == 0 && segment["end"] as? Int == 500 && segment["isOpen"] as? Bool == true)
      let (stored, raw) = (try #require(segment["storedBytes"] as? Int), try #require(segment["recordBytes"] as? Int))
      #expect(raw == 500 * event.utf8.count && stored * 10 < raw, "\(answer.text)")
      for query in ["0", "201", "x", "-1"] {
        #expect(try await rig.send(.get, "/v1/segments?limit=\(query)").status == 400)
      }
    }
  }

  @Test func `settings are shown as the file spells them; of secrets, how many there are`() async throws {
    #expect([64 << 20, 1 << 10, 1500, 3 << 40].map(SettingText.bytes) == ["64MiB", "1KiB", "1500B", "3TiB"])
    let durations: [Duration] = [.seconds(90), .seconds(300), .seconds(86_400 * 30), .milliseconds(250), .zero]
    #expect(durations.map(SettingText.duration) == ["90s", "5m", "30d", "250ms", "0s"])
    let destination = ServiceDestination.test(
      settings: [.init("url", "https://example.com/"), .init("headers.your-api-key", secrets: 1)])
    try await ServiceRig.run(
      in: directory, { ($0.configurationFile, $0.limits.maxEvents) = ("penstock.yaml", 17) },
      destinations: [destination]
    ) { rig in
      let answer = try await rig.send(.get, "/v1/settings")
      #expect(answer.json["file"] as? String == "penstock.yaml")
      #expect(answer.text.contains(#"{"key":"headers.your-api-key","value":null,"secrets":1}"#), "\(answer.text)")
      #expect(answer.text.contains(#"{"key":"maxEvents","value":"17"}"#))
      // What a SIGHUP has changed is what is shown.
      var limits = ServiceLimits()
      limits.maxEvents = 18
      try rig.service.reload(limits)
      #expect(try await rig.send(.get, "/v1/settings").text.contains(#"{"key":"maxEvents","value":"18"}"#))
    }
  }
}
