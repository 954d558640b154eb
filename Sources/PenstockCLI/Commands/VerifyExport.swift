import ArgumentParser
import PenstockLog
import PenstockSinks
import PenstockToolSupport

/// `penstock verify --s3`: an export against its manifest, and against the cursor that made it.
struct VerifyExport {
  let command: VerifyCommand
  let config: String

  func perform() async throws {
    let configuration = try Configuration.read(config)
    let exports = try ExportCheck.chooseAll(command.destination, in: configuration, file: config)
    guard exports.count == 1 || (command.expectFrom == 0 && command.expectTo == nil && command.logID == nil) else {
      let names = exports.map(\.0.name).joined(separator: ", ")
      throw Failure(
        .usage, "usage", "--expect-from, --expect-to and --log-id are of one export, and there are several: \(names)",
        advice: "name one of them with --destination")
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
        // The others can be verified all the same.
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
    throw ValidationError("\"\(text)\" is no depth; there are listing, metadata and content")
  }

  /// What the log says of itself and of the cursor. The cursor is looked at before the export is: whatever it has committed
  /// by then is there.
  private func log(_ configuration: Configuration, cursor: String) async throws -> (logID: String, committed: Offset?) {
    if let logID = command.logID { return (logID.lowercased(), nil) }
    guard let path = command.log ?? configuration.logPath else {
      throw Failure(
        .usage, "configuration", "\(config) says no log.path, and objects belong to a log",
        advice: "name the log with --log, or its id with --log-id when it is gone")
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
