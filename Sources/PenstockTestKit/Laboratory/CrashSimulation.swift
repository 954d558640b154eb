public import PenstockDelivery
public import PenstockLog

/// Puts your consumer, or your sink, through crashes: at each of its steps and at each write and sync of its cursor the process is
/// killed or the power goes, and another process goes on from what is left.
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
/// Everything but your code is the real log on a simulated disk that forgets what was not synced. Held against I1–I12 by a
/// ``HistoryChecker``. What breaks a promise is tried again with fewer records, and thrown with its trace. A run takes seconds.
public struct CrashSimulation: Sendable {
  /// What was done.
  public struct Report: Sendable, Hashable {
    /// From an empty log to its end, with a crash or two on the way.
    public internal(set) var runs = 0
    /// Processes that were killed or lost their power.
    public internal(set) var crashes = 0
    /// Places at which the first of them did.
    public internal(set) var crashPoints = 0
  }

  /// Decides what a power cut leaves, and which pairs of crashes are tried. Equal seeds, equal crashes.
  public var seed: UInt64
  /// How many records each process appends before it consumes.
  public var recordsPerLife: Int
  /// How many runs with two crashes are drawn, after all those with one.
  public var pairs: Int
  /// How long a process may do nothing before it has come to the log's end; after ten times as long it may not be busy, either.
  public var patience: Duration
  /// Makes the n-th record (the first is 0). They must differ from each other.
  public var record: @Sendable (Int) -> [UInt8]

  public init(
    seed: UInt64 = 1, recordsPerLife: Int = 3, pairs: Int = 40, patience: Duration = .seconds(20),
    record: @escaping @Sendable (Int) -> [UInt8] = { Array(#"{"event":"Test","number":\#($0)}"#.utf8) }
  ) {
    self.seed = seed
    self.recordsPerLife = max(1, recordsPerLife)
    self.pairs = max(0, pairs)
    self.patience = patience
    self.record = record
  }

  /// Runs a consumer, which does for each record what it does exactly once, or again under an equal key, whatever crashes.
  ///
  /// It is called as a process would call it after each start. It may return when it has come to the log's end, or wait for more: when
  /// its cursors, or the ledger's ``Ledger/position``, stand at the end, the log is closed. It must end when its task is
  /// cancelled, because a dead process does.
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

  /// Runs deliveries to a sink, whose destination must have each record exactly once at the end, whatever crashes and whatever
  /// answer is lost. `destination` makes an empty one; it is called for every run.
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
    guard let finding = await find(recordsPerLife, make, &report) else { return report }
    // The same with fewer records, if they do.
    for fewer in 1..<max(recordsPerLife, 1) {
      var ignored = Report()
      if let smaller = await find(fewer, make, &ignored) { throw smaller }
    }
    throw finding
  }

  /// No crash, then one at each place with each outcome, then two.
  private func find(_ records: Int, _ make: MakeSubject, _ report: inout Report) async -> CrashFinding? {
    let trial = CrashScenario(laboratory: self, recordsPerLife: records)
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

/// A promise that a consumer or a sink breaks, and the way to it.
public struct CrashFinding: Error, Sendable, CustomStringConvertible {
  public let violation: Violation
  /// What was done, in order, with as few records as it takes.
  public let trace: [String]
  public let seed: UInt64

  public var description: String {
    "\(violation)\n" + trace.map { "  " + $0 }.joined(separator: "\n") + "\n  (seed \(seed))"
  }
}
