import PenstockDelivery
import PenstockSupport
import Testing

@testable import PenstockSinks

struct WebhookConfigurationTests {
  private func open(
    _ url: String = "https://example.com", _ change: (inout WebhookConfiguration) -> Void = { _ in }
  ) throws -> WebhookSink {
    var configuration = WebhookConfiguration(url: url)
    change(&configuration)
    return try WebhookSink(configuration, transport: ScriptedTransport())
  }

  @Test func `the window is 500 events, 1 MiB and 5 seconds`() {
    let configuration = WebhookConfiguration(url: "https://example.com")
    #expect(configuration.maxRecords == 500)
    #expect(configuration.maxBytes == 1_048_576)
    #expect(configuration.maxWait == .seconds(5))
  }

  @Test(arguments: [
    ("example.com", "URL"), ("ftp://example.com", "ftp"), ("https://", "host"),
    ("https://user:hunter2@example.com", "header"), ("https://example.com/#part", "fragment"),
    ("https://exa mple.com/", "URL"), ("https://example.com:99999/", "port"),
  ])
  func `an address that cannot work is refused, and not shown where it could hold a key`(
    url: String, words: String
  ) {
    let error = #expect(throws: SinkError.self) { _ = try open(url) }
    #expect(error?.description.contains(words) == true, "\(error.debugDescription)")
    #expect(error?.description.contains("hunter2") == false)
  }

  @Test func `the description shows the address without its query`() throws {
    #expect(try open("https://example.com/in?key=1").description == "webhook https://example.com/in")
    #expect(try open("HTTP://Example.com:8080").description == "webhook http://Example.com:8080/")
  }

  @Test func `settings that cannot work are refused`() {
    expectSinkError(containing: "59 seconds") { _ = try open { $0.maxWait = .seconds(60) } }
    expectSinkError(containing: "59 seconds") { _ = try open { $0.maxWait = .seconds(-1) } }
    expectSinkError(containing: "above 0") { _ = try open { $0.maxRecords = 0 } }
    expectSinkError(containing: "above 0") { _ = try open { $0.maxBytes = 0 } }
    expectSinkError(containing: "above 0") { _ = try open { $0.timeout = .zero } }
    expectSinkError(containing: "above 0") { _ = try open { $0.connectTimeout = .zero } }
    expectSinkError(containing: "above 0") { _ = try open { $0.idleTimeout = .zero } }
    expectSinkError(containing: "no name") { _ = try open { ($0.method, $0.parameter) = (.get, "") } }
  }

  @Test(arguments: ["", "a b", "ä", "x:y", "a\n"])
  func `headers that a request cannot have are refused`(name: String) {
    expectSinkError(containing: "is not a valid header name") {
      _ = try open { $0.headers = [.init(name, Secret("v"))] }
    }
  }

  @Test(arguments: ["Webhook-Id", "content-type", "Host", "x-penstock-log", "Webhook-Test"])
  func `headers that a delivery sets are refused`(name: String) {
    expectSinkError(containing: "the delivery sets it") { _ = try open { $0.headers = [.init(name, Secret("v"))] } }
  }

  @Test func `a value that would make two headers is refused without being shown`() {
    let error = #expect(throws: SinkError.self) {
      _ = try open { $0.headers = [.init("key", Secret("hunter2\r\nx: y"))] }
    }
    #expect(error?.description.contains("line break") == true)
    #expect(error?.description.contains("hunter2") == false)
  }
}

