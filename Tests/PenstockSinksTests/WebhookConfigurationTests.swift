import PenstockDelivery
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

  @Test("the window is 500 events, 1 MiB and 5 seconds")
  func defaults() {
    let configuration = WebhookConfiguration(url: "https://example.com")
    #expect(configuration.maxRecords == 500)
    #expect(configuration.maxBytes == 1_048_576)
    #expect(configuration.maxWait == .seconds(5))
  }

  @Test(
    "an address that cannot work is refused, and not shown where a key could stand in it",
    arguments: [
      ("example.com", "URL"), ("ftp://example.com", "ftp"), ("https://", "host"),
      ("https://user:hunter2@example.com", "header"), ("https://example.com/#part", "fragment"),
      ("https://exa mple.com/", "URL"), ("https://example.com:99999/", "port"),
    ])
  func badAddresses(url: String, words: String) {
    let error = #expect(throws: SinkError.self) { _ = try open(url) }
    #expect(error?.description.contains(words) == true, "\(error.debugDescription)")
    #expect(error?.description.contains("hunter2") == false)
  }

  @Test("the description shows the address without its query")
  func description() throws {
    #expect(try open("https://example.com/in?key=1").description == "webhook https://example.com/in")
    #expect(try open("HTTP://Example.com:8080").description == "webhook http://Example.com:8080/")
  }

  @Test("settings that cannot work are refused")
  func badSettings() {
    expectSinkError(containing: "59 seconds") { _ = try open { $0.maxWait = .seconds(60) } }
    expectSinkError(containing: "59 seconds") { _ = try open { $0.maxWait = .seconds(-1) } }
    expectSinkError(containing: "above 0") { _ = try open { $0.maxRecords = 0 } }
    expectSinkError(containing: "above 0") { _ = try open { $0.maxBytes = 0 } }
    expectSinkError(containing: "above 0") { _ = try open { $0.timeout = .zero } }
    expectSinkError(containing: "above 0") { _ = try open { $0.connectTimeout = .zero } }
    expectSinkError(containing: "above 0") { _ = try open { $0.idleTimeout = .zero } }
    expectSinkError(containing: "no name") {
      _ = try open {
        $0.method = .get
        $0.parameter = ""
      }
    }
  }

  @Test("headers that a request cannot have are refused", arguments: ["", "a b", "ä", "x:y", "a\n"])
  func badHeaderNames(name: String) {
    expectSinkError(containing: "is not a valid header name") {
      _ = try open { $0.headers = [.init(name, Secret("v"))] }
    }
  }

  @Test(
    "headers that a delivery sets are refused",
    arguments: ["Webhook-Id", "content-type", "Host", "x-penstock-log", "Webhook-Test"])
  func reservedHeaders(name: String) {
    expectSinkError(containing: "the delivery sets it") { _ = try open { $0.headers = [.init(name, Secret("v"))] } }
  }

  @Test("a value that would make two headers is refused without being shown")
  func badHeaderValues() {
    let error = #expect(throws: SinkError.self) {
      _ = try open { $0.headers = [.init("key", Secret("hunter2\r\nx: y"))] }
    }
    #expect(error?.description.contains("line break") == true)
    #expect(error?.description.contains("hunter2") == false)
  }
}
