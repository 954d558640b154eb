import ArgumentParser
import PenstockLog
import PenstockSinks

/// `penstock verify --s3`: an export against its manifest, and against the cursor that made it.
struct VerifyExport {
  let command: VerifyCommand
  let config: String

  func perform() async throws {
    let configuration = try Configuration.read(config)
    let (destination, export) = try ExportCheck.choose(command.destination, in: configuration, file: config)
    let known = try await log(configuration, cursor: destination.name)
    let check = ExportCheck(destination: destination, export: export, logID: known.logID)
    let report = try await check.ask { store in
      try await ExportVerifier(store: store, layout: export.layout, logID: known.logID, cursor: destination.name)
        .verify(command.depth, expecting: expected(known.committed))
    }
    for finding in report.findings { Output.note("penstock verify: \(finding.kind.rawValue): \(finding)") }
    command.tell(.encoding(report), report.lines.prefix(report.pending == nil ? 1 : 2).joined(separator: "\n"))
    try command.end(report.isSound ? .done : .bad)
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
