package import PenstockTestKit

/// One simulated run, from an empty disk on: a list of processes, each ended by a crash. It is drawn from a seed. It is
/// a plain value, so that a script with a finding can be shrunk.
package struct SimulationScript: Sendable, Equatable {
  /// What a process does.
  package enum Action: Sendable, Hashable, CaseIterable {
    /// Appends, synced together.
    case append
    /// A reader catches up.
    case read
    /// A consumer makes one move of its cursor.
    case consume
    /// A delivery runs until it has caught up, its peer answering as the seed says.
    case deliver
    case seal
    case prepare
    case trim
    case reopen
    /// The time of day jumps.
    case clock
    /// Another process reads, and tries to write.
    case intrude
    /// The disk has no room for a while.
    case fill
    /// Several destinations run that want some of the events, and share a router.
    case route
    /// An operator moves the cursor of one of them.
    case seek
  }

  /// What goes wrong in a step, in addition to the crash.
  package enum Fault: Sendable, Hashable {
    case none
    /// The n-th I/O of the step fails. The process ends. The machine and its cache stay, unless an outcome says
    /// otherwise.
    case failure(io: Int, effect: FaultEffect)
    /// The n-th read of the step fails.
    case failedRead(Int)
  }

  package struct Step: Sendable, Hashable {
    package var action: Action
    /// Decides everything the step decides.
    package var seed: UInt64
    package var fault = Fault.none
  }

  /// What the next process finds.
  package enum Outcome: Sendable, Equatable {
    case power(CrashPolicy)
    /// The same, and the next process dies as soon as it has opened the log.
    case powerTwice(CrashPolicy)
    /// The power goes, and a read fails in the next process's recovery.
    case failedRead(CrashPolicy, read: Int)
    case kill
    /// The process dies, and the power goes while the next one is at an I/O of its recovery.
    case killThenPower(io: Int, CrashPolicy)
    /// The power goes, and again in recovery, and again in the one after.
    case powerInRecovery(CrashPolicy, ios: [Int])
  }

  /// Where a crash comes: at this I/O of this step, or at a later step's if it has fewer. Step -1 is the opening.
  package struct CrashPlace: Sendable, Equatable {
    package var step: Int
    package var io: Int
  }

  package struct ProcessRun: Sendable, Equatable {
    package var steps: [Step]
    /// Nil: after the last step.
    package var crash: CrashPlace?
    package var isDisturbed = false
    /// The clocks stand still, but for jumps and for who waits.
    package var isStalled = false
    package var outcomes: [Outcome]
    /// The index of the outcome that continues the run.
    package var next = 0
    /// What another process does after each power cut, when the log has been opened once.
    package var sequel: [Step] = []
  }

  package var seed: UInt64
  package var processes: [ProcessRun]
  /// Bytes of segments rot at the end.
  package var rots: Bool
  /// The disk acknowledges a write into a segment and loses it, or puts it elsewhere.
  package var lies = false
  /// Sectors of segments are unreadable for a while.
  package var hasBadSectors = false
  /// The peer of the delivery accepts a name once, as a bucket does.
  package var createsOnly = false
  /// Retention passes a cursor rather than keep more than this.
  package var hardCapBytes = 200 << 10
  /// Some batches end in a record of no bytes.
  package var hasEmptyRecords = false
  /// Records are events, and destinations want some of them.
  package var routes = false

  /// Whether every snapshot finds its room: none of its disks is full, and none fails.
  var hasRoom: Bool {
    processes.allSatisfy { $0.steps.allSatisfy { $0.action != .fill && $0.fault == .none } }
  }
}

// One work, to be cut off at each of its I/Os.
extension SimulationScript {
  /// Appends of many shapes, rolls, a cursor with intents, seals, retention that passes the cursor, orderly closes.
  package static func work(seed: UInt64, length: Int) -> [Step] {
    var random = SplitMix64(seed: seed)
    return (0..<length).flatMap { number in
      let actions: [(Action, isDue: Bool)] = [
        (.append, true), (.consume, number % 3 == 1), (.seal, number % 4 == 3), (.prepare, number % 11 == 7),
        (.trim, number % 6 == 5), (.reopen, number % 17 == 16),
      ]
      return actions.filter(\.isDue).map { Step(action: $0.0, seed: random.next()) }
    }
  }

