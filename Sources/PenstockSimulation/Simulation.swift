import PenstockDelivery
import PenstockLog
package import PenstockTestKit

/// Runs a ``SimulationScript``: one simulated run, on one thread. The script decides everything.
///
/// The log's parts are driven as `Log` drives them, without its threads: blocks are compressed ahead, written, synced
/// together and shown; segments are sealed, retention is run, cursors move. Deliveries are the real thing.
package struct Simulation {
  /// An append, of a producer or without one.
  struct Outgoing: Sendable {
    var records: [[UInt8]]
    var digests: [UInt64]
    /// 0 without a producer.
    var sequence: UInt64

    var producer: History.ProducerStep? { sequence == 0 ? nil : History.ProducerStep(Simulation.producer, sequence) }
    var batch: RecordBatch {
      var batch = RecordBatch()
      for record in records { batch.append(record) }
      if sequence > 0 {
        batch.producer = ProducerMark(
          name: Simulation.producer, epoch: 1, sequence: sequence, source: Array("\(sequence)".utf8))
      }
      return batch
    }
  }

  static let path = "/log"
  static let producer = "importer"
  /// The cursors: one that a consumer moves, one that a delivery moves.
  static let consumer = "consumer"
  static let webhook = "webhook"

  /// Replaces an event for the checker: a fault that a test injects to see it found.
  package typealias InjectedFault = @Sendable (History.Event) -> History.Event

  let script: SimulationScript
  let injectedFault: InjectedFault?
  let isVerbose: Bool
  let runner = SerialRunner()
  let recorder = EventRecorder<SimulationEvent>()
  let clock = ManualClock()
  let configuration: LogConfiguration
  let hasRoom: Bool

  var isStalled = false
  /// Whether the process has read with its router, and moved several cursors in one write.
  var (hasRouted, hasGrouped) = (false, false)
  var result = Result()
  var hash = TraceHash()
  var branch: Branch
  /// A disk that keeps a copy at each I/O, and the moments at which the machine may go down.
  var watched: SimulatedFileSystem?
  var crashPoints: [CrashPoint] = []

  struct CrashPoint {
    var disk: SimulatedDisk
    /// What had been promised until then.
    var branch: Branch
  }

  /// The state of one branch of the history.
  struct Branch {
    var checker: HistoryChecker
    /// Of records and appends made so far.
    var made: UInt64 = 0
    var sequence: UInt64 = 0
    /// A producer's appends that were not acknowledged, in order.
    var unsent: [Outgoing] = []
    /// The records of the appends under way, in order.
    var unanswered: [UInt64] = []
    /// Segments whose sealing has returned: they stay sealed.
    var sealed: Set<SegmentName> = []
    /// Files that retention has said are gone.
    var dropped: Set<String> = []
    /// Salts given out so far.
    var salt: UInt64 = 0
    var peer = SimulatedPeer.Memory()
    /// What is known of records by their digests, where destinations want some of them.
    var traits: [UInt64: EventTraits] = [:]
    /// The configurations and the other ends of the routed destinations.
    var wanted: [String: Int] = [:]
    var peers: [String: SimulatedPeer.Memory] = [:]
    var filters = FilterOracle(Simulation.destinations.map { ($0.name, $0.maxInFlight == 1) })
  }

  init(
    _ script: SimulationScript, verbose isVerbose: Bool = false, injecting injectedFault: InjectedFault? = nil
  ) {
    self.script = script
    self.injectedFault = injectedFault
    self.isVerbose = isVerbose
    configuration = Self.configuration(hardCapBytes: script.hardCapBytes)
    hasRoom = script.hasRoom
    // Nine segments' worth: the cap, one being written, one made ready, one being sealed.
    let limits = HistoryChecker.Limits(bytes: 1 << 20, files: 24)
    branch = Branch(checker: HistoryChecker(limits: limits))
    branch.checker.note(.destination(cursor: Self.webhook))
    // The others pass records without an intent, which is the oracle's to judge.
    for destination in Self.destinations where script.routes && destination.recordsEveryRange {
      branch.checker.note(.destination(cursor: destination.name))
    }
    branch.peer.isCreateOnly = script.createsOnly
  }

  private static func configuration(hardCapBytes: Int) -> LogConfiguration {
    var configuration = LogConfiguration()
    configuration.segmentBytes = 64 << 10
    configuration.blockBytes = 8 << 10
    configuration.encoders = 0
    configuration.retention = RetentionPolicy(maxBytes: 64 << 10, hardCapBytes: hardCapBytes)
    var sealing = SealingSettings()
    sealing.level = 1
    sealing.blockBytes = 32 << 10
    configuration.sealing = .settings(sealing)
    return configuration
  }

  /// Runs the script to its end, or to the first violation.
  package static func run(
    _ script: SimulationScript, verbose isVerbose: Bool = false, injecting injectedFault: InjectedFault? = nil
  ) -> Result {
    var simulation = Simulation(script, verbose: isVerbose, injecting: injectedFault)
    simulation.run()
    return simulation.result
  }

  mutating func tell(_ line: @autoclosure () -> String) {
    if isVerbose { result.steps.append(line()) }
  }

  /// Everything the disk was asked for, in a telling that is to be compared with another one.
  mutating func tellTrace(_ disk: SimulatedFileSystem) {
    guard isVerbose else { return }
    result.steps += disk.trace.map { "    " + $0 }
  }

  mutating func note(_ event: History.Event) {
    collectCrashPoints()
    let event = injectedFault?(event) ?? event
    branch.checker.note(event)
    if script.routes { note(.history(event)) }
  }

  /// Tells the oracle of filters.
  mutating func note(_ event: SimulationEvent) {
    let (checker, traits) = (branch.checker, branch.traits)
    let found = branch.filters.note(event) { offset in
      checker.digest(at: offset).flatMap { digest in traits[digest].map { (digest, $0) } }
    }
    for message in found { branch.checker.report(.deliveryIsExact, message) }
  }

  /// Everything until now happened under the promises of now.
  mutating func collectCrashPoints() {
    guard let watched else { return }
    crashPoints += watched.takeKept().map { CrashPoint(disk: $0, branch: branch) }
  }

  mutating func drain() {
    for event in recorder.drain() {
      guard case .history(let event) = event else {
        if isVerbose { tell("    \(event)") }
        note(event)
        continue
      }
      if case .received = event { result.deliveries += 1 }
      if isVerbose { tell("    \(event)") }
      note(event)
    }
  }

  var hasFailed: Bool { !branch.checker.violations.isEmpty }

  private mutating func run() {
    var disk = SimulatedFileSystem(seed: script.seed, tracing: isVerbose)
    for (number, processRun) in script.processes.enumerated() {
      tell("processRun \(number + 1)")
      runProcess(processRun, disk)
      result.ios = disk.ioCount
      note(.crashed)
      if hasFailed { return finish(disk) }
      guard let next = branches(processRun, disk) else { return finish(disk) }
      disk = next
    }
    if script.rots { rot(disk) }
    if script.lies { lie(disk) }
    if script.hasBadSectors { endure(disk) }
    finish(disk)
  }

  private mutating func finish(_ disk: SimulatedFileSystem) {
    tellTrace(disk)
    hash.mix(disk.traceHash)
    hash.mix(UInt64(branch.checker.events))
    result.found = branch.peers.values.reduce(branch.peer.found) { $0 + $1.found }
    result.hash = hash.value
    result.violations = branch.checker.violations
    result.records = Int(branch.made)
  }

  /// Tries every outcome of the crash, each in a copy of the branch. Returns the disk of the outcome that continues the
  /// run; nil after a violation.
  private mutating func branches(
    _ processRun: SimulationScript.ProcessRun, _ disk: SimulatedFileSystem
  ) -> SimulatedFileSystem? {
    let before = branch
    let time = clock.now()
    let (recoveries, didRoute, didGroup) = (result.recoveries, hasRouted, hasGrouped)
    defer {
      if didRoute { result.routedRecoveries += result.recoveries - recoveries }
      if didGroup { result.groupedRecoveries += result.recoveries - recoveries }
    }
    var chosen: (Branch, SimulatedFileSystem)?
    for index in processRun.outcomes.indices {
      let outcome = processRun.outcomes[index]
      branch = before
      clock.set(time)
      tell("  the next process finds: \(outcome)")
      let found = recover(from: disk, outcome)
      hash.mix(found.traceHash)
      if hasFailed { return nil }
      if index == processRun.next { chosen = (branch, found) }
      // The log must not only be readable: it must go on, and survive being opened again.
      if !processRun.sequel.isEmpty, case .power = outcome {
        note(.crashed)
        runProcess(SimulationScript.ProcessRun(steps: processRun.sequel, outcomes: []), found.processKill())
        if hasFailed { return nil }
      }
    }
    guard let chosen else { return nil }
    branch = chosen.0
    clock.set(time)
    return chosen.1.processKill()
  }

  mutating func environment(_ disk: SimulatedFileSystem) -> LogEnvironment {
    let salts = SimulationSalts(seed: script.seed &+ branch.salt &* 7919)
    branch.salt += 1
    return .simulated(disk, clock: clock, salts: salts)
  }
}
