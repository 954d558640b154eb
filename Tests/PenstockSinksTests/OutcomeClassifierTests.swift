import PenstockDelivery
import PenstockLog
import Testing

@testable import PenstockSinks

struct OutcomeClassifierTests {
  private func classify(_ status: Int, retryAfter: String? = nil) -> DeliveryOutcome {
    OutcomeClassifier.classify(status: status, retryAfter: retryAfter, detail: "", now: .fixed)
  }

  @Test("every status has its class")
  func everyStatus() {
    for status in 100...599 {
      let outcome = classify(status)
      let matches =
        switch status {
        case 200...299: outcome.isDelivered
        case 410: outcome.isDisabled
        case 408, 425, 429, 500...599: outcome.isRetry
        case 400, 413, 422: outcome.isRejected
        case 300...499: outcome.isRefused
        default: outcome.isRetry
        }
      #expect(matches, "\(status): \(outcome)")
    }
  }

  @Test("only three statuses blame the content")
  func wrongContent() { #expect((100...599).filter { classify($0).isRejected } == [400, 413, 422]) }

  @Test(
    "a 400 about the connection blames no record",
    arguments: [
      ("<title>400 No required SSL certificate was sent</title>", true),
      ("<title>400 The SSL certificate error</title>", true),
      ("<title>400 The plain HTTP request was sent to HTTPS port</title>", true), ("bad certificate number", false),
    ])
  func connectionNotContent(detail: String, isConnection: Bool) {
    let outcome = OutcomeClassifier.classify(status: 400, retryAfter: nil, detail: detail, now: .fixed)
    #expect(outcome.isRefused == isConnection)
    #expect(outcome.isRejected != isConnection)
  }

  @Test("a redirect says that it is not followed", arguments: [301, 302, 303, 307, 308])
  func redirects(status: Int) {
    #expect(classify(status).isRefused)
    #expect(classify(status).words.contains("redirects are not followed"))
  }

  @Test(
    "Retry-After counts wherever a retry is asked for, and the status is told with its words",
    arguments: [
      (408, "408 Request Timeout"), (425, "425 Too Early"), (429, "429 Too Many Requests"),
      (500, "500 Internal Server Error"), (503, "503 Service Unavailable"), (599, "599"),
    ])
  func retryAfter(status: Int, words: String) {
    let reason = "the receiver answered \(words)"
    #expect(classify(status, retryAfter: "17") == .retry(reason: reason, after: .seconds(17)))
    #expect(classify(status, retryAfter: "nonsense") == .retry(reason: reason, after: nil))
  }

  @Test("network failures are retried; a request that cannot be sent is refused")
  func networkFailures() {
    let kinds: [TransportError.Kind] = [
      .connectionRefused, .unknownHost, .unreachable, .timeout, .tls, .connectionLost, .cancelled,
    ]
    for kind in kinds { #expect(OutcomeClassifier.classify(TransportError(kind)).isRetry) }
    #expect(OutcomeClassifier.classify(TransportError(.invalidRequest)).isRefused)
    #expect(OutcomeClassifier.classify(TransportError(.forbiddenAddress)).isRefused)
  }

  @Test("an excerpt is one bounded line without secrets")
  func excerpts() {
    let secret = Secret("k3y")
    let body = Array("no\r\n  such\u{1B}[31m key: k3y".utf8)
    #expect(OutcomeClassifier.excerpt(body, secrets: [secret]) == "no such [31m key: <secret>")
    let long = OutcomeClassifier.excerpt(Array(String(repeating: "x", count: 5000).utf8), secrets: [])
    #expect(long.count == 301)
    let atTheEdge = String(repeating: "x", count: 298) + "k3y"
    #expect(!OutcomeClassifier.excerpt(Array(atTheEdge.utf8), secrets: [secret]).contains("k3"))
  }
}
