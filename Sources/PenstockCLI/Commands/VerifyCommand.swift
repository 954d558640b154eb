import ArgumentParser
import PenstockLog
import PenstockSinks
import PenstockSupport
import PenstockToolSupport

struct VerifyCommand: ReportingCommand {
  static let spokenName = "verify"
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Checks every checksum, chain and count of a log, or of an export.",
    discussion: """
      Reads everything: both copies of each segment header, and every block's header, checksums, payload and record \
      count. Also checks the chain of blocks within and across segments, the offsets for holes, the zeros after the \
      end, and the cursors. Changes nothing. A writer may run at the same time; verify stops at the end that was \
      durable at the start. --deep computes the checksums a second time with other code. Exit code 1 when there is a \
      problem, each printed with segment, position and offsets. Exit code 3 when a later version wrote the log.

        penstock verify --log ./events
        penstock verify --log ./events --deep --json

      With --s3 (or --export), checks the export of a destination of type s3 or directory. Every record from \
      --expect-from to the cursor's committed offset must be in exactly one object, and each object must match its \
      manifest entry. --depth listing checks names, sizes and the whole manifest; metadata also checks each object's \
      metadata; content reads everything. Several destinations are checked one after the other. A store that answers \
      500, 503 or not at all is retried. Changes nothing; a delivery may run at the same time. Exit code 1 when \
      there is a problem, 3 when a store cannot be read.

        penstock verify --s3 --config penstock.yaml
        penstock verify --s3 --config penstock.yaml --destination archive --depth content --json
      """)

  @Option(help: ArgumentHelp("The log's directory; with --s3, instead of the file's log.path.", valueName: "dir"))
  var log: String?
  @Flag(help: "Compute the checksums a second time with other code.") var deep = false
  @Flag(
    name: [.customLong("s3"), .customLong("export")],
    help: "Check the export of a destination of type s3 or directory.")
  var isExport = false
  @Option(help: ArgumentHelp("With --s3: the configuration file, YAML or JSON.", valueName: "file"))
  var config: String?
  @Option(
    help: ArgumentHelp(
      "With --s3: check only this destination; may be repeated.", valueName: "name"))
  var destination: [String] = []
  @Option(
    help: ArgumentHelp("With --s3: retry a store that does not answer for this long.", valueName: "seconds"))
  var giveUpAfter = 60.0
  @Option(
    help: ArgumentHelp("With --s3: what to read: listing, metadata or content.", valueName: "depth"),
    transform: VerifyExport.depth)
  var depth = ExportReport.Depth.metadata
  @Option(help: ArgumentHelp("With --s3: the first record that must be exported.", valueName: "offset"))
  var expectFrom: UInt64 = 0
  @Option(
    help: ArgumentHelp(
      "With --s3: the end, exclusive, of what must be exported, instead of the cursor's committed offset.",
      valueName: "offset"))
  var expectTo: UInt64?
  @Option(
    help: ArgumentHelp("With --s3: the log's id (32 hexadecimal digits), if the log is lost.", valueName: "id"))
  var logID: String?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if isExport {
      if config == nil { throw ValidationError("--s3 needs --config") }
      if !(giveUpAfter >= 0) { throw ValidationError("--give-up-after must not be below 0") }
      if deep { throw ValidationError("--deep is for logs; for an export, use --depth content") }
    } else {
      if log == nil { throw ValidationError("Missing expected argument '--log <dir>'") }
      if config != nil || !destination.isEmpty || expectTo != nil || logID != nil {
        throw ValidationError("--config, --destination, --expect-to and --log-id need --s3")
      }
    }
  }

  func perform() async throws {
    if isExport, let config { return try await VerifyExport(command: self, config: config).perform() }
    if let log { try await verify(log) }
  }

  private func verify(_ log: String) async throws {
    let started = ContinuousClock.now
    let inspector = try LogInspector(log)
    let total = try inspector.segments.reduce(0) { total, segment in total + Int(try inspector.size(of: segment)) }
    ProgressLine.shared.begin("verifying", total: total)
    let depth = deep ? InspectionDepth.deep : .contents
    let worker = Worker(name: "penstock-verify")
    let findings = await worker.run { () -> [SegmentReport] in
      var done = 0
      return inspector.walk(
        depth,
        visit: { _, block, _ in
          done += block.totalLength
          ProgressLine.shared.update(done)
        })
    }
    let problems = findings.flatMap(\.problems) + (try inspector.cursorProblems())
    let seconds = (ContinuousClock.now - started) / .seconds(1)
    report(log, inspector, findings, problems, seconds)
    if findings.contains(where: \.isOfLaterVersion) { try end(.cannot) }
    try end(problems.isEmpty ? .done : .bad)
  }

  private func report(
    _ log: String, _ inspector: LogInspector, _ findings: [SegmentReport], _ problems: [InspectionProblem],
    _ seconds: Double
  ) {
    ProgressLine.shared.clear()
    for problem in problems { Output.note("penstock verify: \(problem)") }
    let blocks = findings.reduce(0) { $0 + $1.blocks }
    let records = findings.reduce(0) { $0 + $1.records }
    let (raw, used) = (findings.reduce(0) { $0 + $1.rawBytes }, findings.reduce(0) { $0 + $1.usedBytes })
    let unrecovered = inspector.isClosedCleanly ? 0 : findings.last?.trailingBytes ?? 0
    let isWritten = WriterLock.isHeld(log) == true
    if unrecovered > 0, !isWritten {
      Output.note(
        "penstock verify: \(HumanFormat.bytes(unrecovered)) after the durable end; the next recovery decides about them"
      )
    }
    tell(
      .object([
        ("segments", .number(findings.count)), ("blocks", .number(blocks)), ("records", .number(records)),
        ("bytes", .number(used)), ("rawBytes", .number(raw)), ("end", .number(inspector.end.rawValue)),
        ("unrecoveredBytes", .number(isWritten ? 0 : unrecovered)), ("seconds", .number(seconds)),
        ("problems", .array(problems.map(Self.json))),
      ]),
      "\(problems.isEmpty ? "good" : "BAD"): \(HumanFormat.count(findings.count, "segment")), "
        + "\(HumanFormat.count(blocks, "block")), \(HumanFormat.count(records, "record")), "
        + "\(HumanFormat.bytes(used)) on disk, \(HumanFormat.bytes(raw)) raw; "
        + "\(HumanFormat.count(problems.count, "problem")); \(HumanFormat.seconds(seconds))"
    )
  }

  private static func json(_ problem: InspectionProblem) -> JSON {
    .object([
      ("path", .string(problem.path)), ("position", .optional(problem.position)),
      ("first", .optional(problem.offsets?.lowerBound.rawValue)),
      ("end", .optional(problem.offsets?.upperBound.rawValue)),
      ("message", .string(problem.message)),
    ])
  }
}
