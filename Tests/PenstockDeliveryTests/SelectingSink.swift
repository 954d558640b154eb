import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit

/// A scripted sink with a filter, which its plan keeps.
struct SelectingSink: Sink {
  let sink: ScriptedSink
  let selection: EventSelection
  var recordsEveryRange = false
  var sendsSingleEvents = false
  /// Events that cannot be rendered.
  var unrenderable: Set<Offset> = []
  var batchPolicy = BatchPolicy(maxRecords: 3)

  var description: String { sink.description }
  var plansAhead: Bool { true }

  func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] {
    try sink.plan(outline) + [0] + Array(selection.filter.description.utf8)
  }

  private static func parts(_ plan: [UInt8]) throws(SinkError) -> (plan: [UInt8], filter: String) {
    guard let zero = plan.firstIndex(of: 0) else { throw SinkError("a plan without a filter") }
    return (Array(plan[..<zero]), String(decoding: plan[(zero + 1)...], as: UTF8.self))
  }

  func selection(plan: [UInt8]) throws(SinkError) -> EventSelection {
    let text = try Self.parts(plan).filter
    do { return EventSelection(filter: try EventFilter(parsing: text)) } catch { throw SinkError("\(error)") }
  }

  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    if batch.count == 1, unrenderable.contains(batch.offset(at: 0)) {
      throw SinkError("nothing can be made of it", offset: batch.offset(at: 0))
    }
    return try sink.prepare(batch, plan: Self.parts(plan).plan)
  }

  func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    delivery.body.eventCount == 0 && !recordsEveryRange ? .delivered(receipt: "nothing") : await sink.deliver(delivery)
  }

  func close() async { await sink.close() }
}

/// Events of some apps, in turn.
func event(_ number: Int, of app: String) -> String { #"{"app_id":"\#(app)","n":\#(number)}"# }

func only(_ app: String, malformed: EventFilter.Malformed = .drop) throws -> EventSelection {
  var wanted = EventFilter.Terms()
  wanted.appIDs = [app]
  return EventSelection(filter: try EventFilter(including: wanted, malformed: malformed))
}
