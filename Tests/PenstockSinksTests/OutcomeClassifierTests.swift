import PenstockDelivery
import PenstockLog
import Testing

@testable import PenstockSinks

struct OutcomeClassifierTests {
  private func classify(_ status: Int, retryAfter: String? = nil) -> DeliveryOutcome {
    OutcomeClassifier.classify(status: status, retryAfter: retryAfter, detail: "", now: .fixed)
  }

  @Test func `every status has its class`() {
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

  @Test(arguments: [
    ("<title>400 No required SSL certificate was sent</title>", true),
    ("<title>400 The SSL certificate error</title>", true),
    ("<title>400 The plain HTTP request was sent to HTTPS port</title>", true), ("bad certificate number", false),
  ])
  func `a 400 about the connection blames no record`(detail: String, isConnection: Bool) {
    let outcome = OutcomeClassifier.classify(status: 400, retryAfter: nil, detail: detail, now: .fixed)
    #expect(outcome.isRefused == isConnection)
    #expect(outcome.isRejected != isConnection)
  }

  @Test(arguments: [301, 302, 303, 307, 308])
  func `a redirect says that it is not followed`(status: Int) {
    #expect(classify(status).words.contains("redirects are not followed"))
  }

  @Test(arguments: [
    (408, "408 Request Timeout"), (425, "425 Too Early"), (429, "429 Too Many Requests"),
    (500, "500 Internal Server Error"), (503, "503 Service Unavailable"), (599, "599"),
  ])
  func `Retry-After counts wherever a retry is asked for, and the status is given with its words`(
    status: Int, words: String
  ) {
    let reason = "the receiver answered \(words)"
    #expect(classify(status, retryAfter: "17") == .retry(reason: reason, after: .seconds(17)))
    #expect(classify(status, retryAfter: "nonsense") == .retry(reason: reason, after: nil))
  }

  @Test func `network failures are retried; a request that cannot be sent is refused`() {
    let kinds: [TransportError.Kind] = [
      .connectionRefused, .unknownHost, .unreachable, .timeout, .tls, .connectionLost, .cancelled,
    ]
    for kind in kinds { #expect(OutcomeClassifier.classify(TransportError(kind)).isRetry) }
    #expect(OutcomeClassifier.classify(TransportError(.invalidRequest)).isRefused)
    #expect(OutcomeClassifier.classify(TransportError(.forbiddenAddress)).isRefused)
  }

  @Test func `an excerpt is one bounded line without secrets`() {
    let secret = Secret("k3y")
    let body = Array("no\r\n  such\u{1B}[31m key: k3y".utf8)
    #expect(OutcomeClassifier.excerpt(body, secrets: [secret]) == "no such [31m key: <secret>")
    #expect(OutcomeClassifier.excerpt(Array(String(repeating: "x", count: 5000).utf8), secrets: []).count == 301)
    let atTheEdge = String(repeating: "x", count: 298) + "k3y"
    #expect(!OutcomeClassifier.excerpt(Array(atTheEdge.utf8), secrets: [secret]).contains("k3"))
  }
}

struct RetryAfterTests {
  /// Sun, 06 Nov 1994 08:49:37 GMT
  private let now = Timestamp(nanoseconds: 784_111_777_000_000_000)

  @Test(arguments: [("0", 0), ("120", 120), (" 7\t", 7), ("99999999999999999999", 31_536_000)])
  func `seconds are seconds`(text: String, expected: Int) {
    #expect(RetryAfter.parse(text, now: now) == .seconds(expected))
  }

  @Test(arguments: [
    ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("Sun, 06 Nov 1994 08:50:00 GMT", 23),
    ("Mon, 07 Nov 1994 08:49:37 GMT", 86_400), ("Sat, 05 Nov 1994 08:49:37 GMT", 0),
    ("Fri, 31 Dec 9999 23:59:59 GMT", 31_536_000),
  ])
  func `a date is the time until it, and never negative`(text: String, expected: Int) {
    #expect(RetryAfter.parse(text, now: now) == .seconds(expected))
  }

  @Test func `half a second before the date is half a second`() {
    let earlier = Timestamp(nanoseconds: now.nanoseconds - 500_000_000)
    #expect(RetryAfter.parse("Sun, 06 Nov 1994 08:49:37 GMT", now: earlier) == .milliseconds(500))
  }

  @Test(arguments: [
    "", " ", "-1", "1.5", "+5", "soon", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
    "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
    "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Nov 1994  08:49:37 GMT", "Son, 06 Nov 1994 08:49:37 GMT",
  ])
  func `anything else is not understood`(text: String) {
    #expect(RetryAfter.parse(text, now: now) == nil)
  }
}
