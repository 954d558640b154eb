import ArgumentParser
import PenstockLog
import PenstockSinks
import PenstockSupport
import PenstockToolSupport

/// `penstock verify --s3`: checks an export against its manifest and its cursor.
struct VerifyExport {
  let command: VerifyCommand
  let config: String

  func perform() async throws {
    let configuration = try Configuration.read(config)
    let exports = try ExportCheck.chooseAll(command.destination, in: configuration, file: config)
    guard exports.count == 1 || (command.expectFrom == 0 && command.expectTo == nil && command.logID == nil) else {
      let names = exports.map(\.0.name).joined(separator: ", ")
      throw Failure(
        .usage, "usage", "--expect-from, --expect-to and --log-id need one export, but there are several: \(names)",
        advice: "choose one with --destination")
    }
    if exports.count == 1 {
      let report = try await verify(exports[0], configuration)
      command.tell(.encoding(report), Self.words(report))
      return try command.end(report.isSound ? .done : .bad)
    }
    var (found, isSound, isAnswered): ([JSON], Bool, Bool) = ([], true, true)
    for export in exports {
      let name = export.0.name
      do {
        let report = try await verify(export, configuration)
        if !report.isSound { isSound = false }
        found.append(.object([("destination", .string(name)), ("report", .encoding(report))]))
        if !command.common.json { Output.standard.line("\(name): \(Self.words(report))") }
      } catch {
        // An unreachable store must not stop the check of the others.
        let failure = Failure(error)
        guard failure.status == .cannot else { throw failure }
        isAnswered = false
        found.append(.object([("destination", .string(name)), ("failure", .string(failure.message))]))
        Output.note("penstock verify: \(name): \(failure.message)")
        if let advice = failure.advice { Output.note("  \(advice)") }
      }
    }
    if command.common.json {
      Output.standard.line(.object([("isSound", .bool(isSound && isAnswered)), ("exports", .array(found))]))
    }
    try command.end(!isSound ? .bad : isAnswered ? .done : .cannot)
  }

  private func verify(
    _ chosen: (Configuration.Destination, ExportStoreSettings), _ configuration: Configuration
  ) async throws -> ExportReport {
    let (destination, export) = chosen
    let known = try await log(configuration, cursor: destination.name)
    var check = ExportCheck(destination: destination, export: export, logID: known.logID)
    check.giveUpAfter = .seconds(command.giveUpAfter)
    let report = try await check.ask { store in
      try await ExportVerifier(store: store, layout: export.layout, logID: known.logID, cursor: destination.name)
        .verify(command.depth, expecting: expected(known.committed))
    }
    for finding in report.findings {
      Output.note("penstock verify: \(destination.name): \(finding.kind.rawValue): \(finding)")
    }
    return report
  }

  private static func words(_ report: ExportReport) -> String {
    report.lines.prefix(report.pending == nil ? 1 : 2).joined(separator: "\n")
  }

  static func depth(_ text: String) throws -> ExportReport.Depth {
    if let depth = ExportReport.Depth(rawValue: text) { return depth }
    throw ValidationError("\"\(text)\" is not a depth; use listing, metadata or content")
  }

  /// The log's id and the cursor's committed offset. This must be read before the export: then the export contains at
  /// least what is committed.
  private func log(_ configuration: Configuration, cursor: String) async throws -> (logID: String, committed: Offset?) {
    if let logID = command.logID { return (logID.lowercased(), nil) }
    guard let path = command.log ?? configuration.logPath else {
      throw Failure(
        .usage, "configuration", "\(config) has no log.path, and the check needs a log",
        advice: "name the log with --log; if it is lost, name its id with --log-id")
    }
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    return (reader.logID, try reader.cursorState(named: cursor)?.committed)
  }

  private func expected(_ committed: Offset?) -> Range<UInt64>? {
    guard let end = command.expectTo ?? committed?.rawValue else { return nil }
    return min(command.expectFrom, end)..<end
  }
}