struct WebhookSignatureTests {
  private let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
  private let other = Secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
  private let id = "msg_p5jXN8AQM9LWM0D4loKWxJek"
  private let body = Array(#"{"test": 2432232314}"#.utf8)
  private let time: Int64 = 1_614_265_330
  private let published = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

  private typealias Failure = WebhookSignature.VerificationError

  @Test func `the vector of the Standard Webhooks libraries is met`() throws {
    #expect(try WebhookSignature(secrets: [secret]).header(id: id, timestamp: time, body: body) == published)
    let bare = try WebhookSignature(secrets: [Secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])
    #expect(bare.header(id: id, timestamp: time, body: body) == published)
  }

  @Test func `several secrets give several signatures, and any one is enough`() throws {
    let both = try WebhookSignature(secrets: [other, secret])
    let header = both.header(id: id, timestamp: time, body: body)
    #expect(header.split(separator: " ").count == 2)
    #expect(header.hasSuffix(published))
    for secrets in [[secret], [other], [secret, other]] {
      try WebhookSignature(secrets: secrets).verify(
        id: id, timestamp: "\(time)", signature: header, body: body, now: time)
    }
    try both.verify(id: id, timestamp: "\(time)", signature: published, body: body, now: time)
  }

  @Test func `a change of id, time, body, secret or signature is noticed`() throws {
    let signature = try WebhookSignature(secrets: [secret])
    func check(
      id: String? = nil, timestamp: String? = nil, signature text: String? = nil, body: [UInt8]? = nil
    ) throws {
      try signature.verify(
        id: id ?? self.id, timestamp: timestamp ?? "\(time)", signature: text ?? published, body: body ?? self.body,
        now: time)
    }
    try check()
    #expect(throws: Failure.noMatch) { try check(id: "msg_other") }
    #expect(throws: Failure.noMatch) { try check(timestamp: "\(time + 1)") }
    for index in body.indices {
      var changed = body
      changed[index] ^= 1
      #expect(throws: Failure.noMatch) { try check(body: changed) }
    }
    #expect(throws: Failure.noMatch) { try check(body: body + [0x0A]) }
    #expect(throws: Failure.noMatch) { try check(signature: "v2," + published.dropFirst(3)) }
    #expect(throws: Failure.noMatch) { try check(signature: "v1,") }
    #expect(throws: Failure.noMatch) { try check(signature: "") }
    #expect(throws: Failure.noMatch) { try check(signature: "v1,AAAA") }
    #expect(throws: Failure.noMatch) {
      try WebhookSignature(secrets: [other]).verify(
        id: id, timestamp: "\(time)", signature: published, body: body, now: time)
    }
  }

  @Test func `only the time around now is believed`() throws {
    let signature = try WebhookSignature(secrets: [secret])
    func check(now: Int64) throws {
      try signature.verify(id: id, timestamp: "\(time)", signature: published, body: body, now: now, tolerance: 300)
    }
    try check(now: time + 300)
    try check(now: time - 300)
    #expect(throws: Failure.tooOld) { try check(now: time + 301) }
    #expect(throws: Failure.tooNew) { try check(now: time - 301) }
    for text in ["", "now", "1.5", "-5", "99999999999999999999"] {
      #expect(throws: Failure.invalidTimestamp) {
        try signature.verify(id: id, timestamp: text, signature: published, body: body, now: time)
      }
    }
  }

  @Test func `a missing header is a failure of its own`() throws {
    let signature = try WebhookSignature(secrets: [secret])
    for missing in 0..<3 {
      #expect(throws: Failure.missingHeader) {
        try signature.verify(
          id: missing == 0 ? nil : id, timestamp: missing == 1 ? nil : "\(time)",
          signature: missing == 2 ? nil : published, body: body, now: time)
      }
    }
  }

  @Test func `secrets that are none are refused without being shown`() {
    expectSinkError(containing: "must be base64") { _ = try WebhookSignature(secrets: [Secret("whsec_not base64!")]) }
    expectSinkError(containing: "at least 24 bytes") { _ = try WebhookSignature(secrets: [Secret("whsec_AAECAwQF")]) }
    expectSinkError(containing: "at least one") { _ = try WebhookSignature(secrets: []) }
    let error = #expect(throws: SinkError.self) { _ = try WebhookSignature(secrets: [Secret("hunter2!")]) }
    #expect(error?.description.contains("hunter2") == false)
  }

  @Test func `comparison in constant time compares`() {
    #expect(Digest.equalInConstantTime([], []))
    #expect(Digest.equalInConstantTime([1, 2, 3], [1, 2, 3]))
    for index in 0..<3 {
      var other: [UInt8] = [1, 2, 3]
      other[index] ^= 0x80
      #expect(!Digest.equalInConstantTime([1, 2, 3], other))
    }
    #expect(!Digest.equalInConstantTime([1, 2], [1, 2, 3]))
  }
}
