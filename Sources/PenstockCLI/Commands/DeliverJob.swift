import Logging
import PenstockDelivery
import PenstockLog
import PenstockToolSupport
import ServiceLifecycle

/// One run of `penstock deliver`.
struct DeliverJob {
  let command: DeliverCommand
  let reader: LogReader
  let lanes: [DestinationRun]

  func run() async throws {
    let started = ContinuousClock.now
    let end = reader.end
    let giveUpAfter: Duration? = command.untilCaughtUp ? .seconds(command.giveUpAfter ?? 60) : nil
    // The lanes say in their own words what matters; the libraries' log would say it twice.
    let quiet = Logger(label: "penstock") { _ in SwiftLogNoOpLogHandler() }
    for lane in lanes {
      await lane.prepare(reader, giveUpAfter: giveUpAfter, isVerbose: command.verbose, logger: quiet)
    }
    if command.untilCaughtUp { await catchUp(to: end) } else { try await serve(logger: quiet) }
    report(seconds: (ContinuousClock.now - started) / .seconds(1))
    try command.end(status)
  }

  private func catchUp(to end: Offset) async {
    let token = Signals.handle { [lanes] _ in for lane in lanes { lane.stop() } }
    defer { Signals.forget(token) }
    await withTaskGroup { group in
      for lane in lanes { group.addTask { await lane.run(until: end) } }
      let watching = Task { await watch(end) }
      await group.waitForAll()
      watching.cancel()
    }
    ProgressLine.shared.clear()
  }

  /// Shows how far all of them together are.
  private func watch(_ end: Offset) async {
    ProgressLine.shared.begin("delivering", total: nil)
    let all = lanes.reduce(0) { all, lane in
      guard let first = lane.result.first, first < end else { return all }
      return all + (end - first)
    }
    while !Task.isCancelled {
      var (records, bytes) = (0, 0)
      for lane in lanes {
        let count = await lane.countSoFar()
        records += count.records
        bytes += count.bytes
      }
      ProgressLine.shared.update(bytes, "\(HumanFormat.count(records)) of \(HumanFormat.count(all)) records")
      try? await Task.sleep(for: .milliseconds(200))
    }
  }

  private func serve(logger: Logger) async throws {
    let services = lanes.map {
      ServiceGroupConfiguration.ServiceConfiguration(
        service: $0, successTerminationBehavior: .ignore, failureTerminationBehavior: .ignore)
    }
    let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: logger))
    let token = Signals.handle { _ in Task { await group.triggerGracefulShutdown() } }
    defer { Signals.forget(token) }
    Output.note(
      "penstock deliver: delivering to \(lanes.map(\.name).joined(separator: ", ")); SIGTERM or Ctrl-C ends it")
    try await group.run()
  }

  private var status: ExitStatus {
    let failures = lanes.compactMap { $0.result.failure?.status }
    if failures.contains(.bad) { return .bad }
    if let other = failures.first { return other }
    guard Signals.received != nil else { return .done }
    let isCaughtUp = lanes.allSatisfy { $0.result.ended == DeliveryReport.Ending.caughtUp.rawValue }
    if command.untilCaughtUp { return isCaughtUp ? .done : .interrupted }
    return Signals.status
  }

  private func report(seconds: Double) {
    command.tell(.object([("destinations", .array(lanes.map(json)))]), words(seconds))
  }

  private func json(_ lane: DestinationRun) -> JSON {
    let (result, progress) = (lane.result, lane.result.progress)
    let records = progress?.records ?? 0
    var members: [(String, JSON)] = [
      ("name", .string(lane.name)), ("batches", .number(progress?.batches ?? 0)), ("records", .number(records)),
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
    let results = lanes.map(\.result)
    if results.allSatisfy({ $0.failure == nil && ($0.progress?.attempts ?? 0) == 0 }) {
      return "nothing to do: every destination has everything up to offset \(reader.end)"
    }
    var rows = [["destination", "batches", "records", "bytes", "retries", "ended"]]
    for (lane, result) in zip(lanes, results) {
      let progress = result.progress
      rows.append([
        lane.name, HumanFormat.count(progress?.batches ?? 0), HumanFormat.count(progress?.records ?? 0),
        HumanFormat.bytes(progress?.bytes ?? 0), HumanFormat.count(progress?.retries ?? 0), result.ended,
      ])
    }
    return HumanFormat.table(rows, right: [1, 2, 3, 4]) + "\n\(HumanFormat.seconds(seconds))" + letters
  }

  /// Where to look for what was given up in this run.
  private var letters: String {
    lanes.filter { $0.result.deadLetters > 0 }.map {
      "\n\($0.name): \(HumanFormat.count($0.result.deadLetters, "record")) became dead letters; "
        + "penstock deadletters list \($0.name) --log \(lanes.first?.log ?? "DIR")"
    }.joined()
  }
}
