import PenstockDelivery
import Testing

@testable import PenstockSinks
import PenstockSupport

struct WebhookSignatureTests {
  private let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
  private let other = Secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
  private let id = "msg_p5jXN8AQM9LWM0D4loKWxJek"
  private let body = Array(#"{"test": 2432232314}"#.utf8)
  private let time: Int64 = 1_614_265_330
  private let published = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

  private typealias Failure = WebhookSignature.VerificationError

  @Test("the vector of the Standard Webhooks libraries is met")
  func publishedVector() throws {
    let signature = try WebhookSignature(secrets: [secret])
    #expect(signature.header(id: id, timestamp: time, body: body) == published)
    let bare = try WebhookSignature(secrets: [Secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])
    #expect(bare.header(id: id, timestamp: time, body: body) == published)
  }

  @Test("several secrets give several signatures, and any one is enough")
  func rotation() throws {
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

  @Test("a change of id, time, body, secret or signature is noticed")
  func changesAreNoticed() throws {
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

  @Test("only the time around now is believed")
  func tolerance() throws {
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

  @Test("a missing header is a failure of its own")
  func missingHeaders() throws {
    let signature = try WebhookSignature(secrets: [secret])
    for missing in 0..<3 {
      #expect(throws: Failure.missingHeader) {
        try signature.verify(
          id: missing == 0 ? nil : id, timestamp: missing == 1 ? nil : "\(time)",
          signature: missing == 2 ? nil : published, body: body, now: time)
      }
    }
  }

  @Test("secrets that are none are refused without being shown")
  func badSecrets() {
    expectSinkError(containing: "must be base64") { _ = try WebhookSignature(secrets: [Secret("whsec_not base64!")]) }
    expectSinkError(containing: "at least 24 bytes") { _ = try WebhookSignature(secrets: [Secret("whsec_AAECAwQF")]) }
    expectSinkError(containing: "at least one") { _ = try WebhookSignature(secrets: []) }
    let error = #expect(throws: SinkError.self) { _ = try WebhookSignature(secrets: [Secret("hunter2!")]) }
    #expect(error?.description.contains("hunter2") == false)
  }

  @Test("comparison in constant time compares")
  func comparison() {
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
