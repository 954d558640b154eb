import ArgumentParser
import PenstockLog
import PenstockSinks
import PenstockToolSupport

struct VerifyCommand: ReportingCommand {
  static let spokenName = "verify"
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Proves every checksum, chain and count of a log, or of an export.",
    discussion: """
      Reads everything: both copies of each segment's header, every block's header, checksums, payload and record count, \
      the chain of blocks within and across segments, the offsets without a hole, zeros behind the end, and the cursors. \
      Changes nothing; beside a writer it goes up to the end that was durable at the start. --deep computes the checksums \
      a second time in another way. Exit code 1 when there is a problem, each told with segment, position and offsets; 3 when a \
      later version wrote the log.

        penstock verify --log ./events
        penstock verify --log ./events --deep --json

      With --s3 (or --export) it proves what a destination of type s3 or directory holds instead: every record from \
      --expect-from to the cursor's committed offset in exactly one object, each object as its manifest says. --depth \
      listing looks at names, sizes and the whole manifest, metadata also at what the store keeps beside each object, content \
      reads everything. Several destinations are verified one after the other. A store that answers 503, 500 or not at \
      all is asked again. Changes nothing; a delivery may be under way. Exit code 1 when something is wrong, 3 when a \
      store cannot be asked.

        penstock verify --s3 --config penstock.yaml
        penstock verify --s3 --config penstock.yaml --destination archive --depth content --json
      """)

  @Option(help: ArgumentHelp("The log's directory; with --s3, instead of the file's log.path.", valueName: "dir"))
  var log: String?
  @Flag(help: "Compute the checksums a second time in another way.") var deep = false
  @Flag(
    name: [.customLong("s3"), .customLong("export")],
    help: "Prove the export of a destination, of type s3 or directory.")
  var isExport = false
  @Option(help: ArgumentHelp("The configuration file, YAML or JSON; for --s3.", valueName: "file")) var config: String?
  @Option(
    help: ArgumentHelp(
      "A destination; for --s3. May be said more than once; by default every one of them.", valueName: "name"))
  var destination: [String] = []
  @Option(help: "For --s3: how many seconds a store that cannot answer is asked again.") var giveUpAfter = 60.0
  @Option(
    help: ArgumentHelp("How much of an export is read: listing, metadata or content.", valueName: "depth"),
    transform: VerifyExport.depth)
  var depth = ExportReport.Depth.metadata
  @Option(help: ArgumentHelp("The first record that must be exported.", valueName: "offset")) var expectFrom: UInt64 = 0
  @Option(
    help: ArgumentHelp(
      "One past the last record that must be exported, instead of the cursor's committed offset.", valueName: "offset"))
  var expectTo: UInt64?
  @Option(help: ArgumentHelp("The log's id (32 hexadecimal digits), where the log itself is gone.", valueName: "id"))
  var logID: String?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if isExport {
      if config == nil { throw ValidationError("--s3 needs --config") }
      if !(giveUpAfter >= 0) { throw ValidationError("--give-up-after must not be below 0") }
      if deep { throw ValidationError("--deep is for logs; --depth content reads all of an export") }
    } else {
      if log == nil { throw ValidationError("Missing expected argument '--log <dir>'") }
      if config != nil || !destination.isEmpty || expectTo != nil || logID != nil {
        throw ValidationError("--config, --destination, --expect-to and --log-id are for exports: add --s3")
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
    let behind = inspector.isClosedCleanly ? 0 : findings.last?.bytesBehind ?? 0
    let isWritten = WriterLock.isHeld(log) == true
    if behind > 0, !isWritten {
      Output.note(
        "penstock verify: \(HumanFormat.bytes(behind)) behind the durable end wait for recovery; opening the log decides"
      )
    }
    tell(
      .object([
        ("segments", .number(findings.count)), ("blocks", .number(blocks)), ("records", .number(records)),
        ("bytes", .number(used)), ("rawBytes", .number(raw)), ("end", .number(inspector.end.rawValue)),
        ("unrecoveredBytes", .number(isWritten ? 0 : behind)), ("seconds", .number(seconds)),
        ("problems", .array(problems.map(Self.json))),
      ]),
      "\(problems.isEmpty ? "good" : "BAD"): \(HumanFormat.count(findings.count, "segment")), "
        + "\(HumanFormat.count(blocks, "block")), \(HumanFormat.count(records, "record")), \(HumanFormat.bytes(used)) on disk, "
        + "\(HumanFormat.bytes(raw)) raw; \(HumanFormat.count(problems.count, "problem")); \(HumanFormat.seconds(seconds))"
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
