import ArgumentParser
import PenstockLog
import PenstockSinks
import PenstockToolSupport

extension CursorCommand {
  struct Rebuild: ReportingCommand {
    static let spokenName = "cursor rebuild"
    static let configuration = CommandConfiguration(
      abstract: "Makes a lost cursor anew, from what its destination's export says.",
      discussion: """
        For a destination of type s3 or directory whose cursor is gone: reads the newest entry of the export's manifest, and \
        the objects' names where there is none, and makes the cursor where the export ends, so that nothing is exported \
        twice or left out. A cursor that is there is not touched. Without --yes it says where the cursor would be. Stop the \
        destination first, and prove the export afterwards with penstock verify --s3.

          penstock cursor rebuild archive --config penstock.yaml
          penstock cursor rebuild archive --config penstock.yaml --yes
        """)
    @Argument(help: "The destination, and its cursor.") var name: String
    @Option(help: ArgumentHelp("The configuration file, YAML or JSON.", valueName: "file")) var config: String
    @Option(help: ArgumentHelp("The log's directory, instead of the file's log.path.", valueName: "dir"))
    var log: String?
    @Flag(help: "Do it although something about the export is doubtful.") var force = false
    @Flag(help: "Do it.") var yes = false
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let configuration = try Configuration.read(config)
      let (destination, export) = try ExportCheck.choose(name, in: configuration, file: config)
      guard let path = log ?? configuration.logPath else {
        throw Failure(.usage, "configuration", "\(config) says no log.path; name the log with --log")
      }
      let reader = try await LogReader.open(at: path)
      defer { reader.close() }
      try refuseExisting(reader)
      let check = ExportCheck(destination: destination, export: export, logID: reader.logID)
      let standing = try await check.ask { store in
        let manifest = try ManifestReader(store: store, layout: export.layout, logID: reader.logID, cursor: name)
        let standing = try await manifest.committedEnd()
        let end = try accept(standing, reader)
        try CursorCommand.ask(yes, "cursor \(name) would be made at offset \(end), by \(Self.words(standing))")
        if export.layout.manifest { try await manifest.recordPending(standing) }
        return standing
      }
      let end = Offset(standing.committedEnd)
      // Again: whatever made a cursor meanwhile knows better.
      try refuseExisting(reader)
      let cursor = try await reader.cursor(named: name, startingAt: .offset(end))
      tell(
        CursorLine(name: name, state: cursor.state, end: reader.end).json(now: SystemWallClock().now()),
        "cursor \(name) made at offset \(cursor.state.committed), by \(Self.words(standing))")
    }

    private func refuseExisting(_ reader: LogReader) throws {
      let there: CursorState?
      do throws(LogError) { there = try reader.cursorState(named: name) } catch {
        guard error.code == .damaged || error.code == .io else { throw error }
        throw Failure(
          .bad, "cursorExists", "cursor \(name) is there, and cannot be read: \(error.message)",
          advice: "penstock cursor delete \(name) --yes, then again")
      }
      guard let there else { return }
      throw Failure(
        .bad, "cursorExists", "cursor \(name) is there, at offset \(there.committed); it is not overwritten",
        advice: "penstock cursor seek moves a cursor; rebuilding is for one that is lost")
    }

    private func accept(_ standing: ManifestReader.Standing, _ reader: LogReader) throws(Failure) -> Offset {
      let end = Offset(standing.committedEnd)
      guard standing.source != .nothing else {
        throw Failure(
          .bad, "noExport",
          "there is no object of log \(reader.logID) and cursor \(name), so there is nothing to go by",
          advice: "penstock deliver begins at the log's beginning; check prefix, bucket and name otherwise")
      }
      guard end <= reader.end else {
        throw Failure(
          .bad, "outOfRange", "the export ends at offset \(end), and the log at \(reader.end): it has lost records",
          advice: "bring back the newest copy of the log before anything is delivered from it")
      }
      for doubt in standing.doubts { Output.note("penstock cursor rebuild: \(doubt)") }
      guard standing.doubts.isEmpty || force else {
        throw Failure(
          .bad, "doubtful", "the export ends at offset \(end), but \(standing.doubts.joined(separator: "; "))",
          advice: "penstock verify --s3 tells more; --force makes the cursor all the same")
      }
      return end
    }

    private static func words(_ standing: ManifestReader.Standing) -> String {
      let source = standing.source == .manifest ? "the manifest" : "the objects' names"
      guard !standing.pending.isEmpty else { return source }
      return source + " and \(HumanFormat.count(standing.pending.count, "object")) without an entry"
    }
  }
}
