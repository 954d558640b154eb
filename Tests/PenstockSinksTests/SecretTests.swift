import PenstockDelivery
import PenstockLog
import Testing

@testable import PenstockSinks

struct SecretTests {
  @TemporaryDirectory private var directory: String

  @Test func `a secret shows in no description`() {
    let secret = Secret("hunter2")
    var dumped = ""
    dump(secret, to: &dumped)
    dump([secret], to: &dumped)
    let texts = ["\(secret)", "\([secret])", String(reflecting: secret), "\(Optional(secret) as Any)", dumped]
    for text in texts { #expect(!text.contains("hunter2"), "\(text)") }
    #expect("\(secret)" == "<secret>")
  }

  @Test func `nothing of a webhook prints a secret: configuration, sink, plan, request, error, report`() async throws {
    let signing = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVy"
    let hidden = ["hunter2", "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVy", "104, 117, 110, 116, 101, 114", "queryK3y"]
    var configuration = WebhookConfiguration(url: "https://example.com/in?key=queryK3y%20long")
    configuration.headers = [.bearer(Secret("hunter2")), .init("api-key", Secret("hunter2!"))]
    configuration.secrets = [Secret(signing)]
    let echo = "no: hunter2! hunter2 aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVy queryK3y%20long queryK3y long \(signing)"
    let transport = ScriptedTransport(.answer(422, [], echo), .answer(401, [], echo), .fail(.tls))
    let sink = try WebhookSink(configuration, transport: transport, clock: FixedClock())
    let delivery = try makeDelivery(sink, makeBatch([#"{"a":1}"#]))
    let outcomes = [await sink.deliver(delivery), (await sink.test()).outcome, (await sink.test()).outcome]
    let requests = transport.requests
    #expect(requests.count == 3)
    var text = "\(configuration)\(sink)\(sink.description)\(delivery)\(outcomes)\(requests)\(sink.request)"
    text += String(reflecting: configuration) + String(reflecting: sink) + String(reflecting: requests)
    text += "\(try WebhookSignature(secrets: [Secret(signing)]))\(try DestinationURL(configuration.url))"
    text += String(decoding: delivery.intent.plan, as: UTF8.self)
    for value in [configuration, sink, delivery, outcomes, requests] as [Any] { dump(value, to: &text) }
    for part in hidden { #expect(!text.contains(part), "\(part)") }
    #expect(outcomes[0].words.contains("no: <secret> <secret>"), "\(outcomes[0])")
  }

  @Test func `configurations with secrets print without them`() throws {
    var webhook = WebhookConfiguration(url: "https://example.com/?key=hunter2")
    webhook.headers = [.bearer(Secret("hunter2")), .init("api-key", Secret("hunter2"))]
    let s3 = S3Configuration.acme()
    var text = "\(webhook.headers)\(s3)"
    dump(s3, to: &text)
    dump(webhook.headers, to: &text)
    text += try WebhookSink(webhook, transport: ScriptedTransport()).description
    text += try S3Sink(s3, transport: ScriptedTransport()).description
    #expect(!text.contains("hunter2"), "\(text)")
  }

  @Test func `an environment variable that is missing is named`() {
    expectSinkError(containing: "PENSTOCK_TEST_NO_SUCH_VARIABLE") {
      _ = try Secret(environment: "PENSTOCK_TEST_NO_SUCH_VARIABLE")
    }
  }

  @Test func `a secret from a file has no line feed at its end, and keeps every other byte`() throws {
    for (content, expected) in [("abc\n", "abc"), ("abc\r\n", "abc"), ("abc", "abc"), (" a b \n\n", " a b \n")] {
      try write(Array(content.utf8), to: directory + "/key")
      #expect(try Secret(contentsOfFile: directory + "/key").revealed == expected)
    }
    try write([], to: directory + "/empty")
    expectSinkError(containing: "is empty") { _ = try Secret(contentsOfFile: directory + "/empty") }
    try write([0xFF, 0xFE], to: directory + "/binary")
    expectSinkError(containing: "not UTF-8") { _ = try Secret(contentsOfFile: directory + "/binary") }
    try write([UInt8](repeating: 65, count: 65_537), to: directory + "/long")
    expectSinkError(containing: "cannot be read") { _ = try Secret(contentsOfFile: directory + "/long") }
    expectSinkError(containing: "No such file") { _ = try Secret(contentsOfFile: directory + "/none") }
  }
}
