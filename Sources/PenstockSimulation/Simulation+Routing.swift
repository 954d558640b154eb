internal import Logging
import PenstockDelivery
import PenstockLog
import PenstockTestKit

// Several destinations of one process, each of which wants some of the events: they share a router and the writes of
// their cursors.
extension Simulation {
  /// A destination of a simulated run. What it wants changes.
  struct Destination: Sendable {
    var name: String
    var maxInFlight = 1
    var recordsEveryRange = false
  }

  static let destinations = [
    Destination(name: "one"), Destination(name: "two"), Destination(name: "pair", maxInFlight: 2),
    Destination(name: "export", recordsEveryRange: true), Destination(name: "three"),
  ]

  /// What a process runs for a destination: deliveries one after the other, as its configuration changes.
  private struct Job: Sendable {
    struct Run: Sendable {
      var wanted: Int
      var policy: BatchPolicy
      var manners: [SimulatedPeer.Manner]
      var seed: UInt64
      /// An operator stops it after so many turns; nil: it catches up.
      var stopsAfter: Int?
    }

    var destination: Destination
    var lease: RecordedLease
    var source: GrowingSource
    var router: EventRouter
    var memory: SimulatedPeer.Memory
    var traits: [UInt64: EventTraits]
    var runs: [Run]
    var turns: Turns
    var end: Offset
    var isStalled: Bool
    var wallClock: ManualClock
    var recorder: EventRecorder<SimulationEvent>

    struct Outcome: Sendable {
      var memory: SimulatedPeer.Memory
      var failure: DeliveryFailure?
    }

    /// All its deliveries, or up to the first that fails.
    func run() async -> Outcome {
      var outcome = Outcome(memory: memory)
      for run in runs where outcome.failure == nil {
        await turns.some(upTo: 20)
        outcome = await deliver(run, outcome.memory)
      }
      return outcome
    }

    private func deliver(_ run: Run, _ memory: SimulatedPeer.Memory) async -> Outcome {
      recorder.note(.wanting(cursor: lease.name, run.wanted))
      let routed = SimulatedPeer.Routed(
        wanted: run.wanted, recordsEveryRange: destination.recordsEveryRange, traits: traits, turns: turns)
      let sink = SimulatedPeer(
        rendering: ScriptedSink(lineEnding: run.seed % 2 == 0 ? "\n" : "\r\n"), memory, manners: run.manners,
        random: SplitMix64(seed: run.seed), recorder: recorder, routed: routed)
      let delivery = Delivery(
        from: lease, source: source, to: sink,
        options: DeliveryOptions(
          policy: run.policy,
          retry: RetryPolicy(
            first: .seconds(1), cap: .seconds(10), maxRetryAfter: .seconds(30), refusedWait: .zero,
            giveUpAfter: .seconds(60)),
          maxInFlight: destination.maxInFlight),
        deadLetters: RecordedLetters(recorder: recorder),
        environment: DeliveryEnvironment(
          clock: TurningClock(clock: TickingClock(isStalled: isStalled), turns: turns), wallClock: wallClock,
          random: { .max / 2 }, logger: .silent, router: router))
      if let stopsAfter = run.stopsAfter {
        Task(executorPreference: turns.runner) {
          await turns.take(stopsAfter)
          delivery.stop()
        }
      }
      do throws(DeliveryFailure) {
        let report = try await delivery.run(untilCaughtUpWith: end)
        if report.ending == .caughtUp { recorder.note(.caughtUp(cursor: lease.name, upTo: end)) }
        if lease.held.isAhead {
          recorder.note(.failed("\(lease.name) has ended (\(report.ending)), and its place is not durable"))
        }
        return Outcome(memory: sink.memory)
      } catch {
        let defects: [DeliveryTrouble.Kind] = [.defect, .contentChanged, .fenced, .wrongLog]
        if defects.contains(error.trouble.kind) { recorder.note(.failed("\(error)")) }
        return Outcome(memory: sink.memory, failure: error)
      }
    }
  }

