import PenstockDelivery
import PenstockLog

/// One run of a ``CrashSimulation``: processes that crash where the plan says, and one that comes to the end.
struct CrashScenario: Sendable {
  enum Place: Sendable {
    /// The n-th I/O since the consumer was started.
    case io(Int)
    /// The n-th step of the ledger or the sink.
    case step(Int)
  }

  enum Outcome: Sendable {
    case kill, power(CrashPolicy)

    static func all(seed: UInt64) -> [Outcome] {
      [.power(.nothingUnsynced), .kill, .power(.seeded(seed, [.tornSectors, .unorderedDirectories]))]
    }
  }

  struct Crash: Sendable {
    var place: Place
    var outcome: Outcome
  }

  /// What is tested, in one run.
  struct Subject: Sendable {
    /// Whether it may wait for more records than there are, so that the log has to be closed.
    var closesLog: Bool
    var run: @Sendable (Process) async throws -> Void
    /// What is wrong at the end.
    var judge: @Sendable ([[UInt8]]) async throws -> [Violation] = { _ in [] }
    /// What the checker has to know first.
    var isDelivery = false
  }

  struct Process: Sendable {
    var log: Log
    var ledger: CrashSimulation.Ledger
    var processRun: ProcessRun
    /// 1 for the first.
    var number: Int
  }

  struct Result: Sendable {
    var finding: CrashFinding?
    var crashes = 0
    /// Where the last process could have crashed.
    var places: [Place] = []
  }

  static let path = "/log"
  static let consumer = "the consumer"

  let simulation: CrashSimulation
  let recordsPerProcess: Int

  func run(_ plan: [Crash], _ make: CrashSimulation.MakeSubject) async -> Result {
    var trial = Trial(trial: self)
    do {
      let subject = try await make()
      try await trial.run(plan, subject)
    } catch {
      trial.fail("the simulation could not continue: \(error)")
    }
    return trial.result
  }

  /// What a run goes through.
  struct Trial {
    let trial: CrashScenario
    var result = Result()
    var checker = HistoryChecker()
    var records: [[UInt8]] = []
    let recorder = HistoryRecorder()
    let story = AsyncCondition<[String]>([])
    let contents = AsyncCondition(CrashSimulation.Ledger.Contents())
    let clock = ManualClock()

    init(trial: CrashScenario) { self.trial = trial }

    mutating func fail(_ message: String) { note(.failed(message)) }

    mutating func note(_ event: History.Event) {
      checker.note(event)
      settle()
    }

    mutating func drain() {
      for event in recorder.drain() { note(event) }
    }

    private mutating func settle() {
      guard result.finding == nil, let violation = checker.violations.first else { return }
      result.finding = CrashFinding(violation: violation, trace: story.value, seed: trial.simulation.seed)
    }

    mutating func run(_ plan: [Crash], _ subject: Subject) async throws {
      if subject.isDelivery { note(.destination(cursor: CrashSimulation.cursor)) }
      var disk = SimulatedFileSystem(seed: trial.simulation.seed)
      let empty = try await Log.open(
        at: CrashScenario.path, configuration: Self.configuration, environment: environment(disk, 0))
      try await empty.close()
      disk = disk.powerCut(.everything)
      for (number, crash) in (plan.map(Optional.some) + [nil]).enumerated() {
        let isThrough = try await runProcess(number + 1, disk, crash, subject)
        if result.finding != nil { return }
        guard !isThrough, let crash else { break }
        result.crashes += 1
        note(.crashed)
        disk = afterCrash(disk, crash.outcome, subject)
        if result.finding != nil { return }
      }
      for violation in try await subject.judge(records) where result.finding == nil {
        checker.report(violation.invariant, violation.message)
        settle()
      }
    }

    static var configuration: LogConfiguration {
      var configuration = LogConfiguration()
      configuration.segmentBytes = 64 << 10
      configuration.encoders = 0
      configuration.sealing = .off
      return configuration
    }

    func environment(_ disk: any FileSystem, _ number: Int) -> LogEnvironment {
      .simulated(disk, clock: clock, salts: SimulationSalts(seed: trial.simulation.seed &+ UInt64(number) &* 7919))
    }

    /// What the next process finds. Below where a cursor stands, nothing is looked at again.
    private mutating func afterCrash(
      _ disk: SimulatedFileSystem, _ outcome: Outcome, _ subject: Subject
    ) -> SimulatedFileSystem {
      let found: SimulatedFileSystem
      switch outcome {
      case .kill:
        story.update { $0.append("the process was killed") }
        found = disk.processKill()
      case .power(let policy):
        let words = policy == .nothingUnsynced ? "nothing unsynced is left" : "something unsynced is left"
        story.update { $0.append("the power went: \(words)") }
        found = disk.powerCut(policy)
      }
      for (name, state) in ProcessRun.cursors(found).sorted(by: { $0.key < $1.key }) {
        story.update { $0.append("cursor \(name) is found \(ProcessRun.words(state))") }
        if subject.isDelivery {
          note(.cursorFound(name, state))
        } else {
          note(.passed(consumer: CrashScenario.consumer, upTo: state.committed))
        }
      }
      return found
    }
  }
}
