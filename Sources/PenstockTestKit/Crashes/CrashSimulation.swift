public import PenstockDelivery
public import PenstockLog

/// Tests your consumer or your sink with crashes.
///
/// At each step of your code, and at each write and sync of its cursor, the process is killed or the power fails.
/// Another process then continues from what is left.
///
/// ```swift
/// try await CrashSimulation().consumer { log, ledger in
///   let cursor = try await log.cursor(named: "mailer")
///   while let batch = try await cursor.next() {
///     try await ledger.perform(batch)      // where your consumer sends its mail
///     try await cursor.commit(batch)
///   }
/// }
/// ```
///
/// Everything but your code is the real log, on a simulated disk that forgets what was not synced. A ``HistoryChecker``
/// compares each run with I0–I12. A run that breaks a promise is repeated with fewer records, then thrown.
public struct CrashSimulation: Sendable {
  /// What a simulation did.
  public struct Report: Sendable, Hashable {
    /// Runs from an empty log to its end, each with at most two crashes.
    public internal(set) var runs = 0
    /// Processes that were killed or lost power.
    public internal(set) var crashes = 0
    /// Points at which the first process was crashed.
    public internal(set) var crashPoints = 0
  }

  /// Decides what a power cut leaves, and which pairs of crashes are tried. Equal seeds give equal crashes.
  public var seed: UInt64
  /// How many records each process appends before it consumes.
  public var recordsPerProcess: Int
  /// How many runs with two crashes follow the runs with one.
  public var pairs: Int
  /// How long a process may be idle before it has reached the log's end. It may be busy for ten times as long.
  public var patience: Duration
  /// Makes the n-th record (the first is 0). All records must differ.
  public var record: @Sendable (Int) -> [UInt8]

  /// Makes a simulation; each parameter is the property of its name.
  public init(
    seed: UInt64 = 1, recordsPerProcess: Int = 3, pairs: Int = 40, patience: Duration = .seconds(20),
    record: @escaping @Sendable (Int) -> [UInt8] = { Array(#"{"event":"Test","number":\#($0)}"#.utf8) }
  ) {
    self.seed = seed
    self.recordsPerProcess = max(1, recordsPerProcess)
    self.pairs = max(0, pairs)
    self.patience = patience
    self.record = record
  }

  /// Runs a consumer. It must have its effect once for each record, or again under an equal key, whatever crashes.
  ///
  /// The simulation calls it as a process does after each start. It may return at the log's end, or wait for more
  /// records. When its cursors, or the ledger's ``Ledger/position``, are at the end, the simulation closes the log. It
  /// must end when its task is cancelled: that is how a dead process ends.
  ///
  /// - Throws: ``CrashFinding`` for the first promise that is broken.
  @discardableResult
  public func consumer(
    _ consumer: @escaping @Sendable (Log, Ledger) async throws -> Void
  ) async throws(CrashFinding) -> Report {
    try await search { CrashScenario.Subject(closesLog: true, run: { try await consumer($0.log, $0.ledger) }) }
  }

  /// A destination for ``sink(_:)``: a sink as each process makes it, and what the other side has.
  public struct Destination: Sendable {
    let makeSink: @Sendable () async throws -> any Sink
    let contents: @Sendable () async throws -> [[UInt8]]

    /// - Parameters:
    ///   - makeSink: A sink as a new process would make it.
    ///   - contents: The records that the destination has, in any order, each as often as it is there.
    public init(
      makeSink: @escaping @Sendable () async throws -> any Sink,
      contents: @escaping @Sendable () async throws -> [[UInt8]]
    ) {
      self.makeSink = makeSink
      self.contents = contents
    }
  }

  /// Runs deliveries to a sink. At the end its destination must have each record exactly once, whatever crashes and
  /// whatever answer is lost.
  ///
  /// - Parameter destination: Makes an empty destination; called for every run.
  ///
  /// - Throws: ``CrashFinding`` for the first promise that is broken.
  @discardableResult
  public func sink(
    _ destination: @escaping @Sendable () async throws -> Destination
  ) async throws(CrashFinding) -> Report {
    try await search { try await Self.subject(try await destination()) }
  }

  // MARK: - The search

  typealias MakeSubject = @Sendable () async throws -> CrashScenario.Subject

  private func search(_ make: @escaping MakeSubject) async throws(CrashFinding) -> Report {
    var report = Report()
    guard let finding = await find(recordsPerProcess, make, &report) else { return report }
    // The same with fewer records, if that finds it too.
    for fewer in 1..<max(recordsPerProcess, 1) {
      var ignored = Report()
      if let smaller = await find(fewer, make, &ignored) { throw smaller }
    }
    throw finding
  }

  /// No crash, then one at each place with each outcome, then two.
  private func find(_ records: Int, _ make: MakeSubject, _ report: inout Report) async -> CrashFinding? {
    let trial = CrashScenario(simulation: self, recordsPerProcess: records)
    let whole = await trial.run([], make)
    report.runs += 1
    if let finding = whole.finding { return finding }
    let places = whole.places
    report.crashPoints = places.count
    var plans: [[CrashScenario.Crash]] = places.flatMap { place in
      CrashScenario.Outcome.all(seed: seed).map { [CrashScenario.Crash(place: place, outcome: $0)] }
    }
    var random = SplitMix64(seed: seed)
    for _ in 0..<pairs where !places.isEmpty {
      plans.append(
        (0..<2).map { _ in
          let outcomes = CrashScenario.Outcome.all(seed: random.next())
          return CrashScenario.Crash(
            place: places[random.below(places.count)], outcome: outcomes[random.below(outcomes.count)])
        })
    }
    for plan in plans {
      let result = await trial.run(plan, make)
      report.runs += 1
      report.crashes += result.crashes
      if let finding = result.finding { return finding }
    }
    return nil
  }
}

/// A promise that a consumer or a sink breaks, and the steps to it.
public struct CrashFinding: Error, Sendable, CustomStringConvertible {
  /// The breach.
  public let violation: Violation
  /// The steps in order, with as few records as it takes.
  public let trace: [String]
  /// The seed of the simulation.
  public let seed: UInt64

  public var description: String {
    "\(violation)\n" + trace.map { "  " + $0 }.joined(separator: "\n") + "\n  (seed \(seed))"
  }
}
