import ArgumentParser
import PenstockLog
import PenstockSinks
import PenstockToolSupport

extension CursorCommand {
  struct Rebuild: ReportingCommand {
    static let spokenName = "cursor rebuild"
    static let configuration = CommandConfiguration(
      abstract: "Recreates a lost cursor from its destination's export manifest.",
      discussion: """
        For a destination of type s3 or directory whose cursor is lost. Reads the newest manifest entry, or the object \
        names where entries are missing, and creates the cursor at the end of the export. So no record is exported \
        twice or left out. An existing cursor is never changed. Without --yes, prints where the cursor would be. \
        Stop the destination first. Afterwards check the export with penstock verify --s3.

          penstock cursor rebuild archive --config penstock.yaml
          penstock cursor rebuild archive --config penstock.yaml --yes
        """)
    @Argument(help: "The destination, and its cursor.") var name: String
    @Option(help: ArgumentHelp("The configuration file, YAML or JSON.", valueName: "file")) var config: String
    @Option(help: ArgumentHelp("The log's directory, instead of the file's log.path.", valueName: "dir"))
    var log: String?
    @Flag(help: "Create the cursor even if the export has inconsistencies.") var force = false
    @OptionGroup var confirmation: ConfirmOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let configuration = try Configuration.read(config)
      let (destination, export) = try ExportCheck.choose(name, in: configuration, file: config)
      guard let path = log ?? configuration.logPath else {
        throw Failure(.usage, "configuration", "\(config) has no log.path; name the log with --log")
      }
      let reader = try await LogReader.open(at: path)
      defer { reader.close() }
      try refuseExisting(reader)
      let check = ExportCheck(destination: destination, export: export, logID: reader.logID)
      let found = try await check.ask { store in
        let manifest = try ManifestReader(store: store, layout: export.layout, logID: reader.logID, cursor: name)
        let found = try await manifest.committedEnd()
        let end = try accept(found, reader)
        try confirmation.require("cursor \(name) would be created at offset \(end), from \(Self.words(found))")
        if export.layout.manifest { try await manifest.recordPending(found) }
        return found
      }
      let end = Offset(found.committedEnd)
      // A delivery may have created the cursor in the meantime; that cursor is correct.
      try refuseExisting(reader)
      let cursor = try await reader.cursor(named: name, startingAt: .offset(end))
      tell(
        CursorLine(name: name, state: cursor.state, end: reader.end).json(now: SystemWallClock().now()),
        "cursor \(name) created at offset \(cursor.state.committed), from \(Self.words(found))")
    }

    private func refuseExisting(_ reader: LogReader) throws {
      let existing: CursorState?
      do throws(LogError) { existing = try reader.cursorState(named: name) } catch {
        guard error.code == .damaged || error.code == .io else { throw error }
        throw Failure(
          .bad, "cursorExists", "cursor \(name) exists and cannot be read: \(error.message)",
          advice: "delete it with penstock cursor delete \(name) --yes, then rebuild it")
      }
      guard let existing else { return }
      throw Failure(
        .bad, "cursorExists", "cursor \(name) exists, at offset \(existing.committed); rebuild never replaces a cursor",
        advice: "to move the cursor, use penstock cursor seek")
    }

    private func accept(_ found: ManifestReader.ExportEnd, _ reader: LogReader) throws(Failure) -> Offset {
      let end = Offset(found.committedEnd)
      guard found.source != .nothing else {
        throw Failure(
          .bad, "noExport",
          "the export has no object of log \(reader.logID) and cursor \(name)",
          advice: "check prefix, bucket and name; if nothing was exported, penstock deliver creates the cursor")
      }
      guard end <= reader.end else {
        throw Failure(
          .bad, "outOfRange",
          "the export ends at offset \(end), but the log ends at \(reader.end): the log has lost records",
          advice: "restore the newest copy of the log before you deliver from it")
      }
      for doubt in found.doubts { Output.note("penstock cursor rebuild: \(doubt)") }
      guard found.doubts.isEmpty || force else {
        throw Failure(
          .bad, "doubtful", "the export ends at offset \(end), but \(found.doubts.joined(separator: "; "))",
          advice: "penstock verify --s3 shows details; --force creates the cursor anyway")
      }
      return end
    }

    private static func words(_ found: ManifestReader.ExportEnd) -> String {
      let source = found.source == .manifest ? "the manifest" : "the object names"
      guard !found.pending.isEmpty else { return source }
      return source + " and \(HumanFormat.count(found.pending.count, "object")) without an entry"
    }
  }
}
