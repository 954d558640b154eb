import PenstockLog

/// A sink that goes no faster than it may. Waits before the first byte of an attempt; a retry is an attempt like any other.
///
/// It is closed by its owner, not by the deliveries that go through it one after the other.
final class PacedSink: Sink {
  private struct State: Sendable {
    var pace: Pace
    var isStopping = false
  }

  private let sink: any Sink
  private let clock: any DeliveryClock
  private let isUnlimited: Bool
  private let state: Watched<State>

  init(_ sink: any Sink, _ limits: PaceLimits, clock: any DeliveryClock) {
    self.sink = sink
    self.clock = clock
    isUnlimited = limits.isUnlimited
    state = Watched(State(pace: Pace(limits, now: clock.now())))
  }

  var description: String { sink.description }

  func plan(_ outline: BatchOutline) throws(SinkError) -> [UInt8] { try sink.plan(outline) }

  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody { try sink.prepare(batch, plan: plan) }

  func deliver(_ delivery: PendingDelivery) async -> DeliveryOutcome {
    guard await takeTurn(records: delivery.body.eventCount, bytes: delivery.body.bytes.count) else {
      return .retry(reason: "stopped while it waited for its turn; nothing was sent", after: nil)
    }
    return await sink.deliver(delivery)
  }

  func close() async {}

  /// Ends all waiting; nothing is sent from now on but what is on its way.
  func stop() { state.update { $0.isStopping = true } }

  /// False when it was stopped or cancelled first.
  private func takeTurn(records: Int, bytes: Int) async -> Bool {
    guard !isUnlimited, records > 0 else { return true }
    while true {
      let now = clock.now()
      let ready = state.update { state in
        let ready = state.pace.ready(records: records, bytes: bytes, now: now)
        if ready <= now { state.pace.take(records: records, bytes: bytes, now: now) }
        return ready
      }
      if ready <= now { return true }
      guard await sleep(until: ready) else { return false }
    }
  }

  private func sleep(until moment: Moment) async -> Bool {
    let (clock, state) = (clock, state)
    return await withTaskGroup(of: Bool.self) { group in
      group.addTask {
        do { try await clock.sleep(until: moment) } catch { return false }
        return true
      }
      group.addTask {
        _ = await state.wait { $0.isStopping }
        return false
      }
      let first = await group.next() ?? false
      group.cancelAll()
      return first
    }
  }
}
