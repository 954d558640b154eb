import PenstockDelivery
import PenstockEvents
import PenstockLog

/// The plan of a webhook delivery, fixed for the delivery.
struct WebhookPlan: Hashable {
  var method: WebhookConfiguration.Method
  var form: BodyForm
  var selection: EventSelection
  /// The delivery's replay.
  var replay: String?
  /// For GET.
  var parameter: String
  var maxParameterBytes: Int
  /// New plans have CRC-32C: a signature hashes the body already.
  var digest = ContentDigest.Kind.crc32c

  private static let kind = "penstock-webhook"
  private static let version = 1

  init(_ configuration: WebhookConfiguration, events: EventWindow? = nil) {
    selection = EventSelection(filter: configuration.filter, fields: configuration.fields, window: events)
    method = configuration.method
    form = configuration.sendsSingleEvents ? .single : .array
    replay = configuration.replay
    parameter = configuration.parameter
    maxParameterBytes = configuration.maxParameterBytes
  }

  func encoded() throws(SinkError) -> [UInt8] {
    try PlanText.encode(
      kind: Self.kind, version: Self.version,
      [
        ("method", method.rawValue), ("body", form.rawValue), ("fields", selection.fields.description),
        ("parameter", parameter), ("limit", String(maxParameterBytes)),
        ("digest", digest.rawValue),
      ] + selection.filter.planEntry + (selection.window.map { [$0.planEntry] } ?? [])
        + (replay.map { [("replay", $0)] } ?? []))
  }

  init(parsing plan: [UInt8]) throws(SinkError) {
    let text = try PlanText(
      parsing: plan, kind: Self.kind, version: Self.version,
      keys: ["method", "body", "fields", "parameter", "limit", "digest", "filter", EventWindow.planKey, "replay"])
    guard let method = WebhookConfiguration.Method(rawValue: try text.value("method")) else {
      throw SinkError("the plan of this delivery has method=\(try text.value("method"))")
    }
    guard let form = BodyForm(rawValue: try text.value("body")), form != .rows else {
      throw SinkError("the plan of this delivery has body=\(try text.value("body"))")
    }
    self.method = method
    self.form = form
    selection = try EventSelection(plan: text)
    replay = text.optional("replay")
    try ReplayMark.validate(replay)
    parameter = try text.value("parameter")
    maxParameterBytes = try text.integer("limit")
    digest = try ContentDigest.Kind(plan: text)
  }
}
