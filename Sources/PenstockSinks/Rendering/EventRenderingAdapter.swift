package import PenstockDelivery
package import PenstockEvents
package import PenstockLog
import PenstockSupport

/// How the events of a batch are laid out in a body. The raw values are frozen in plans.
package enum BodyForm: String, Sendable {
  /// One JSON array.
  case array
  /// One bare object; the batch has one record.
  case single
  /// One JSON object a row, a line feed after each.
  case rows
}

// The one place where sinks meet the renderers of PenstockEvents.
extension PreparedBody {
  /// Renders what the window and the filter let pass of a batch, not compressed.
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
        // It is the batch that is wrong, not its first record: an offset here would make that record a dead letter.
        throw SinkError("this delivery carries one event, and the batch has \(batch.count)")
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

/// Which records of a batch are part of its body, by its plan.
struct RecordChoice {
  let filter: EventFilter
  let events: EventWindow?
  /// Records without a readable event time so far, where there is a window of event times.
  private(set) var untimed = 0

  init(filter: EventFilter, events: EventWindow?) {
    self.filter = filter
    self.events = events
  }

  /// The window first: what is outside does not concern the filter, not even a record that would halt it.
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

  /// Reads the window out of a plan; nil where it has none.
  static func planned(_ text: PlanText) throws(SinkError) -> EventWindow? {
    guard let value = text.optional(planKey) else { return nil }
    guard let window = EventWindow(value) else {
      throw SinkError("the plan of this delivery has \(planKey)=\(value), which this release does not know")
    }
    return window
  }

  var planEntry: (String, String) { (Self.planKey, description) }

  /// The one that takes the most bytes of a plan.
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
          "it is not a JSON object, and this destination's filter says malformed=halt; change that to drop or pass",
          offset: record.offset)
      }
    }
  }

  /// Reads a filter out of a plan; plans from before there were filters have none.
  init(plan text: String?) throws(SinkError) {
    do throws(ParseError) {
      self = try text.map { (text) throws(ParseError) in try EventFilter(parsing: text) } ?? .all
    } catch {
      throw SinkError("the plan of this delivery has a filter this release does not know: \(error)")
    }
  }

  /// What a plan says of the filter: nothing when everything passes.
  var planEntry: [(String, String)] { passesEverything ? [] : [("filter", description)] }
}

extension DeliveryOutcome {
  /// What a sink answers for a batch of which the filter left nothing.
  package static let nothingToSend = DeliveryOutcome.delivered(receipt: "nothing to send: every record was filtered")
}

/// The name of a replay, as it stands in headers and keys.
enum ReplayMark {
  static func validate(_ id: String?) throws(SinkError) {
    guard let id else { return }
    do throws(LogError) { try ReplayManifestStore.validate(id) } catch { throw SinkError(error.message) }
  }
}

extension FieldSelection {
  /// Reads a selection out of a plan.
  init(plan text: String) throws(SinkError) {
    do throws(ParseError) {
      self = try FieldSelection(parsing: text)
    } catch {
      throw SinkError("the plan of this delivery has fields=\(text): \(error)")
    }
  }
}