  mutating func route(
    _ process: inout Process, _ disk: SimulatedFileSystem, _ random: inout SplitMix64
  ) throws(LogError) {
    let chosen = Self.destinations.filter { _ in random.below(5) > 0 }
    let held = try hold(chosen.map(\.name), &process, disk)
    try acknowledge(held, upTo: process.writer.durableEnd)
    let view = process.writer.view
    let turns = Turns(runner, seed: random.next())
    let group = MoveGroup(turns)
    let (places, end) = (held.map(\.state.nextFirst), view.end)
    // Somewhere after them all: what is there now, and what comes while they run.
    let front = places.max() ?? end
    let shown = AsyncCondition(min(end, front + random.below(max(1, end - front + 1))))
    let logID = LogMeta.hex(process.writer.logID)
    let own = GrowingSource(
      view: view, logID: logID, shown: shown, turns: turns, mostRecords: 1 + random.below(8))
    var shared = GrowingSource(
      view: view, logID: logID, shown: shown, turns: turns, mostRecords: 1 + random.below(4))
    let begin = places.min() ?? end
    if random.below(3) == 0, begin < end { shared.unreadable = [begin + random.below(end - begin)] }
    let router = EventRouter(
      Self.limits(&random), of: shared, clock: TurningClock(clock: TickingClock(isStalled: isStalled), turns: turns),
      executor: runner)
    var jobs: [Job] = []
    for (destination, held) in zip(chosen, held) {
      let lease = RecordedLease(held: held, epoch: held.state.epoch, view: view, recorder: recorder, group: group)
      jobs.append(
        Job(
          destination: destination, lease: lease, source: own, router: router,
          memory: branch.peers[destination.name] ?? SimulatedPeer.Memory(isCreateOnly: script.createsOnly),
          traits: branch.traits, runs: runs(of: destination, &random), turns: turns, end: end, isStalled: isStalled,
          wallClock: clock, recorder: recorder))
    }
    try run(jobs, &process, disk, growing: own)
    result.routedReads += shared.reads.value
    result.groupedMoves += group.count.grouped
    if shared.reads.value > 0 { hasRouted = true }
    if group.count.grouped > 0 { hasGrouped = true }
  }

  private mutating func run(
    _ jobs: [Job], _ process: inout Process, _ disk: SimulatedFileSystem, growing source: GrowingSource
  ) throws(LogError) {
    let outcomes: [Job.Outcome]? = runner.runAlone {
      await withTaskGroup(of: (Int, Job.Outcome?).self) { tasks in
        tasks.addTask {
          await source.grow()
          return (0, nil)
        }
        for (number, job) in jobs.enumerated() { tasks.addTask { (number, await job.run()) } }
        var outcomes: [Int: Job.Outcome] = [:]
        for await case (let number, let outcome?) in tasks { outcomes[number] = outcome }
        return jobs.indices.compactMap { outcomes[$0] }
      }
    }
    guard let outcomes else { return note(.failed("the destinations wait for each other, or for nothing")) }
    for (job, outcome) in zip(jobs, outcomes) {
      let name = job.destination.name
      branch.peers[name] = outcome.memory
      tell("    delivery to \(name): \(outcome.failure.map { "\($0)" } ?? "done")")
      guard outcome.failure != nil else { continue }
      job.lease.held.close()
      process.held[name] = nil
    }
  }

  private static func limits(_ random: inout SplitMix64) -> Routing.Limits {
    var limits = Routing.Limits()
    limits.mostPasses = 1 + random.below(3)
    limits.near = random.below(6)
    limits.nearCatchingUp = limits.near + random.below(30)
    limits.mostBytes = [1_000, 20_000, 1 << 20][random.below(3)]
    limits.mostBytesOfOne = [300, 5_000, 1 << 20][random.below(3)]
    return limits
  }

  /// One to three deliveries, of which the last one catches up. What is wanted changes now and then.
  private mutating func runs(of destination: Destination, _ random: inout SplitMix64) -> [Job.Run] {
    let count = [1, 1, 2, 3][random.below(4)]
    return (1...count).map { number in
      let known = branch.wanted[destination.name] ?? random.below(WantedEvents.all.count)
      let wanted = random.below(3) == 0 ? random.below(WantedEvents.all.count) : known
      branch.wanted[destination.name] = wanted
      return Job.Run(
        wanted: wanted, policy: BatchPolicy(maxRecords: 1 + random.below(6), maxWait: .seconds(10)),
        manners: Self.manners(&random), seed: random.next(), stopsAfter: number < count ? random.below(120) : nil)
    }
  }

