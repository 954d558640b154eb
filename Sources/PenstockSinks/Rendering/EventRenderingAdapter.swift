package import PenstockDelivery
import PenstockEvents
package import PenstockLog
import PenstockSupport

/// The form of a body. Plans store the raw values, so these must not change.
package enum BodyForm: String, Sendable {
  /// One JSON array.
  case array
  /// One JSON object; the batch has one record.
  case single
  /// One JSON object per row, with a line feed after each.
  case rows
}

// The only code that connects sinks with the renderers of PenstockEvents.
extension PreparedBody {
  /// Renders what is selected of a batch, uncompressed. A delivery has selected already. A batch that holds a whole
  /// range is selected here.
  package init(rendering batch: Batch, as form: BodyForm, _ selection: EventSelection = .all) throws(SinkError) {
    try self.init(rendering: batch, as: form, selection, digest: .sha256)
  }

  init(
    rendering batch: Batch, as form: BodyForm, _ selection: EventSelection, digest: ContentDigest.Kind
  ) throws(SinkError) {
    var untimed = 0
    let batch = try selection.applied(to: batch, untimed: &untimed)
    switch form {
    case .array: self.init(batch, ArrayRenderer(), digest)
    case .rows: self.init(batch, NDJSONRenderer(), digest)
    case .single:
      guard batch.count <= 1 else {
        // The error has no offset: an offset would make the first record a dead letter, but the batch is at fault.
        throw SinkError("this delivery must have one event, but the batch has \(batch.count)")
      }
      self.init(batch, SingleRenderer(), digest)
    }
  }

  private init(_ batch: Batch, _ renderer: some EventRenderer, _ digest: ContentDigest.Kind) {
    var renderer = renderer
    var bytes = BodyBuffers.shared.take(batch.byteCount + batch.count + 2)
    renderer.begin(&bytes)
    batch.forEachRecord { renderer.append($0.bytes, to: &bytes) }
    renderer.finish(&bytes)
    let digest = ContentDigest(digest, of: bytes).bytes(length: bytes.count)
    self.init(bytes: bytes, contentDigest: digest, contentLength: bytes.count, eventCount: batch.count)
  }
}

extension EventWindow {
  static let planKey = "window"

  /// Parses the window of a plan; nil if it has none.
  static func planned(_ text: PlanText) throws(SinkError) -> EventWindow? {
    guard let value = text.optional(planKey) else { return nil }
    guard let window = EventWindow(value) else {
      throw SinkError("the plan of this delivery has \(planKey)=\(value), which this version does not know")
    }
    return window
  }

  var planEntry: (String, String) { (Self.planKey, description) }

  /// The window with the longest text.
  static let longest = EventWindow(
    from: Timestamp(nanoseconds: .min), until: Timestamp(nanoseconds: .min), untimed: .appendTime)
}

extension EventSelection {
  /// Parses the filter, the fields and the window of a plan.
  init(plan text: PlanText) throws(SinkError) {
    self.init(
      filter: try EventFilter(plan: text.optional("filter")), fields: try FieldSelection(plan: text.value("fields")),
      window: try EventWindow.planned(text))
  }
}

extension EventFilter {
  /// Parses the filter of a plan; a plan without one passes everything.
  init(plan text: String?) throws(SinkError) {
    do throws(ParseError) {
      self = try text.map { (text) throws(ParseError) in try EventFilter(parsing: text) } ?? .all
    } catch {
      throw SinkError("the plan of this delivery has a filter that this version does not know: \(error)")
    }
  }

  /// The filter's entry in a plan: none if everything passes.
  var planEntry: [(String, String)] { passesEverything ? [] : [("filter", description)] }
}

extension DeliveryOutcome {
  /// The outcome of a batch without a selected record.
  package static let nothingToSend = DeliveryOutcome.delivered(receipt: "nothing to send: every record was filtered")
}

/// The id of a replay in headers and keys.
enum ReplayMark {
  static func validate(_ id: String?) throws(SinkError) {
    guard let id else { return }
    do throws(LogError) { try ReplayManifestStore.validate(id) } catch { throw SinkError(error.message) }
  }
}

extension FieldSelection {
  /// Parses the field selection of a plan.
  init(plan text: String) throws(SinkError) {
    do throws(ParseError) {
      self = try FieldSelection(parsing: text)
    } catch {
      throw SinkError("the plan of this delivery has fields=\(text): \(error)")
    }
  }
}
