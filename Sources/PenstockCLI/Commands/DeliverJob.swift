import Logging
import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockToolSupport
import ServiceLifecycle

/// One run of `penstock deliver`.
struct DeliverJob {
  let command: DeliverCommand
  let reader: LogReader
  let runs: [DestinationRun]

  func run() async throws {
    let started = ContinuousClock.now
    let end = reader.end
    let giveUpAfter: Duration? = command.untilCaughtUp ? .seconds(command.giveUpAfter ?? 60) : nil
    // The runs print what matters; the library's log would print it twice.
    let quiet = Logger(label: "penstock") { _ in SwiftLogNoOpLogHandler() }
    let router = EventRouter(of: reader)
    for run in runs {
      await run.prepare(
        reader, router, giveUpAfter: giveUpAfter, isVerbose: command.verbose, logger: quiet)
    }
    if command.untilCaughtUp { await catchUp(to: end) } else { try await serve(logger: quiet) }
    report(seconds: (ContinuousClock.now - started) / .seconds(1))
    try command.end(status)
  }

  private func catchUp(to end: Offset) async {
    let token = Signals.handle { [runs] _ in for run in runs { run.stop() } }
    defer { Signals.forget(token) }
    await withTaskGroup { group in
      for run in runs { group.addTask { await run.run(until: end) } }
      let watching = Task { await watch(end) }
      await group.waitForAll()
      watching.cancel()
    }
    ProgressLine.shared.clear()
  }

  /// Shows the progress of all destinations together.
  private func watch(_ end: Offset) async {
    ProgressLine.shared.begin("delivering", total: nil)
    let all = runs.reduce(0) { all, run in
      guard let first = run.result.first, first < end else { return all }
      return all + (end - first)
    }
    while !Task.isCancelled {
      var (records, bytes) = (0, 0)
      for run in runs {
        let count = await run.countSoFar()
        records += count.records
        bytes += count.bytes
      }
      ProgressLine.shared.update(bytes, "\(HumanFormat.count(records)) of \(HumanFormat.count(all)) records")
      try? await Task.sleep(for: .milliseconds(200))
    }
  }

  private func serve(logger: Logger) async throws {
    let services = runs.map {
      ServiceGroupConfiguration.ServiceConfiguration(
        service: $0, successTerminationBehavior: .ignore, failureTerminationBehavior: .ignore)
    }
    let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: logger))
    let token = Signals.handle { _ in Task { await group.triggerGracefulShutdown() } }
    defer { Signals.forget(token) }
    Output.note(
      "penstock deliver: delivering to \(runs.map(\.name).joined(separator: ", ")); stop with SIGTERM or Ctrl-C")
    try await group.run()
  }

  private var status: ExitStatus {
    let failures = runs.compactMap { $0.result.failure?.status }
    if failures.contains(.bad) { return .bad }
    if let other = failures.first { return other }
    guard Signals.received != nil else { return .done }
    let isCaughtUp = runs.allSatisfy { $0.result.ended == DeliveryReport.Ending.caughtUp.rawValue }
    if command.untilCaughtUp { return isCaughtUp ? .done : .interrupted }
    return Signals.status
  }

  private func report(seconds: Double) {
    command.tell(.object([("destinations", .array(runs.map(json)))]), words(seconds))
  }

  private func json(_ run: DestinationRun) -> JSON {
    let (result, progress) = (run.result, run.result.progress)
    let records = progress?.records ?? 0
    var members: [(String, JSON)] = [
      ("name", .string(run.name)), ("batches", .number(progress?.batches ?? 0)), ("records", .number(records)),
      ("bytes", .number(progress?.bytes ?? 0)), ("attempts", .number(progress?.attempts ?? 0)),
      ("retries", .number(progress?.retries ?? 0)), ("events", .number(progress?.events ?? 0)),
      ("deadLetters", .number(result.deadLetters)),
      ("first", records > 0 ? .optional(result.first?.rawValue) : .null),
      ("last", records > 0 ? .optional(result.first.map { $0.rawValue + UInt64(records) - 1 }) : .null),
      ("committed", .optional((progress?.committed ?? result.first)?.rawValue)), ("ended", .string(result.ended)),
    ]
    if let failure = result.failure { members.append(("error", .string(failure.message))) }
    return .object(members)
  }

  private func words(_ seconds: Double) -> String {
    let results = runs.map(\.result)
    if results.allSatisfy({ $0.failure == nil && ($0.progress?.attempts ?? 0) == 0 }) {
      return "nothing to do: every destination has everything up to offset \(reader.end)"
    }
    var rows = [["destination", "batches", "records", "bytes", "retries", "ended"]]
    for (run, result) in zip(runs, results) {
      let progress = result.progress
      rows.append([
        run.name, HumanFormat.count(progress?.batches ?? 0), HumanFormat.count(progress?.records ?? 0),
        HumanFormat.bytes(progress?.bytes ?? 0), HumanFormat.count(progress?.retries ?? 0), result.ended,
      ])
    }
    return HumanFormat.table(rows, right: [1, 2, 3, 4]) + "\n\(HumanFormat.seconds(seconds))" + letters
  }

  /// How to list the dead letters of this run.
  private var letters: String {
    runs.filter { $0.result.deadLetters > 0 }.map {
      "\n\($0.name): \(HumanFormat.count($0.result.deadLetters, "record")) became dead letters; "
        + "penstock deadletters list \($0.name) --log \(runs.first?.log ?? "DIR")"
    }.joined()
  }
}
