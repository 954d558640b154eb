import ArgumentParser
import PenstockLog

struct VerifyCommand: ReportingCommand {
  static let spokenName = "verify"
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Proves every checksum, chain and count of a log.",
    discussion: """
      Reads everything: both copies of each segment's header, every block's header, checksums, payload and record count, \
      the chain of blocks within and across segments, the offsets without a hole, zeros behind the end, and the cursors. \
      Changes nothing; beside a writer it goes up to the end that was durable at the start. --deep computes the checksums \
      a second time in another way. Exit code 1 when there is a problem, each told with segment, position and offsets; 3 when a \
      later version wrote the log.

        penstock verify --log ./events
        penstock verify --log ./events --deep --json
      """)

  @OptionGroup var logOption: LogOption
  @Flag(help: "Compute the checksums a second time in another way.") var deep = false
  @OptionGroup var common: CommonOptions

  func perform() async throws {
    let started = ContinuousClock.now
    let inspector = try LogInspector(logOption.log)
    let total = try inspector.segments.reduce(0) { total, segment in total + Int(try inspector.size(of: segment)) }
    ProgressLine.shared.begin("verifying", total: total)
    let depth = deep ? InspectionDepth.deep : .contents
    let worker = Worker(name: "penstock-verify")
    let findings = await worker.run { () -> [SegmentFinding] in
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
    report(inspector, findings, problems, seconds)
    if findings.contains(where: \.isOfLaterVersion) { try end(.cannot) }
    try end(problems.isEmpty ? .done : .bad)
  }

  private func report(
    _ inspector: LogInspector, _ findings: [SegmentFinding], _ problems: [InspectionProblem], _ seconds: Double
  ) {
    ProgressLine.shared.clear()
    for problem in problems { Output.note("penstock verify: \(problem)") }
    let blocks = findings.reduce(0) { $0 + $1.blocks }
    let records = findings.reduce(0) { $0 + $1.records }
    let (raw, used) = (findings.reduce(0) { $0 + $1.rawBytes }, findings.reduce(0) { $0 + $1.usedBytes })
    let behind = inspector.isClosedCleanly ? 0 : findings.last?.bytesBehind ?? 0
    let isWritten = WriterLock.isHeld(logOption.log) == true
    if behind > 0, !isWritten {
      Output.note(
        "penstock verify: \(Words.bytes(behind)) behind the durable end wait for recovery; opening the log decides")
    }
    tell(
      .object([
        ("segments", .number(findings.count)), ("blocks", .number(blocks)), ("records", .number(records)),
        ("bytes", .number(used)), ("rawBytes", .number(raw)), ("end", .number(inspector.end.rawValue)),
        ("unrecoveredBytes", .number(isWritten ? 0 : behind)), ("seconds", .number(seconds)),
        ("problems", .array(problems.map(Self.json))),
      ]),
      "\(problems.isEmpty ? "good" : "BAD"): \(Words.count(findings.count, "segment")), "
        + "\(Words.count(blocks, "block")), \(Words.count(records, "record")), \(Words.bytes(used)) on disk, "
        + "\(Words.bytes(raw)) raw; \(Words.count(problems.count, "problem")); \(Words.seconds(seconds))")
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
