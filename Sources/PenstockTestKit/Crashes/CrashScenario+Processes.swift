import PenstockDelivery
import PenstockLog

// One process.
extension CrashScenario.Trial {
  /// Opens the log, appends, consumes. True when it came to the end, false when it crashed on the way.
  mutating func runProcess(
    _ number: Int, _ disk: SimulatedFileSystem, _ crash: CrashScenario.Crash?, _ subject: CrashScenario.Subject
  ) async throws -> Bool {
    var fatalStep: Int?
    if case .step(let step)? = crash?.place { fatalStep = step }
    let processRun = ProcessRun(
      disk, fatalStep: fatalStep, recorder, story, position: { [contents] in contents.value.position })
    // Weakly: the process has the disk.
    disk.watch(
      .init(
        onDeath: { [weak processRun] in processRun?.state.update { $0.isDead = true } },
        onSync: { [weak processRun] in processRun?.look() }))
    let log = try await Log.open(
      at: CrashScenario.path, configuration: Self.configuration, environment: environment(disk, number))
    if number > 1 { note(.recovered(try Self.look(at: log))) }
    try await append(to: log)
    story.update { [records] in
      $0.append("process \(number), of a log with \(records.count) record\(records.count == 1 ? "" : "s"):")
    }
    let start = disk.ioCount
    if case .io(let io)? = crash?.place { disk.crash(atIO: start + io) }
    processRun.state.update { [end = log.end] in $0.end = end }
    let ledger = CrashSimulation.Ledger(contents, processRun)
    let process = CrashScenario.Process(log: log, ledger: ledger, processRun: processRun, number: number)
    let failure = await work(process, subject)
    try? await log.close()
    drain()
    if processRun.isDead {
      if case .io? = crash?.place, let last = disk.lastIO { story.update { $0.append("  and dies in \(last)") } }
      return false
    }
    if let failure { fail(failure) }
    if !subject.isDelivery { note(.passed(consumer: CrashScenario.consumer, upTo: log.end)) }
    result.places =
      (0..<(disk.ioCount - start)).map { .io($0 + 1) } + (0..<processRun.state.value.steps).map { .step($0 + 1) }
    return true
  }

  private mutating func append(to log: Log) async throws {
    for _ in 0..<trial.recordsPerProcess {
      let record = trial.simulation.record(records.count)
      records.append(record)
      let id = UInt64(records.count)
      note(.appending(id: id, records: [History.digest(record)]))
      let receipt = try await log.append(contentsOf: [record])
      note(.acknowledged(id: id, offsets: receipt.offsets))
    }
  }

  /// Runs the subject until it returns, has caught up, dies, or takes too long. Returns what is wrong.
  private func work(_ process: CrashScenario.Process, _ subject: CrashScenario.Subject) async -> String? {
    let state = process.processRun.state
    let work = Task { try await subject.run(process) }
    let reaper = Task { if await state.wait(until: { $0.isDead || $0.isLate }) { work.cancel() } }
    let closer = Task {
      if subject.closesLog, await state.wait(until: { $0.isCaughtUp }) { try? await process.log.close() }
    }
    let patience = trial.simulation.patience
    let watchdog = Task { [processRun = process.processRun] in
      // Counts looks, not only time: on a busy machine the process may not have run meanwhile.
      var (idle, looks, last) = (0, 0, -1)
      while idle < 4, looks < 40, !Task.isCancelled {
        try? await Task.sleep(for: patience / 4)
        let now = processRun.disk.ioCount + processRun.disk.readCount + state.value.steps
        idle = now == last ? idle + 1 : 0
        last = now
        looks += 1
      }
      if !Task.isCancelled { state.update { $0.isLate = true } }
    }
    let outcome = await work.result
    for task in [reaper, watchdog] { task.cancel() }
    // Once it has begun to close the log, it does.
    if !state.value.isCaughtUp { closer.cancel() }
    await closer.value
    let found = state.value
    if found.isDead { return nil }
    if found.isLate {
      return
        "the process did not come to the log's end and did nothing for \(patience), or continued for ten times as long"
    }
    guard case .failure(let error) = outcome else { return nil }
    // The log was closed because there was nothing more to do.
    if found.isCaughtUp, (error as? LogError)?.code == .closed || error is CancellationError { return nil }
    return "it failed on a healthy machine: \(error)"
  }

  /// Everything that an opening found.
  private static func look(at log: Log) throws -> History.Recovered {
    let view = log.view
    var found = History.Recovered(
      first: log.first, end: log.end, reportsDamage: log.recovery.outcome == .damaged, pieces: [], gaps: [])
    var offset = log.first
    while let batch = try view.batch(from: offset, maxRecords: 10_000, maxBytes: 1 << 20) {
      found.pieces.append(.init(first: batch.first, records: History.digests(of: batch)))
      offset = batch.end
    }
    return found
  }
}
