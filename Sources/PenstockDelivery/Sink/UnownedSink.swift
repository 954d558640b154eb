import PenstockLog

/// A sink that deliveries use one after the other and do not close; its owner does. It adds the window of event times
/// to the metadata from which the sink plans.
struct UnownedSink: Sink {
  let sink: any Sink
  var events: EventWindow?

  var description: String { sink.description }
  var acceptsCompressedFrames: Bool { sink.acceptsCompressedFrames && events == nil }
  var appliesEventWindows: Bool { sink.appliesEventWindows }
  var batchPolicy: BatchPolicy { sink.batchPolicy }
  var batchLimits: BatchLimits { sink.batchLimits }

  func copiesFrames(plan: [UInt8]) throws(SinkError) -> Bool { try sink.copiesFrames(plan: plan) }
  var recordsEveryRange: Bool { sink.recordsEveryRange }
  var sendsSingleEvents: Bool { sink.sendsSingleEvents }
  var plansAhead: Bool { sink.plansAhead }

  var selection: EventSelection {
    var selection = sink.selection
    selection.window = events
    return selection
  }

  func selection(plan: [UInt8]) throws(SinkError) -> EventSelection { try sink.selection(plan: plan) }

  func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] {
    var outline = outline
    outline.events = events
    return try sink.plan(outline)
  }
  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody { try sink.prepare(batch, plan: plan) }
  func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome { await sink.deliver(delivery) }
  func close() async {}
}
