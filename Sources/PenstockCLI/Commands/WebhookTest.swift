import PenstockDelivery
import PenstockSinks
import PenstockSupport
import PenstockToolSupport

/// The result of `penstock deliver --test`.
struct WebhookTest {
  let name: String
  let report: WebhookTestReport

  /// Sends the test event.
  init(_ destination: Configuration.Destination, from file: String) async throws {
    guard let sink = try destination.sink(from: file) as? WebhookSink else {
      throw Failure(
        .usage, "notAWebhook", "\(destination.name) is not a webhook; --test works only with webhooks")
    }
    name = destination.name
    report = await sink.test()
    await sink.close()
  }

  var status: ExitStatus {
    switch report.outcome {
    case .delivered: .done
    case .retry: .cannot
    case .rejected, .refused, .disabled, .conflict: .bad
    }
  }

  private var outcome: (word: String, reason: String) {
    switch report.outcome {
    case .delivered(let receipt): ("delivered", receipt)
    case .retry(let reason, _): ("retry", reason)
    case .rejected(let reason): ("rejected", reason)
    case .refused(let reason): ("refused", reason)
    case .disabled(let reason): ("disabled", reason)
    case .conflict(let reason): ("conflict", reason)
    }
  }

  private var milliseconds: Double { report.latency / .milliseconds(1) }

  var json: JSON {
    .object([
      ("destination", .string(name)), ("outcome", .string(outcome.word)), ("reason", .string(outcome.reason)),
      ("status", .optional(report.status)), ("milliseconds", .number(milliseconds)),
      ("http", .optional(report.connection?.httpVersion)), ("tls", .optional(report.connection?.tlsVersion)),
      ("address", .optional(report.connection?.address)), ("id", .string(report.id)),
      ("answer", .string(report.excerpt)),
    ])
  }

  var words: String {
    var rows = [["destination", name], ["outcome", "\(outcome.word): \(outcome.reason)"]]
    if let status = report.status { rows.append(["status", "\(status)"]) }
    rows.append(["latency", HumanFormat.seconds(milliseconds / 1000)])
    if let connection = report.connection {
      rows += [["http", connection.httpVersion], ["tls", connection.tlsVersion ?? "none"]]
      if let address = connection.address { rows.append(["address", address]) }
    }
    rows.append(["webhook-id", report.id])
    if !report.excerpt.isEmpty { rows.append(["answer", report.excerpt]) }
    return HumanFormat.table(rows)
  }
}