  /// - Parameter io: The I/O, of the opening and the work, at which the machine goes down; nil: none.
  package init(seed: UInt64, work: [Step], crashAtIO io: Int?, outcomes: [Outcome], sequel: [Step] = []) {
    let crash = io.map { CrashPlace(step: -1, io: $0 - 1) }
    self.init(
      seed: seed, processes: [ProcessRun(steps: work, crash: crash, outcomes: outcomes, sequel: sequel)], rots: false,
      hardCapBytes: 80 << 10, hasEmptyRecords: true)
  }
}

// Drawing.
extension SimulationScript {
  package init(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    self.seed = seed
    processes = (0..<(2 + random.below(5))).map { _ in Self.processRun(&random) }
    rots = random.below(4) == 0
    // From a generator of their own, so that these choices change nothing else of a seed's run.
    var more = SplitMix64(seed: seed ^ 0x6d6f_7265)
    lies = !rots && more.below(3) == 0
    hasBadSectors = !rots && !lies && more.below(4) == 0
    createsOnly = more.below(2) == 0
    for processRun in processes.indices { processes[processRun].isStalled = more.below(6) == 0 }
  }

  /// The same run, in which destinations that want some of the events share a router. Nothing but the crashes and the
  /// faults of single I/Os goes wrong.
  package init(routingSeed seed: UInt64) {
    self.init(seed: seed)
    (routes, rots, lies, hasBadSectors) = (true, false, false, false)
    var random = SplitMix64(seed: seed ^ 0x726f_7574)
    for number in processes.indices {
      for step in processes[number].steps.indices {
        switch random.below(12) {
        case 0...3: processes[number].steps[step].action = .route
        case 4...5: processes[number].steps[step].action = .append
        case 6 where random.below(2) == 0: processes[number].steps[step].action = .seek
        default: break
        }
      }
      let routings = processes[number].steps.indices.filter { processes[number].steps[$0].action == .route }
      if !routings.isEmpty, random.below(4) > 0 {
        processes[number].crash = CrashPlace(step: routings[random.below(routings.count)], io: random.below(60))
      }
    }
  }

  private static let weights: [(Action, Int)] = [
    (.append, 16), (.read, 2), (.consume, 4), (.deliver, 3), (.seal, 4), (.prepare, 1), (.trim, 4), (.reopen, 1),
    (.clock, 1), (.intrude, 1), (.fill, 1),
  ]

  private static func action(_ random: inout SplitMix64) -> Action {
    var place = random.below(weights.reduce(0) { $0 + $1.1 })
    for (action, weight) in weights {
      if place < weight { return action }
      place -= weight
    }
    return .append
  }

  private static func processRun(_ random: inout SplitMix64) -> ProcessRun {
    var steps = (0..<(2 + random.below(16))).map { _ in Step(action: action(&random), seed: random.next()) }
    // At most one fault for each process: the process ends after it.
    if random.below(6) == 0 {
      let effects: [FaultEffect] = [.nothing, .partial, .complete, .pagesLost, .pagesReverted]
      let step = random.below(steps.count)
      let place = random.below(8)
      let effect = effects[random.below(effects.count)]
      steps[step].fault = random.below(6) == 0 ? .failedRead(place) : .failure(io: place, effect: effect)
    }
    let crash: CrashPlace? =
      random.below(12) == 0
      ? nil
      : CrashPlace(step: max(random.below(steps.count + 1), random.below(steps.count + 1)), io: random.below(10))
    return ProcessRun(
      steps: steps, crash: crash, isDisturbed: random.below(5) == 0,
      outcomes: (0..<7).map { outcome($0, &random) }, next: random.below(7))
  }

  private static func outcome(_ number: Int, _ random: inout SplitMix64) -> Outcome {
    let options: [CrashOptions] = [[], .tornSectors, [.tornSectors, .unorderedDirectories]]
    let seeded = CrashPolicy.seeded(random.next(), options[random.below(3)])
    switch number {
    case 0: return random.below(2) == 0 ? .power(.nothingUnsynced) : .power(.everything)
    case 1: return .kill
    case 2: return .killThenPower(io: 1 + random.below(12), seeded)
    case 3: return .powerInRecovery(seeded, ios: (0..<(1 + random.below(3))).map { _ in 1 + random.below(12) })
    case 4: return .powerTwice(seeded)
    case 5 where random.below(3) == 0: return .failedRead(seeded, read: 1 + random.below(40))
    default: return .power(seeded)
    }
  }
}
