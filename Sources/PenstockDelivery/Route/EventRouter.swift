import PenstockEvents
import PenstockLog
import Synchronization

/// Reads a log once for many destinations, each of which wants some of its events.
///
/// Give one router to all deliveries of a log in one process, by ``DeliveryEnvironment/router``. A delivery whose
/// filter leaves events out then takes its events from here. It leaves the router, and reads the log for itself, while
/// it is far from all others, slower than they are, in trouble, or at a gap. So no destination slows another. While
/// destinations catch up together, they wait at most a second for one that takes nothing. Each is then called when 256
/// KiB of events wait for it. Before the end of the log is reached, the age of an event closes no batch.
///
/// Events that wait here, or that a destination took and has not counted into batches, take at most 32 MiB for all
/// destinations together; at most 4 MiB wait for one. One record for each destination may exceed that. Besides, batches
/// that the destinations gather may keep 64 MiB together, and 256 KiB each in any case. A larger one is read from the
/// log again when it is closed. The router reads only while it has a destination. An event is copied once for each
/// destination that wants it.
public final class EventRouter: Sendable {
  /// The place of one delivery.
  final class Seat: Sendable {
    private let id: Routing.MemberID
    private let router: EventRouter

    fileprivate init(_ id: Routing.MemberID, of router: EventRouter) {
      self.id = id
      self.router = router
    }

    deinit { router.leave(id) }

    /// False when the delivery has to read the log for itself from now on.
    var isTaken: Bool { router.state.withLock { $0.routing.isMember(id) } }

    /// Whether there are so many that they learn in turn, and only now and then, where the pass is.
    var isOneOfMany: Bool {
      router.state.withLock { state in state.routing.pass(of: id).map { state.routing.isLarge($0) } == true }
    }

    /// Whether the log has more to compare at once. What is gathered need not be sent because it is old.
    var isCatchingUp: Bool {
      router.state.withLock { state in state.routing.pass(of: id).map { !state.routing.isLive($0) } == true }
    }

    /// What waits, and up to where everything was compared; nil while the router is not beyond the delivery.
    func take() -> Routing.Piece? { router.relieve(id) { $0.take(id) } }

    /// What was taken last is counted into batches.
    func finish() { router.relieve(id) { $0.finish(id) } }
  }

  struct State {
    var routing: Routing
    /// How to call the delivery in each seat, also in one that it was sent away from.
    var calls: [Routing.MemberID: @Sendable () -> Void] = [:]
    var readings: [Routing.PassID: Reading] = [:]
    var lastReading = 0
  }

  /// The task that reads for a pass.
  struct Reading {
    /// A task that finds another number here ends.
    let number: Int
    let task: Task<Void, Never>
    /// Whether a member may be there that is to be told how far the pass is.
    var mayHaveUntold = false
  }

  let source: any RecordSource
  let clock: any DeliveryClock
  /// Where its tasks run; nil: where the system runs them.
  private let executor: (any TaskExecutor)?
  let state: Mutex<State>
  /// Memory for the batches that its deliveries gather.
  let kept = KeptBytes(most: 64 << 20)
  /// Told when a destination has taken or left.
  let room = AsyncCondition(0)

  /// A router of this log. It does nothing before a delivery joins.
  public convenience init(of source: any RecordSource, clock: any DeliveryClock = SystemDeliveryClock()) {
    self.init(Routing.Limits(), of: source, clock: clock)
  }

  package init(
    _ limits: Routing.Limits, of source: any RecordSource, clock: any DeliveryClock,
    executor: (any TaskExecutor)? = nil
  ) {
    self.source = source
    self.clock = clock
    self.executor = executor
    state = Mutex(State(routing: Routing(limits)))
  }

  /// The log that it reads.
  var logID: String { source.logID }

  /// How many deliveries take their events here.
  package var memberCount: Int { state.withLock { $0.routing.memberCount } }

  /// Nil when the delivery is too far from all others.
  ///
  /// - Parameter call: Called, from any thread and without a lock, when something waits, when the delivery should take
  ///   note of how far the router is, and when it was sent away. It may be called once more than that. After it, the
  ///   delivery has to take what waits, until nothing does.
  func join(_ filter: EventFilter, at offset: Offset, calling call: @escaping @Sendable () -> Void) -> Seat? {
    let id = state.withLock { state -> Routing.MemberID? in
      let before = state.routing.positions
      guard let id = state.routing.join(filter, at: offset), let pass = state.routing.pass(of: id) else { return nil }
      state.calls[id] = call
      // The task of a pass that goes back may be waiting for records after those. Thousands join where it is.
      let goesBack = state.routing.position(pass) != before[pass]
      if goesBack || state.readings[pass] == nil { restart(pass, &state) }
      return id
    }
    return id.map { Seat($0, of: self) }
  }

  private func restart(_ pass: Routing.PassID, _ state: inout State) {
    state.readings[pass]?.task.cancel()
    state.lastReading += 1
    let number = state.lastReading
    state.readings[pass] = Reading(
      number: number,
      // Holds the router until its last member leaves.
      task: Task(executorPreference: executor) { await self.read(pass, number) }, mayHaveUntold: true)
  }

  private func leave(_ id: Routing.MemberID) {
    relieve(id) { $0.leave(id) }
    state.withLock { _ = $0.calls.removeValue(forKey: id) }
  }

  /// Makes a member's move that may make room, or end its pass.
  private func relieve<Result>(_ id: Routing.MemberID, _ move: (inout Routing) -> Result) -> Result {
    let (result, hasRoom) = state.withLock { state in
      let pass = state.routing.pass(of: id)
      let wasRoomy = pass.map { state.routing.isRoomy($0) } == true
      let result = move(&state.routing)
      guard let pass, state.routing.position(pass) == nil else {
        return (result, !wasRoomy && pass.map { state.routing.isRoomy($0) } == true)
      }
      state.readings.removeValue(forKey: pass)?.task.cancel()
      // The other passes get its part of the memory.
      return (result, true)
    }
    if hasRoom { room.update { $0 += 1 } }
    return result
  }

  func wake(_ ids: [Routing.MemberID]) {
    guard !ids.isEmpty else { return }
    let calls = state.withLock { state in ids.compactMap { state.calls[$0] } }
    for call in calls { call() }
  }
}
