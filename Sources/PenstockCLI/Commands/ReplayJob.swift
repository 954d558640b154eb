import Foundation
import Logging
import PenstockDelivery
import PenstockLog
import PenstockSinks
import PenstockSupport
import PenstockToolSupport

/// One run of `penstock replay`.
struct ReplayJob {
  private let command: ReplayCommand.Run
  private let configuration: Configuration?
  private let destination: Configuration.Destination?
  private let path: String

  init(_ command: ReplayCommand.Run) throws {
    self.command = command
    // A replay to a file needs only log.path from the configuration, and no destinations.
    configuration = try command.config.map { try Configuration.read($0, needsDestinations: command.to != nil) }
    let file = command.config ?? ""
    if let to = command.to { destination = try configuration?.destination(to, in: file) } else { destination = nil }
    if let configuration { path = try configuration.path(command.log, in: file) } else { path = command.log ?? "" }
  }

  func run() async throws {
    if command.dryRun { return try await estimate() }
    let sink = try makeSink()
    let log = configuration?.log ?? LogConfiguration()
    if let report = try LogAccess.recoverIfNeeded(path, log), report.outcome != .clean {
      Output.note("penstock replay: recovered the log first (\(report.outcome.rawValue))")
    }
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    let quiet = Logger(label: "penstock") { _ in SwiftLogNoOpLogHandler() }
    let replay = Replay(
      try settings(), of: reader, to: sink, environment: DeliveryEnvironment(logger: quiet), observer: Self.note)
    let started = ContinuousClock.now
    let token = Signals.handle { _ in replay.stop() }
    defer { Signals.forget(token) }
    let watching = Task { await watch(replay) }
    defer { watching.cancel() }
    let report = try await replay.run()
    watching.cancel()
    command.tell(json(report), words(report, seconds: (ContinuousClock.now - started) / .seconds(1)))
    try command.end(report.ending == .stopped ? .interrupted : .done)
  }

  private func estimate() async throws {
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    let settings = try settings()
    ProgressLine.shared.begin("counting", total: nil)
    let estimate = try await Replay.dryRun(settings, of: reader) { done, total in
      ProgressLine.shared.show(
        "\(HumanFormat.count(done)) of \(HumanFormat.count(total)) records (\(HumanFormat.share(done, of: total)))")
    }
    ProgressLine.shared.clear()
    command.tell(json(estimate), words(estimate))
  }

  private func settings() throws -> ReplaySettings {
    var window: ReplayWindow?
    if let from = command.from, let until = command.until {
      window = ReplayWindow(
        from: from.position, to: until.position, untimed: try command.untimed.value(from: from, to: until))
    }
    var retry = destination?.delivery.options.retry ?? RetryPolicy()
    retry.giveUpAfter = .seconds(command.giveUpAfter)
    return ReplaySettings(
      id: command.id ?? "dry-run", window: window, gaps: command.skipGaps ? .skip : .stop, rate: try command.rate,
      policy: destination?.policy ?? BatchPolicy(maxRecords: 10_000, maxBytes: 4 << 20), retry: retry)
  }

  private func makeSink() throws -> any Sink {
    if let destination { return try destination.sink(replay: command.id, from: command.config ?? "") }
    // The absolute path: the replay stores it, and may be resumed from a different working directory.
    let path = URL(filePath: command.file ?? "").absoluteURL.standardizedFileURL.path
    return try FileSink(path: path)
  }

  /// Shows the progress until this task is cancelled.
  private func watch(_ replay: Replay) async {
    ProgressLine.shared.begin("replaying", total: nil)
    while !Task.isCancelled {
      let progress = await replay.progress
      ProgressLine.shared.update(progress.delivery?.bytes ?? 0, Self.line(progress))
      try? await Task.sleep(for: .milliseconds(200))
    }
  }

  private static func line(_ progress: ReplayProgress) -> String {
    let left = progress.timeLeft.map { "  \(HumanFormat.seconds($0 / .seconds(1))) left" } ?? ""
    return "\(HumanFormat.count(progress.done)) of \(HumanFormat.count(progress.total)) records "
      + "(\(HumanFormat.share(progress.done, of: progress.total)))\(left)"
  }

