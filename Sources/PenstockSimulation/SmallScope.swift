import PenstockLog
package import PenstockTestKit

/// Tries all short sequences of calls of a log, with a crash after each I/O. It looks at everything that a power cut
/// can leave, and crashes again in the recovery, and in the recovery after that.
///
/// No random choice but where more outcomes are possible than can be looked at; those moments are counted.
package struct SmallScope {
  /// What a log is asked for. Left out is what leads to no other durable state: an append of several records (the block
  /// is the unit), an append of a producer alone (`pair` has one), readers, and a second cursor.
  package enum Call: String, Sendable, CaseIterable {
    /// One small block, synced.
    case append
    /// Two small blocks synced together, the second a producer's.
    case pair
    /// The segment is filled, as `append` does it and without a crash; then a small block, which begins the next.
    case roll
    /// One move of a cursor: made and taken where it is not, then an intent over everything, its commit, taking note of
    /// a loss.
    case cursor
    /// The oldest segment that is not sealed.
    case seal
    /// Retention removes all segments but the newest, and records the loss in a cursor that it passes.
    case trim
    /// Closed and opened.
    case reopen
  }

  package struct Settings: Sendable {
    /// How many calls at most.
    package var length: Int
    /// How many crashes in recovery, one in the other.
    package var depth: Int
    /// How many outcomes of one power cut are looked at, all of them: 2¹² are all subsets of twelve sectors.
    package var outcomes = 1 << 12
    /// How many of those that are more, drawn from a seed.
    package var samples = 32

    package init(length: Int, depth: Int) {
      self.length = length
      self.depth = depth
    }
  }

  package struct Count: Sendable {
    package var sequences = 0
    /// Of them, those whose last call found nothing to do: what follows them follows the shorter one.
    package var idle = 0
    /// Moments at which the machine went down, those in recoveries included.
    package var crashes = 0
    /// Of them, those with too many outcomes to look at all.
    package var sampled = 0
    /// Outcomes of power cuts, and how many of them were new under the same promises.
    package var outcomes = 0
    package var different = 0
    /// Openings that were held against the promises.
    package var recoveries = 0

    package init() {}

    package mutating func add(_ other: Count) {
      sequences += other.sequences
      idle += other.idle
      crashes += other.crashes
      sampled += other.sampled
      outcomes += other.outcomes
      different += other.different
      recoveries += other.recoveries
    }
  }

  /// A broken promise, and the way to it.
  package struct Finding: Sendable, CustomStringConvertible {
    package var calls: [Call]
    package var crashes: [String]
    package var violation: Violation

    package var description: String {
      let way = [calls.map(\.rawValue).joined(separator: ", ")] + crashes
      return way.joined(separator: "\n  ") + "\n  ⇒ \(violation)"
    }
  }

  /// A crash on the way.
  struct Crash {
    enum Outcome { case kill, powerCut(Int, of: Int), sample(Int) }
    var io: Int
    var lastIO: (verb: Verb, path: String)?
    var outcome: Outcome

    var words: String {
      let place = "after I/O \(io)" + (lastIO.map { " (\($0.verb) \($0.path))" } ?? "")
      return switch outcome {
      case .kill: "the process dies \(place)"
      case .powerCut(let number, let count): "the power goes \(place), outcome \(number + 1) of \(count)"
      case .sample(let number): "the power goes \(place), drawn outcome \(number)"
      }
    }
  }

  let settings: Settings
  /// Says whether that is to be looked at with so many crashes to come, or was.
  let isNew: @Sendable (_ key: UInt64, _ crashesLeft: Int) -> Bool
  var simulation: Simulation
  var calls: [Call] = []
  package var count = Count()
  package var finding: Finding?

  package init(_ settings: Settings, isNew: @escaping @Sendable (UInt64, Int) -> Bool) {
    self.settings = settings
    self.isNew = isNew
    simulation = Self.fresh()
  }

  static func fresh() -> Simulation {
    // A full segment and one being written are above both: a cursor in the full one is passed.
    Simulation(SimulationScript(seed: 1, processes: [], rots: false, hardCapBytes: 96 << 10))
  }

  /// Runs the calls; the machine goes down at every I/O of the last one, or of the opening where there is none. False
  /// when the last call found nothing to do, or something was found.
  package mutating func run(_ calls: [Call]) -> Bool {
    self.calls = calls
    simulation = Self.fresh()
    count.sequences += 1
    let disk = SimulatedFileSystem(seed: 1)
    do throws(LogError) {
      if calls.isEmpty { watch(disk) }
      var process = try simulation.start(disk)
      for (number, call) in calls.enumerated() {
        if number == calls.count - 1 { watch(disk) }
        try perform(call, &process, disk)
      }
    } catch {
      simulation.note(.failed("a call failed on a healthy machine: \(error)"))
    }
    if simulation.hasFailed { return fail([]) }
    simulation.collectCrashPoints()
    simulation.watched = nil
    let points = simulation.crashPoints
    guard let last = points.last else {
      count.idle += 1
      return false
    }
    // Once more, now that it has returned.
    for point in points + [.init(disk: last.disk, branch: simulation.branch)] {
      crash(point.disk, point.branch, crashesLeft: settings.depth, [])
      if finding != nil { return false }
    }
    return true
  }

  private mutating func watch(_ disk: SimulatedFileSystem) {
    disk.keepEachIO()
    simulation.watched = disk
  }

  @discardableResult
  mutating func fail(_ crashes: [Crash]) -> Bool {
    guard finding == nil, let violation = simulation.branch.checker.violations.first else { return false }
    finding = Finding(calls: calls, crashes: crashes.map(\.words), violation: violation)
    return false
  }
}
