import PenstockLog

/// A sink that is lent to deliveries, one after the other, and closed by its owner.
struct LentSink: Sink {
  let sink: any Sink

  var description: String { sink.description }
  var copiesFrames: Bool { sink.copiesFrames }
  var batchPolicy: BatchPolicy { sink.batchPolicy }
  var batchLimits: BatchLimits { sink.batchLimits }

  func plan(_ outline: BatchOutline) throws(SinkError) -> [UInt8] { try sink.plan(outline) }
  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody { try sink.prepare(batch, plan: plan) }
  func deliver(_ delivery: PendingDelivery) async -> DeliveryOutcome { await sink.deliver(delivery) }
  func close() async {}
}
