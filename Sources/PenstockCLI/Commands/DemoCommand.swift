import ArgumentParser
import Foundation
import PenstockLog

/// What a demo's destinations are.
struct DemoSettings: Sendable {
  func configuration(_ files: DemoFiles, webhook: String) -> String {
    """
    log:
      path: \(JSON.string(files.log).text)
    destinations:
      - name: webhook
        type: webhook
        url: \(webhook)
        signing: { secrets: ["${PENSTOCK_WEBHOOK_SECRET}"] }
        batch: { maxEvents: 500, maxBytes: 1MiB, maxWait: 200ms }
      - name: exports
        type: directory
        path: \(JSON.string(files.directory).text)
        prefix: exports/usages
        rotate: { maxRecords: 20000, maxAge: 1s }

    """
  }
}

struct DemoCommand: ReportingCommand {
  static let spokenName = "demo"
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Shows the whole corridor on this machine, then proves it.",
    discussion: """
      Starts a webhook receiver, appends a stream of usage events, delivers it by signed webhooks and into a directory,
      kills the appending and the delivering process hard in the middle, recovers, finishes, and holds the results
      against one another byte by byte. The directory is kept, to look at. Exit code 1 when a proof fails.

        penstock demo
        penstock demo --events 20000 --dir ./demo
        penstock demo --input events.ndjson --json
      """)

  @Option(help: "How many events to generate.") var events = 200_000
  @Option(help: ArgumentHelp("Events to use instead, one a line.", valueName: "file")) var input: String?
  @Option(help: ArgumentHelp("An empty or new directory to work in; a temporary one unless set.", valueName: "dir"))
  var dir: String?
  @Option(help: .hidden) var plant: Tampering?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...100_000_000).contains(events) else { throw ValidationError("--events must be 1 to 100000000") }
  }

  func perform() async throws {
    let token = Interruption.handle { number in
      ChildProcess.endAll()
      _exit(128 + number)
    }
    defer { Interruption.forget(token) }
    // All of it blocks: processes are waited for, files compared.
    let worker = Worker(name: "penstock-demo")
    let result = await worker.run { () -> Result<Bool, any Error> in Result { try self.show() } }
    ChildProcess.endAll()
    guard try result.get() else { throw ExitCode(ExitStatus.bad.rawValue) }
  }

  private func show() throws -> Bool {
    let started = ContinuousClock.now
    let files = try DemoFiles(dir)
    Output.note("penstock demo: in \(files.directory)")
    let total = try files.makeInput(from: input, events: events)
    let corridor = Corridor(files, total: total, DemoSettings())
    let outcome = try corridor.run()
    if let plant { try tamper(plant, files) }
    Output.note("  proving")
    let findings = try Proof(files: files, total: total, outcome: outcome).findings()
    let seconds = (ContinuousClock.now - started) / .seconds(1)
    report(files, total, outcome, findings, seconds)
    return findings.allSatisfy(\.isTrue)
  }

  private func tamper(_ plant: Tampering, _ files: DemoFiles) throws {
    let exported = files.exportedFiles()
    let path = plant == .lost ? exported[exported.count / 2] : files.received
    try plant.apply(to: path)
    Output.note("  planted: one row \(plant.rawValue) in \(path)")
  }

  private func report(
    _ files: DemoFiles, _ total: Int, _ outcome: Corridor.Outcome, _ findings: [Proof.Finding], _ seconds: Double
  ) {
    let isProven = findings.allSatisfy(\.isTrue)
    let json = JSON.object([
      ("proven", .bool(isProven)), ("events", .number(total)), ("seconds", .number(seconds)),
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
      \(Words.table(rows))

      \(isProven ? "Proven" : "NOT PROVEN") in \(Words.seconds(seconds)), with append and deliver killed hard in between.

      Look around:
        penstock status --log \(files.log)
        penstock tail --log \(files.log) | head -3
        penstock inspect --log \(files.log) --segment 1
        zstd -dc \(files.log)/data/*.seg | head -3
        ls \(files.exports)
        head -3 \(files.ledger)
      """)
  }
}

extension Tampering: ExpressibleByArgument {}
