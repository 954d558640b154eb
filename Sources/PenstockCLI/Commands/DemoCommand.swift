import ArgumentParser
import Foundation
import PenstockLog
import PenstockSinks
import PenstockToolSupport

struct DemoCommand: ReportingCommand {
  static let spokenName = "demo"
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Shows the whole corridor on this machine, then proves it.",
    discussion: """
      Starts a webhook receiver, appends a stream of usage events, delivers it by signed webhooks and into a directory, \
      kills the appending and the delivering process hard in the middle, recovers, finishes, and holds the results \
      against one another byte by byte. The directory is kept, to look at. Exit code 1 when a proof fails. A bucket needs \
      AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment; what is written there is kept, too.

        penstock demo
        penstock demo --events 20000 --dir ./demo
        penstock demo --input events.ndjson --json
        penstock demo --s3-endpoint http://127.0.0.1:9000 --s3-bucket events
      """)

  @Option(help: "How many events to generate.") var events = 200_000
  @Option(help: ArgumentHelp("Events to use instead, one a line.", valueName: "file")) var input: String?
  @Option(help: ArgumentHelp("An empty or new directory to work in; a temporary one unless set.", valueName: "dir"))
  var dir: String?
  @Option(help: ArgumentHelp("Export into this bucket instead of a directory.", valueName: "name"))
  var s3Bucket: String?
  @Option(help: ArgumentHelp("The S3-compatible store that has the bucket; Amazon S3 unless set.", valueName: "url"))
  var s3Endpoint: String?
  @Option(help: ArgumentHelp("The bucket's region.", valueName: "name")) var s3Region = "us-east-1"
  @Option(help: .hidden) var plant: Tampering?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...100_000_000).contains(events) else { throw ValidationError("--events must be 1 to 100000000") }
    if s3Endpoint != nil, s3Bucket == nil { throw ValidationError("--s3-endpoint needs --s3-bucket") }
  }

  func perform() async throws {
    let token = Signals.handle { number in
      ChildProcess.endAll()
      _exit(128 + number)
    }
    defer { Signals.forget(token) }
    let started = ContinuousClock.now
    let bucket = try bucket()
    let files = try DemoFiles(dir)
    Output.note("penstock demo: in \(files.directory)")
    let evidence = try await gather(files, bucket)
    Output.note("  proving")
    var findings = try await off { try evidence.proof.findings(isExportLocal: bucket == nil) }
    if let bucket {
      findings.append(try await evidence.settings.bucketFinding(bucket, files, total: evidence.proof.total))
    }
    let seconds = (ContinuousClock.now - started) / .seconds(1)
    report(evidence.proof, findings, bucket, seconds)
    try end(findings.allSatisfy(\.isTrue) ? .done : .bad)
  }

  private func bucket() throws -> DemoSettings.Bucket? {
    guard let s3Bucket else { return nil }
    let environment = ProcessInfo.processInfo.environment
    guard let key = environment["AWS_ACCESS_KEY_ID"], let secret = environment["AWS_SECRET_ACCESS_KEY"] else {
      throw Failure(.usage, "configuration", "--s3-bucket needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to be set")
    }
    return DemoSettings.Bucket(
      name: s3Bucket, region: s3Region, endpoint: s3Endpoint,
      credentials: S3Credentials(
        accessKeyID: key, secretAccessKey: Secret(secret),
        sessionToken: environment["AWS_SESSION_TOKEN"].map { Secret($0) }))
  }

  /// Runs the corridor. Whatever it started and did not end is killed, however it went.
  private func gather(
    _ files: DemoFiles, _ bucket: DemoSettings.Bucket?
  ) async throws -> (proof: Proof, settings: DemoSettings) {
    defer { ChildProcess.endAll() }
    return try await off {
      let total = try files.makeInput(from: input, events: events)
      let settings = DemoSettings(bucket: bucket, total: total)
      let outcome = try DemoRun(files, total: total, settings).run()
      if let plant { try tamper(plant, files, isExportLocal: bucket == nil) }
      return (Proof(files: files, total: total, outcome: outcome), settings)
    }
  }

  /// Processes are waited for and files compared: that blocks, and has a thread of its own.
  private func off<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await Worker(name: "penstock-demo").run { () -> Result<Value, any Error> in Result { try work() } }.get()
  }

  private func tamper(_ plant: Tampering, _ files: DemoFiles, isExportLocal: Bool) throws {
    let exported = files.exportedFiles()
    let path = plant == .lost && isExportLocal ? exported[exported.count / 2] : files.received
    try plant.apply(to: path)
    Output.note("  planted: one row \(plant.rawValue) in \(path)")
  }

  private func report(
    _ proof: Proof, _ findings: [Proof.Finding], _ bucket: DemoSettings.Bucket?, _ seconds: Double
  ) {
    let (files, outcome) = (proof.files, proof.outcome)
    let isProven = findings.allSatisfy(\.isTrue)
    let json = JSON.object([
      ("proven", .bool(isProven)), ("events", .number(proof.total)), ("seconds", .number(seconds)),
      ("directory", .string(files.directory)),
      (
        "killed",
        .object([("append", .bool(outcome.wasAppendKilled)), ("deliver", .bool(outcome.wasDeliverKilled))])
      ),
      ("recovery", .string(outcome.recovery)),
      (
        "proofs",
        .array(
          findings.map {
            .object([("name", .string($0.name)), ("true", .bool($0.isTrue)), ("detail", .string($0.detail))])
          })
      ),
    ])
    var rows: [[String]] = []
    for finding in findings { rows.append([finding.isTrue ? "✓" : "✗", finding.name, finding.detail]) }
    tell(
      json,
      """
      \(HumanFormat.table(rows))

      \(isProven ? "Proven" : "NOT PROVEN") in \(HumanFormat.seconds(seconds)), with append and deliver killed hard in between.

      Look around:
        penstock status --log \(files.log)
        penstock tail --log \(files.log) | head -3
        penstock inspect --log \(files.log) --segment 1
        zstd -dc \(files.log)/data/*.seg | head -3
        \(bucket.map { "the bucket \($0.name), names like \($0.keyTemplate)" } ?? "ls \(files.exports)")
        head -3 \(files.ledger)
      """)
  }
}

extension Tampering: ExpressibleByArgument {}