  // MARK: - Their cursors

  /// Takes cursors for this process, together, making them first.
  private mutating func hold(
    _ names: [String], _ process: inout Process, _ disk: SimulatedFileSystem
  ) throws(LogError) -> [HeldCursor] {
    let new = names.filter { process.held[$0] == nil }
    if !new.isEmpty {
      let (first, paths, logID) = (process.writer.view.set.first, LogPaths(Self.path), process.writer.logID)
      for name in new {
        let fresh = try state(of: name, process, disk) ?? CursorState(startingAt: first)
        note(.cursorMoving(name, to: [fresh, fresh.acquired()]))
      }
      let mover: CursorMover
      if let known = process.mover { mover = known } else { mover = try CursorMover(disk, paths) }
      process.mover = mover
      var taken: [HeldCursor] = []
      for found in CursorStore.hold(mover, paths, logID: logID, new.map { ($0, first) }) {
        taken.append(try found.get())
      }
      for held in taken { process.held[held.name] = held }
      try acquire(taken)
    }
    return names.compactMap { process.held[$0] }
  }

  /// Notes the outcome of one step of many cursors.
  private mutating func acquire(_ cursors: [HeldCursor]) throws(LogError) {
    let outcomes = HeldCursor.move(
      cursors, { (state) throws(CursorMoveError) in state.acquired() }, afterPreparing: { _ throws(LogError) in })
    for (held, outcome) in zip(cursors, outcomes) { note(.cursorMoved(held.name, try outcome.get())) }
  }

  /// As after an operator has acknowledged what retention took from them.
  private mutating func acknowledge(_ cursors: [HeldCursor], upTo end: Offset) throws(LogError) {
    let losers = cursors.filter { $0.state.lost != nil }
    for held in losers { _ = try move(held, upTo: end, inFlight: 0, choosing: { _ in 0 }) }
  }

  /// What the next process finds of them. Taking them over makes what was seen durable.
  mutating func findDestinations(_ writer: LogWriter, _ disk: SimulatedFileSystem) throws(LogError) {
    let (paths, logID) = (LogPaths(Self.path), writer.logID)
    var states: [String: CursorState] = [:]
    for (name, state) in try CursorStore.states(disk, paths, of: logID) { states[name] = try state.get() }
    for destination in Self.destinations { note(.cursorFound(destination.name, states[destination.name])) }
    let names = Self.destinations.map(\.name).filter { states[$0] != nil }
    guard !names.isEmpty else { return }
    let mover = try CursorMover(disk, paths)
    for name in names { note(.cursorMoving(name, to: [states[name]?.acquired()])) }
    var taken: [HeldCursor] = []
    for (name, found) in zip(names, CursorStore.take(mover, paths, logID: logID, names)) {
      switch found {
      case .success(let held): taken.append(held)
      // Memory showed what a failed sync had lost. That is honest for a cursor that was never durable.
      case .failure(let error) where error.code == .unknownCursor: note(.cursorFound(name, nil))
      case .failure(let error): throw error
      }
    }
    try acquire(taken)
    mover.close()
  }

  /// An operator moves a cursor: deliveries continue there. Not that of an export, which proves its ranges.
  mutating func seek(
    _ process: inout Process, _ disk: SimulatedFileSystem, _ random: inout SplitMix64
  ) throws(LogError) {
    let names = Self.destinations.filter { !$0.recordsEveryRange }.map(\.name)
    guard let held = try hold([names[random.below(names.count)]], &process, disk).first else { return }
    let (state, view) = (held.state, process.writer.view)
    guard state.inFlight.isEmpty else { return }
    let target = view.set.first + random.below(view.end - view.set.first + 1)
    let next: CursorState
    do throws(CursorMoveError) {
      next = try state.seeking(to: target, epoch: state.epoch, durableEnd: view.end).acquired()
    } catch { throw LogError(.illegalMove, "the simulation made an illegal move", cause: error) }
    note(.seeking(cursor: held.name, to: target))
    note(.cursorMoving(held.name, to: [next]))
    note(.cursorMoved(held.name, try held.move { (_) throws(CursorMoveError) in next }))
  }
}
