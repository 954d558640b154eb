package import PenstockDelivery
package import PenstockEvents
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
  /// Renders the records that pass the window and the filter, uncompressed.
  package init(
    rendering batch: Batch, as form: BodyForm, selection: FieldSelection, filter: EventFilter = .all,
    events: EventWindow? = nil
  ) throws(SinkError) {
    let choice = RecordChoice(filter: filter, events: events)
    switch form {
    case .array: try self.init(batch, choice, ArrayRenderer(selection: selection))
    case .rows: try self.init(batch, choice, NDJSONRenderer(selection: selection))
    case .single:
      guard batch.count == 1 else {
        // The error has no offset: an offset would make the first record a dead letter, but the batch is at fault.
        throw SinkError("this delivery must have one event, but the batch has \(batch.count)")
      }
      try self.init(batch, choice, SingleRenderer(selection: selection))
    }
  }

  private init(_ batch: Batch, _ choice: RecordChoice, _ renderer: some EventRenderer) throws(SinkError) {
    var renderer = renderer
    var choice = choice
    var bytes: [UInt8] = []
    var count = 0
    bytes.reserveCapacity(batch.byteCount + batch.count + 2)
    renderer.begin(&bytes)
    try batch.forEachRecord { (record) throws(SinkError) in
      guard try choice.wants(record) else { return }
      renderer.append(record.bytes, to: &bytes)
      count += 1
    }
    renderer.finish(&bytes)
    self.init(bytes: bytes, contentDigest: Digest.sha256(bytes), contentLength: bytes.count, eventCount: count)
    untimedCount = choice.untimed
  }
}

/// Selects the records of a body, as its plan says.
struct RecordChoice {
  let filter: EventFilter
  let events: EventWindow?
  /// Records without a readable event time so far, if there is a window of event times.
  private(set) var untimed = 0

  init(filter: EventFilter, events: EventWindow?) {
    self.filter = filter
    self.events = events
  }

  /// Checks the window first: a record outside must not halt the filter.
  @inline(__always)
  mutating func wants(_ record: RecordView) throws(SinkError) -> Bool {
    if let events {
      let verdict = events.verdict(on: record)
      if !verdict.isTimed { untimed += 1 }
      if !verdict.isInside { return false }
    }
    return try filter.wants(record)
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

extension EventFilter {
  /// Whether a record is part of the body.
  @inline(__always)
  func wants(_ record: RecordView) throws(SinkError) -> Bool {
    switch verdict(on: record.bytes) {
    case .passes: return true
    case .filtered: return false
    case .malformed:
      switch malformed {
      case .pass: return true
      case .drop: return false
      case .halt:
        throw SinkError(
          "it is not a JSON object, and this destination's filter has malformed=halt; change that to drop or pass",
          offset: record.offset)
      }
    }
  }

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
