import PenstockLog
import Testing

@testable import PenstockServer

struct AccessTests {
  /// The table of `docs/guides/service.md`. For each route: companyAdmin, appAdmin, producer, producer of one app,
  /// viewer, viewer of one app. `+` granted, `o` own app, `-` denied.
  static let table: [Route: String] = [
    .postEvents: "+o+o--", .getProducer: "+o+o--", .getEvents: "+o--+o", .getStatus: "++--++",
    .getDestinations: "++--++", .getAttempts: "+---+-", .getDeadLetters: "+---+-", .getDeadLetter: "+---+-",
    .getReplays: "+---+-", .getReplay: "+---+-", .metrics: "+---+-", .pause: "+-----", .resume: "+-----",
    .retry: "+-----", .seek: "+-----", .redeliver: "+-----", .getStatusStream: "++--++", .getStatusHistory: "++--++",
    .getSegments: "++--++", .getSettings: "++--+-", .getMe: "++++++", .console: "++++++", .consoleFile: "++++++",
    .postReplay: "+-----", .deleteReplay: "+-----", .getKeys: "+o----", .postKey: "+o----", .rotateKey: "+o----",
    .deleteKey: "+o----", .health: "++++++", .readiness: "++++++", .openAPI: "++++++",
  ]

  @Test func `every route is granted to every role as the table says, and to no other`() throws {
    let holders: [(Role, Bool)] = [
      (.companyAdmin, false), (.appAdmin, true), (.producer, false), (.producer, true), (.viewer, false),
      (.viewer, true),
    ]
    for route in Route.allCases {
      let row = Array(try #require(Self.table[route], "\(route) is not in the table"))
      for (index, (role, ofOneApp)) in holders.enumerated() {
        let expected: AccessTable.Grant = row[index] == "+" ? .granted : row[index] == "o" ? .ownApp : .denied
        #expect(
          AccessTable.grant(route, to: role, ofOneApp: ofOneApp) == expected,
          "\(route) for \(role), one app: \(ofOneApp)")
      }
    }
    #expect(Route.allCases.filter(AccessTable.isOpen) == [.health, .readiness, .openAPI, .console, .consoleFile])
  }

