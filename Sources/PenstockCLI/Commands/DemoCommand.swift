import ArgumentParser
import Foundation
import PenstockLog
import PenstockSinks
import PenstockSupport
import PenstockToolSupport

struct DemoCommand: ReportingCommand {
  static let spokenName = "demo"
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Runs the whole pipeline on this machine with crashes, then checks every byte.",
    discussion: """
      Starts a webhook receiver, appends a stream of usage events, and delivers it by signed webhooks and into a \
      directory. Kills the append and the deliver process in the middle with SIGKILL, recovers the log, and finishes. \
      Then compares input, log, webhooks and export byte by byte. Exit code 1 when a check fails. The directory is \
      kept for inspection. A bucket needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment; its objects \
      are kept, too.

        penstock demo
        penstock demo --events 20000 --dir ./demo
        penstock demo --input events.ndjson --json
        penstock demo --s3-endpoint http://127.0.0.1:9000 --s3-bucket events
      """)

  @Option(help: "How many events to generate.") var events = 200_000
  @Option(help: ArgumentHelp("Use the events of this file instead, one per line.", valueName: "file"))
  var input: String?
  @Option(help: ArgumentHelp("An empty or new directory to work in; a temporary one by default.", valueName: "dir"))
  var dir: String?
  @Option(help: ArgumentHelp("Export into this bucket instead of a directory.", valueName: "name"))
  var s3Bucket: String?
  @Option(help: ArgumentHelp("The S3-compatible store that has the bucket; Amazon S3 by default.", valueName: "url"))
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
    Output.note("  checking")
    var checks = try await onThread { try evidence.proof.checks(isExportLocal: bucket == nil) }
    if let bucket {
      checks.append(try await evidence.settings.bucketCheck(bucket, files, total: evidence.proof.total))
    }
    let seconds = (ContinuousClock.now - started) / .seconds(1)
    report(evidence.proof, checks, bucket, seconds)
    try end(checks.allSatisfy(\.isTrue) ? .done : .bad)
  }

  private func bucket() throws -> DemoSettings.Bucket? {
    guard let s3Bucket else { return nil }
    let environment = ProcessInfo.processInfo.environment
    guard let key = environment["AWS_ACCESS_KEY_ID"], let secret = environment["AWS_SECRET_ACCESS_KEY"] else {
      throw Failure(
        .usage, "configuration", "--s3-bucket needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment")
    }
    return DemoSettings.Bucket(
      name: s3Bucket, region: s3Region, endpoint: s3Endpoint,
      credentials: S3Credentials(
        accessKeyID: key, secretAccessKey: Secret(secret),
        sessionToken: environment["AWS_SESSION_TOKEN"].map { Secret($0) }))
  }

  /// Runs the pipeline. Kills every child process that still runs, also after a failure.
  private func gather(
    _ files: DemoFiles, _ bucket: DemoSettings.Bucket?
  ) async throws -> (proof: Proof, settings: DemoSettings) {
    defer { ChildProcess.endAll() }
    return try await onThread {
      let total = try files.makeInput(from: input, events: events)
      let settings = DemoSettings(bucket: bucket, total: total)
      let outcome = try DemoRun(files, total: total, settings).run()
      if let plant { try tamper(plant, files, isExportLocal: bucket == nil) }
      return (Proof(files: files, total: total, outcome: outcome), settings)
    }
  }

  /// Runs work that blocks (waits for processes, compares files) on a thread of its own.
  private func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await Worker(name: "penstock-demo").run { () -> Result<Value, any Error> in Result { try work() } }.get()
  }

  private func tamper(_ plant: Tampering, _ files: DemoFiles, isExportLocal: Bool) throws {
    let exported = files.exportedFiles()
    let path = plant == .lost && isExportLocal ? exported[exported.count / 2] : files.received
    try plant.apply(to: path)
    Output.note("  injected fault: one row \(plant.rawValue) in \(path)")
  }

  private func report(
    _ proof: Proof, _ checks: [Proof.Check], _ bucket: DemoSettings.Bucket?, _ seconds: Double
  ) {
    let (files, outcome) = (proof.files, proof.outcome)
    let isProven = checks.allSatisfy(\.isTrue)
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
          checks.map {
            .object([("name", .string($0.name)), ("true", .bool($0.isTrue)), ("detail", .string($0.detail))])
          })
      ),
    ])
    var rows: [[String]] = []
    for check in checks { rows.append([check.isTrue ? "✓" : "✗", check.name, check.detail]) }
    tell(
      json,
      """
      \(HumanFormat.table(rows))

      \(isProven ? "Proven" : "NOT PROVEN") in \(HumanFormat.seconds(seconds)), with append and deliver \
      killed by SIGKILL.

      Next steps:
        penstock status --log \(files.log)
        penstock tail --log \(files.log) | head -3
        penstock inspect --log \(files.log) --segment 1
        zstd -dc \(files.log)/data/*.seg | head -3
        \(bucket.map { "the bucket \($0.name), object names like \($0.keyTemplate)" } ?? "ls \(files.exports)")
        head -3 \(files.ledger)
      """)
  }
}

extension Tampering: ExpressibleByArgument {}
