import ArgumentParser
import PenstockLog

struct StatusCommand: ReportingCommand {
  static let spokenName = "status"
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Shows a log's segments and cursors, and how far behind each cursor is.",
    discussion: """
      Reads only, beside a running writer or without one, and takes no lock. The end is the durable end, as the writer \
      published it.

        penstock status --log ./events
        penstock status --log ./events --json
      """)

  @OptionGroup var logOption: LogOption
  @OptionGroup var common: CommonOptions

  func perform() async throws {
    let inspector = try LogInspector(logOption.log)
    let cursors = try await LogReader.open(at: logOption.log).cursorStates()
    let findings = inspector.walk(.headers)
    let isWritten = WriterLock.isHeld(logOption.log)
    tell(
      json(inspector, findings, cursors, isWritten), words(inspector, findings, cursors, isWritten))
  }

  private typealias Cursors = [(name: String, state: CursorState)]

  private func json(
    _ inspector: LogInspector, _ findings: [SegmentFinding], _ cursors: Cursors, _ isWritten: Bool?
  ) -> JSON {
    let first = inspector.segments.first?.baseOffset ?? .zero
    return .object([
      ("path", .string(inspector.path)), ("log", .string(inspector.logID)), ("first", .number(first.rawValue)),
      ("end", .number(inspector.end.rawValue)), ("records", .number(inspector.end - first)),
      ("bytesOnDisk", .number(findings.reduce(0) { $0 + $1.usedBytes })),
      ("fileBytes", .number(findings.reduce(0) { $0 + $1.fileBytes })),
      ("rawBytes", .number(findings.reduce(0) { $0 + $1.rawBytes })),
      ("writer", isWritten.map { .bool($0) } ?? .null), ("closedCleanly", .bool(inspector.isClosedCleanly)),
      ("segments", .array(findings.map(Self.json))),
      ("cursors", .array(cursors.map { Self.json($0.name, $0.state, end: inspector.end) })),
      ("problems", .array(findings.flatMap(\.problems).map { .string($0.description) })),
    ])
  }

  private static func json(_ finding: SegmentFinding) -> JSON {
    .object([
      ("sequence", .number(finding.name.sequence)), ("path", .string(finding.path)),
      ("first", .number(finding.name.baseOffset.rawValue)), ("end", .number(finding.end.rawValue)),
      ("blocks", .number(finding.blocks)), ("records", .number(finding.records)),
      ("rawBytes", .number(finding.rawBytes)), ("bytesOnDisk", .number(finding.usedBytes)),
      ("fileBytes", .number(finding.fileBytes)),
    ])
  }

  /// Shared with `penstock cursor`.
  static func json(_ name: String, _ state: CursorState, end: Offset) -> JSON {
    .object([
      ("name", .string(name)), ("committed", .number(state.committed.rawValue)),
      ("lag", .number(end > state.committed ? end - state.committed : 0)), ("epoch", .number(state.epoch)),
      ("lastReceipt", .optional(state.lastReceipt)),
      (
        "inFlight",
        .array(
          state.inFlight.map {
            .object([
              ("id", .string($0.intent.id.rawValue)), ("first", .number($0.intent.first.rawValue)),
              ("last", .number($0.intent.end.rawValue - 1)), ("delivered", .bool($0.isDelivered)),
              ("createdAt", .string(Words.time($0.intent.createdAt))),
            ])
          })
      ),
    ])
  }

  private func words(
    _ inspector: LogInspector, _ findings: [SegmentFinding], _ cursors: Cursors, _ isWritten: Bool?
  ) -> String {
    let first = inspector.segments.first?.baseOffset ?? .zero
    let (used, raw) = (findings.reduce(0) { $0 + $1.usedBytes }, findings.reduce(0) { $0 + $1.rawBytes })
    let writer =
      switch isWritten {
      case true?: "a writer has it open"
      case false?: inspector.isClosedCleanly ? "closed in good order" : "no writer; the next one recovers it first"
      case nil: "not known"
      }
    var text = Words.table([
      ["log", inspector.path], ["id", inspector.logID], ["writer", writer],
      ["records", "\(Words.count(inspector.end - first)) (offsets \(first) ..< \(inspector.end))"],
      ["size", "\(Words.bytes(used)) on disk for \(Words.bytes(raw)) (\(Words.share(used, of: UInt64(raw))))"],
    ])
    var segments = [["segment", "first", "records", "blocks", "raw", "on disk"]]
    for finding in findings {
      segments.append([
        String(finding.name.sequence), finding.name.baseOffset.description, Words.count(finding.records),
        Words.count(finding.blocks), Words.bytes(finding.rawBytes), Words.bytes(finding.usedBytes),
      ])
    }
    text += "\n\n" + Words.table(segments, right: [0, 1, 2, 3, 4, 5])
    text += "\n\n" + Self.table(cursors, end: inspector.end)
    let problems = findings.flatMap(\.problems)
    if !problems.isEmpty { text += "\n\n\(Words.count(problems.count, "problem")); see penstock verify" }
    return text
  }

  /// Shared with `penstock cursor`.
  static func table(_ cursors: [(name: String, state: CursorState)], end: Offset) -> String {
    if cursors.isEmpty { return "no cursors" }
    var rows = [["cursor", "committed", "lag", "in flight", "last receipt"]]
    for (name, state) in cursors {
      let open = state.inFlight.map { "\($0.intent.first) ..< \($0.intent.end)" }.joined(separator: ", ")
      rows.append([
        name, state.committed.description, Words.count(end > state.committed ? end - state.committed : 0),
        open.isEmpty ? "–" : open, state.lastReceipt ?? "–",
      ])
    }
    return Words.table(rows, right: [1, 2])
  }
}