  private static func note(_ notice: ReplayObserverEvent) {
    switch notice {
    case .skipped(let gap): Output.note("penstock replay: skipped \(gap)")
    case .delivery(.answered(let intent, let attempt, .retry(let reason, _), _)) where attempt == 1:
      Output.note("penstock replay: records \(intent.first) ..< \(intent.end): \(reason); will be retried")
    case .delivery: break
    }
  }
}

// MARK: Output

extension ReplayJob {
  private func json(_ report: ReplayReport) -> JSON {
    let manifest = report.manifest
    return .object([
      ("id", .string(manifest.id)), ("destination", .string(manifest.destination)),
      ("first", .number(manifest.first.rawValue)), ("end", .number(manifest.end.rawValue)),
      ("committed", .number(report.committed.rawValue)), ("ended", .string(report.ending.rawValue)),
      ("batches", .number(report.batches)), ("records", .number(report.records)), ("events", .number(report.events)),
      ("bytes", .number(report.bytes)), ("attempts", .number(report.attempts)), ("retries", .number(report.retries)),
      ("skipped", .number(manifest.skippedRecords)), ("untimed", .number(report.untimed)),
      ("eventWindow", manifest.events.map(\.json) ?? .null),
    ])
  }

  private func words(_ report: ReplayReport, seconds: Double) -> String {
    let manifest = report.manifest
    let range = "\(manifest.first) ..< \(manifest.end)"
    let window = manifest.events.map { "the events \($0.words) among the records \(range)" } ?? "the records \(range)"
    var text =
      switch report.ending {
      case .finished: "replay \(manifest.id) finished: \(window) are delivered to \(manifest.destination)"
      case .alreadyFinished: "nothing to do: replay \(manifest.id) is already finished; nothing was sent"
      case .stopped:
        "replay \(manifest.id) stopped at offset \(report.committed) of \(window); the same id resumes it"
      }
    if report.ending != .alreadyFinished {
      text += "\n\(HumanFormat.count(report.records, "record")), \(HumanFormat.count(report.events, "event")) sent in "
      text += "\(report.batches) batches, \(HumanFormat.bytes(report.bytes)), \(HumanFormat.seconds(seconds))"
    }
    if let events = manifest.events, report.untimed > 0 {
      text +=
        "\n\(HumanFormat.count(report.untimed, "record")) without a readable time; --untimed \(events.untimed.rawValue)"
    }
    if manifest.skippedRecords > 0 {
      text += "\n\(HumanFormat.count(manifest.skippedRecords, "record")) lost and skipped"
    }
    return text
  }

  private func json(_ estimate: ReplayEstimate) -> JSON {
    let extent = estimate.extent
    return .object([
      ("first", .number(extent.range.lowerBound.rawValue)), ("end", .number(extent.range.upperBound.rawValue)),
      ("eventWindow", estimate.window.map(\.json) ?? .null), ("events", .number(estimate.events)),
      ("eventBytes", .number(estimate.eventBytes)), ("untimed", .number(estimate.untimed)),
      ("records", .number(extent.records)), ("missing", .number(extent.missing)),
      ("storedBytes", .number(extent.storedBytes)), ("recordBytes", .number(extent.recordBytes)),
      ("batches", .number(estimate.batches)),
      ("seconds", estimate.duration.map { .number($0 / .seconds(1)) } ?? .null),
    ])
  }

  private func words(_ estimate: ReplayEstimate) -> String {
    let extent = estimate.extent
    var rows = [
      ["window", "\(extent.range.lowerBound) ..< \(extent.range.upperBound)"],
      ["records", HumanFormat.count(extent.records)],
      ["stored", HumanFormat.bytes(extent.storedBytes)], ["bytes", "about \(HumanFormat.bytes(extent.recordBytes))"],
      ["batches", "about \(HumanFormat.count(estimate.batches))"],
      [
        "time",
        estimate.duration.map { "\(HumanFormat.seconds($0 / .seconds(1))) at this rate" }
          ?? "depends on the destination",
      ],
    ]
    if let window = estimate.window {
      rows.insert(["events", "\(HumanFormat.count(estimate.events)), \(window.words)"], at: 2)
      rows.insert(
        ["without time", "\(HumanFormat.count(estimate.untimed)), --untimed \(window.untimed.rawValue)"], at: 3)
    }
    if extent.missing > 0 { rows.insert(["lost", HumanFormat.count(extent.missing, "record")], at: 2) }
    return HumanFormat.table(rows) + "\nnothing was sent; filters are not applied to this estimate"
  }
}
