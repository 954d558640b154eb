import HTTPTypes
import Hummingbird
import NIOCore
import PenstockLog
import Testing

@testable import PenstockServer

@Suite("Requests as clients and proxies send them", .timeLimit(.minutes(1))) struct RequestHeadTests {
  @TemporaryDirectory private var directory: String
  static let event = #"{"event":"x"}"#

  /// What is answered to these bytes, until the service closes.
  static func answers(_ rig: ServiceRig, to bytes: String) async throws -> String {
    let connection = try RawConnection(port: rig.line.port)
    try connection.send(bytes)
    return try await connection.readToEnd()
  }

  static func statuses(_ text: String) -> [String] { text.matches(of: /HTTP\/1\.1 (\d{3})/).map { String($0.1) } }

  @Test func `a host is a name, an address, and perhaps a port, and nothing else`() {
    for good in ["", "localhost", "LOCALHOST:80", "127.0.0.1:65535", "[::1]", "[::1]:8080", "a-b.c_d", "xn--a", "h:"] {
      #expect(RequestHost.isWellFormed(good), "\(good)")
    }
    for bad in [
      "localhost:99@evil.com", "a@b", "a b", "localhost:x", "localhost:123456", "[::1", "[]", "[::1]x", "::1", "a/b",
      "a\"b", "a#b", "a\\b", "a:1:2",
    ] {
      #expect(!RequestHost.isWellFormed(bad), "\(bad)")
    }
  }

  @Test func `two ways to read a request's host or its end are an error, and nothing of it is taken`() async throws {
    let (event, host) = (Self.event, "Host: localhost\r\n")
    let length = "Content-Length: \(event.utf8.count)\r\n"
    let chunked = "d\r\n\(event)\r\n0\r\n\r\n"
    @Sendable func post(_ fields: String, _ body: String, _ target: String = "/v1/events") -> String {
      "POST \(target) HTTP/1.1\r\n\(fields)\r\n\(body)"
    }
    let cases: [(String, String)] = [
      ("two hosts", post(host + "Host: evil.example\r\n" + length, event)),
      ("two hosts, the other first", post("Host: evil.example\r\n" + host + length, event)),
      ("the same host twice", post(host + host + length, event)), ("no host", post(length, event)),
      ("a host with user information", post("Host: localhost:99@evil.example\r\n" + length, event)),
      ("a target of another host", post(host + length, event, "http://evil.example/v1/events")),
      ("a target with user information", post(host + length, event, "http://x@localhost/v1/events")),
      ("length and chunks", post(host + length + "Transfer-Encoding: chunked\r\n", chunked)),
      ("chunks and length", post(host + "Transfer-Encoding: chunked\r\n" + length, chunked)),
      ("two lengths", post(host + length + "Content-Length: 5\r\n", event)),
      ("a list of lengths", post(host + "Content-Length: 13, 13\r\n", event)),
      ("a length with a sign", post(host + "Content-Length: +13\r\n", event)),
      ("a length that is none", post(host + "Content-Length: -1\r\n", event)),
      ("a coding behind chunks", post(host + "Transfer-Encoding: chunked, identity\r\n", chunked)),
      ("an unknown coding", post(host + "Transfer-Encoding: xchunked\r\n", chunked)),
      ("a blank before the colon", post(host + "Transfer-Encoding : chunked\r\n", chunked)),
      ("a folded field", post(host + "Transfer-Encoding:\r\n chunked\r\n", chunked)),
      ("a bare return", post(host + "X: b\rTransfer-Encoding: chunked\r\n" + length, event)),
      ("a chunk's length with a sign", post(host + "Transfer-Encoding: chunked\r\n", "+" + chunked)),
    ]
    try await ServiceRig.run { rig async throws in
      for (name, bytes) in cases {
        // Another request after it, which must not be answered.
        let text = try await Self.answers(rig, to: bytes + "GET /healthz HTTP/1.1\r\n\(host)\r\n")
        #expect(Self.statuses(text) == ["400"], "\(name): \(text)")
      }
      let same = post(host + length + "Connection: close\r\n", event, "http://LOCALHOST/v1/events")
      #expect(Self.statuses(try await Self.answers(rig, to: same)) == ["200"])
      #expect(try await rig.send(.get, "/v1/events").text == Self.event + "\n", "something of them was taken")
    }
  }

  @Test func `in a stream of HTTP/2, host may repeat the authority, and nothing else`() throws {
    func isSound(_ authority: String?, _ host: String?) throws -> Bool {
      var fields = HTTPFields()
      if let host { fields[try #require(HTTPField.Name("Host"))] = host }
      return RequestHost.isSound(
        HTTPRequest(method: .get, scheme: "https", authority: authority, path: "/", headerFields: fields))
    }
    #expect(try isSound("a.example", nil) && isSound("a.example", "A.example") && isSound(nil, nil))
    #expect(try !isSound("a.example", "b.example") && !isSound(nil, "b.example") && !isSound("x@a.example", nil))
  }

  @Test func `a client that waits before it sends a body is asked to continue`() async throws {
    try await ServiceRig.run { rig async throws in
      for (path, body) in [("/v1/events", Self.event), ("/v1/destinations/shop/pause", "{}")] {
        let connection = try RawConnection(port: rig.line.port)
        try connection.send(
          "POST \(path) HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nConnection: close\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n")
        // The body is sent when it was asked for, and never where it was not.
        let first = try await connection.read(upTo: "\r\n\r\n")
        #expect(first == "HTTP/1.1 100 Continue\r\n\r\n", "\(path): \(first)")
        try connection.send(body)
        let answer = try await connection.readToEnd()
        #expect(Self.statuses(answer) == [path == "/v1/events" ? "200" : "404"], "\(answer)")
      }
    }
  }

  @Test
  func `a body that is refused by its head is not asked for, and neither is one sent without waiting`() async throws {
    let host = "Host: localhost\r\n"
    let cases: [(String, String, [String])] = [
      (
        "too long", "POST /v1/events HTTP/1.1\r\n\(host)Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n",
        ["413"]
      ),
      (
        "no type of ours",
        "POST /v1/events HTTP/1.1\r\n\(host)Expect: 100-continue\r\nContent-Type: text/plain\r\n"
          + "Content-Length: 9\r\n\r\n",
        ["415"]
      ),
      ("nothing there", "POST /v1/no HTTP/1.1\r\n\(host)Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", ["404"]),
      ("unknown", "POST /v1/events HTTP/1.1\r\n\(host)Expect: miracles\r\nContent-Length: 13\r\n\r\n", ["417"]),
      (
        "HTTP/1.0",
        "POST /v1/events HTTP/1.0\r\n\(host)Expect: 100-continue\r\nConnection: close\r\nContent-Length: 13\r\n\r\n"
          + Self.event, ["200"]
      ),
    ]
    try await ServiceRig.run { rig async throws in
      for (name, bytes, expected) in cases {
        let text = try await Self.answers(rig, to: bytes)
        #expect(Self.statuses(text) == expected, "\(name): \(text)")
      }
    }
  }

  static let looks = [
    "/healthz", "/readyz", "/", "/console/console.js", "/openapi.json", "/v1/me", "/v1/status", "/v1/events",
    "/metrics", "/v1/segments", "/v1/settings", "/v1/destinations", "/v1/status/history", "/v1/replays",
    "/v1/producers/p", "/v1/keys", "/v1/nothing", "/v1/destinations/none/attempts",
  ]

  @Test(arguments: looks)
  func `HEAD is answered as GET is, without the content`(path: String) async throws {
    try await ServiceRig.run { rig async throws in
      _ = try await rig.post(Self.event)
      func ask(_ method: String) async throws -> (status: [String], fields: [String], content: Substring) {
        let text = try await Self.answers(
          rig, to: "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        let names = parts[0].split(separator: "\r\n").dropFirst().map { String($0.prefix { $0 != ":" }).lowercased() }
        return (Self.statuses(String(parts[0])), names.sorted(), parts.count > 1 ? parts[1] : "")
      }
      let (get, head) = (try await ask("GET"), try await ask("HEAD"))
      #expect(head.status == get.status && head.fields == get.fields, "\(get) \(head)")
      #expect(head.content.isEmpty && !get.content.isEmpty, "\(get) \(head)")
      // The next answer over the same connection is where it belongs.
      let two = try await Self.answers(
        rig,
        to: "HEAD \(path) HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n"
          + "Connection: close\r\n\r\n")
      #expect(Self.statuses(two) == get.status + ["200"] && two.hasSuffix("{\"status\":\"ok\"}\n"), "\(two)")
      #expect(two.contains("\r\n\r\nHTTP/1.1 200"), "there is something between the two: \(two)")
    }
  }

  @Test func `HEAD of a stream has no end to wait for, and is nothing where GET is nothing`() async throws {
    try await ServiceRig.run { rig async throws in
      let text = try await Self.answers(
        rig, to: "HEAD /v1/status/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
      #expect(text.hasPrefix("HTTP/1.1 200") && text.contains("text/event-stream") && text.hasSuffix("\r\n\r\n"))
      let other = try await Self.answers(
        rig, to: "HEAD /v1/destinations/x/pause HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
      #expect(Self.statuses(other) == ["405"] && other.hasSuffix("\r\n\r\n"))
    }
  }

  @Test(arguments: [false, true])
  func `what curl -d sends without a type is JSON, but for a page of elsewhere`(withKeys: Bool) async throws {
    let path = directory + "/keys.json"
    let token = try withKeys ? APIKeyStore(path).create(.init(name: "ops", role: .companyAdmin)).token : nil
    try await ServiceRig.run(in: directory, { if withKeys { $0.keysFile = path } }) { rig async throws in
      func post(_ body: String, _ type: String, _ fields: [(String, String)] = []) async throws -> Int {
        try await rig.send(.post, "/v1/events", Array(body.utf8), type: type, token: token, fields).status
      }
      let form = "application/x-www-form-urlencoded"
      #expect(try await post(Self.event, form) == 200)
      #expect(try await post("[\(Self.event)]", form + "; charset=utf-8") == 200)
      #expect(try await post("event=x", form) == 400)
      #expect(try await post(Self.event, form, [("Origin", "http://localhost")]) == 200)
      #expect(try await post(Self.event, form, [("Origin", "https://evil.example")]) == (withKeys ? 415 : 403))
      #expect(try await post(Self.event, form, [("Origin", "null")]) == (withKeys ? 415 : 403))
      #expect(try await post(Self.event, "text/plain") == 415)
    }
  }

  @Test func `an idle connection outlives a balancer's minute`() {
    #expect(ServiceLimits().idleTimeout > .seconds(60))
    #expect(ServiceConfiguration().limits.complaint == nil)
  }

  @Test func `each record is one line of JSON, whatever it holds`() async throws {
    let log = try await Log.open(at: directory + "/log")
    var batch = RecordBatch()
    batch.append("no JSON\nat all")
    batch.append([0xFF, 0x0A])
    try await log.append(batch)
    try await log.close()
    try await ServiceRig.run(in: directory) { rig async throws in
      _ = try await rig.post("[{\n  \"event\": \"a b\\n\"\r\n}, {\"ts\" : 1}]")
      let lines = try await rig.send(.get, "/v1/events").text
      #expect(
        lines == """
          {"recordText":"no JSON\\u000aat all"}
          {"recordBase64":"/wo="}
          {"event":"a b\\n"}
          {"ts" : 1}

          """)
    }
  }
}