  @Test func `every route is found by its method and path, and by nothing else`() {
    for route in Route.allCases {
      let path = route.pattern.replacing("{name}", with: "a.b-C_1").replacing("{id}", with: "7_d-E.2")
      let names = [("{name}", "a.b-C_1"), ("{id}", "7_d-E.2")].filter { route.pattern.contains($0.0) }.map(\.1)
      #expect(
        Route.match(route.method.rawValue, path)
          == .route(route, name: names.first ?? "", item: names.dropFirst().first ?? ""))
      #expect(Route.match(route.method.rawValue, path + "/") == .none)
      #expect(Route.match(route.method.rawValue, "/x" + path) == .none)
      guard case .otherMethods(let methods) = Route.match("PATCH", path) else {
        Issue.record("\(path) is not known with another method")
        continue
      }
      #expect(methods.contains(route.method))
    }
  }

  @Test func `no name in a path leads anywhere else`() {
    for name in [
      "..", ".", ".hidden", "", "a/b", "a%2Fb", "a b", "é", "a\\b", "a?b", "%2e%2e", String(repeating: "a", count: 65),
      "a\n", "a\u{0}",
    ] {
      #expect(Route.match("GET", "/v1/destinations/\(name)/attempts") == .none, "\(name.debugDescription)")
      #expect(Route.match("DELETE", "/v1/keys/\(name)") == .none, "\(name.debugDescription)")
    }
  }

  @Test func `a bucket lets a burst through, then as many as it fills`() {
    let limit = APIKey.RateLimit(requestsPerSecond: 2, burst: 3)
    var bucket = RateBucket(limit, at: 0)
    for _ in 0..<3 { #expect(bucket.take(limit, at: 0) == nil) }
    #expect(bucket.take(limit, at: 0) == 500_000_000)
    #expect(bucket.take(limit, at: 250_000_000) == 250_000_000)
    #expect(bucket.take(limit, at: 500_000_000) == nil)
    #expect(bucket.take(limit, at: 500_000_000) == 500_000_000)
    // After a long pause the burst again, and no more; a clock that falls back gives nothing.
    for _ in 0..<3 { #expect(bucket.take(limit, at: 3_600_000_000_000) == nil) }
    #expect(bucket.take(limit, at: 0) != nil)
  }
}

struct KeyRingTests {
  @TemporaryDirectory private var directory: String

  static func random(_ seed: UInt8) -> [UInt8] { (0..<40).map { $0 &* 7 &+ seed } }

  @Test func `a token is its key's until it is rotated or revoked`() throws {
    var keySet = APIKeySet()
    let (key, token) = try keySet.create(.init(name: "ops", role: .companyAdmin), at: 100, random: Self.random(1))
    let (other, second) = try keySet.create(
      .init(name: "web", role: .producer, appID: "shop"), at: 100, random: Self.random(2))
    #expect(try keySet.identify(token, at: 100).id == key.id)
    #expect(try keySet.identify(second, at: 100).appID == "shop")
    #expect(key.id != other.id)
    let (_, third) = try keySet.rotate(key.id, at: 200, grace: 60, random: Self.random(3))
    #expect(try keySet.identify(third, at: 200).id == key.id)
    #expect(try keySet.identify(token, at: 259).id == key.id)
    #expect(throws: APIKeySet.Refusal.unknown) { try keySet.identify(token, at: 260) }
    let (_, fourth) = try keySet.rotate(key.id, at: 300, grace: 0, random: Self.random(4))
    #expect(throws: APIKeySet.Refusal.unknown) { try keySet.identify(third, at: 300) }
    try keySet.revoke(key.id, at: 400)
    #expect(throws: APIKeySet.Refusal.unknown) { try keySet.identify(fourth, at: 400) }
    #expect(throws: APIKeySet.Refusal.noSuchKey) { try keySet.revoke(key.id, at: 400) }
    #expect(throws: APIKeySet.Refusal.noSuchKey) {
      try keySet.rotate(key.id, at: 400, grace: 0, random: Self.random(5))
    }
    #expect(try keySet.identify(second, at: 400).id == other.id)
  }

  @Test func `nothing but the whole token lets anybody in`() throws {
    var keySet = APIKeySet()
    let (key, token) = try keySet.create(.init(name: "ops", role: .viewer), at: 0, random: Self.random(1))
    let others: [String?] = [
      nil, "", "psk", "psk_", "psk_\(key.id)_", "psk_\(key.id)", String(token.dropLast()), token + "0",
      token.uppercased(), " " + token, "psk_\(key.id)_" + String(repeating: "0", count: 64),
      token.replacing(key.id, with: "0000000000000000"), "psk_\(key.id)_\(key.hash)",
    ]
    for guess in others {
      #expect(throws: APIKeySet.Refusal.unknown, "\(guess ?? "nil")") { try keySet.identify(guess, at: 0) }
    }
    // Every byte of the secret counts.
    for index in token.indices.dropFirst(21) {
      var changed = token
      changed.replaceSubrange(index...index, with: token[index] == "0" ? "1" : "0")
      #expect(throws: APIKeySet.Refusal.unknown) { try keySet.identify(changed, at: 0) }
    }
  }

  @Test func `a key that would be for nothing, or for too much, is not made`() {
    for request: APIKey.Request in [
      .init(name: "", role: .viewer), .init(name: "a\nb", role: .viewer), .init(name: "a", role: .appAdmin),
      .init(name: "a", role: .companyAdmin, appID: "shop"), .init(name: "a", role: .viewer, appID: ""),
      .init(name: "a", role: .viewer, limit: .init(requestsPerSecond: 0)),
      .init(name: "a", role: .viewer, limit: .init(requestsPerSecond: .nan)),
      .init(name: String(repeating: "a", count: 101), role: .viewer),
    ] {
      var keySet = APIKeySet()
      #expect(throws: APIKeySet.Refusal.self, "\(request)") {
        try keySet.create(request, at: 0, random: Self.random(1))
      }
      #expect(keySet.keys.isEmpty)
    }
  }

  @Test func `the file holds no token, is for its owner alone, and keeps every change`() async throws {
    let path = directory + "/keys.json"
    let (one, two) = (try APIKeyStore(path), try APIKeyStore(path))
    let first = try one.create(.init(name: "a", role: .viewer))
    // Another process knows nothing of it, and loses nothing of it.
    let second = try two.create(.init(name: "b", role: .producer, appID: "shop"))
    #expect(one.identify(second.token) == nil)
    try one.reload()
    #expect(one.identify(second.token)?.appID == "shop")
    #expect(two.identify(first.token)?.name == "a")
    try one.revoke(first.key.id)
    let again = try APIKeyStore(path)
    #expect(again.identify(first.token) == nil)
    #expect(again.keys.map(\.name) == ["a", "b"])
    let text = try read(path)
    for token in [first.token, second.token] {
      let secret = try #require(APIKey.parts(of: token)).secret
      #expect(!text.contains(secret))
    }
    #expect(try POSIXPermissions.of(path) == 0o600)
    try write("{\"version\":1,\"keys\":\"secret-thing\"}", to: path)
    let error = #expect(throws: KeyStoreError.self) { try one.reload() }
    #expect(error?.message.contains("secret-thing") == false)
    #expect(one.keys.count == 2)
  }
}
