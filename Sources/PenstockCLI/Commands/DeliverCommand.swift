import ArgumentParser
import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockToolSupport

struct DeliverCommand: ReportingCommand {
  static let spokenName = "deliver"
  static let configuration = CommandConfiguration(
    commandName: "deliver",
    abstract: "Delivers a log to its destinations.",
    discussion: """
      Reads a configuration file (YAML or JSON) and delivers to each destination. A durable cursor with the \
      destination's name stores its position. A writer may run at the same time. Runs until SIGTERM or SIGINT. With \
      --until-caught-up, runs until every destination has committed up to the durable end at the start.

      A failing destination does not block the others. With --until-caught-up, the exit code is 1 when a destination \
      refuses or rejects a batch, or has different content. It is 3 when a destination is unreachable. The next run \
      sends the undelivered batches first, with the same ids and the same bytes.

        penstock deliver --config penstock.yaml
        penstock deliver --config penstock.yaml --until-caught-up
        penstock deliver --config penstock.yaml --only archive --until-caught-up
        penstock deliver --config penstock.yaml --test webhook

      --test sends one sample event to one webhook, with the header webhook-test, and prints the response. The log is \
      not changed. Records that a webhook rejects, or that cannot be rendered, become dead letters next to the log; \
      see penstock deadletters. To turn that off, set `onRejected: halt`.

      An example configuration:

        log: { path: ./events }
        destinations:
          - name: webhook
            type: webhook
            url: https://example.com/v1/api/ingest/
            headers: { your-api-key: "${WEBHOOK_API_KEY}" }
            batch: { maxEvents: 500, maxBytes: 1MiB, maxWait: 5s }
          - name: archive
            type: s3
            bucket: acme-events
            region: eu-central-1
            credentials:
              accessKey: "${AWS_ACCESS_KEY_ID}"
              secretKey: "${AWS_SECRET_ACCESS_KEY}"
            prefix: exports/usages
            compression: zstd
            rotate: { maxBytes: 64MiB, maxAge: 5m, atHour: true }
          - name: local
            type: directory
            path: ./exports-root
      """)

  @Option(help: ArgumentHelp("The configuration file, YAML or JSON.", valueName: "file")) var config: String
  @Option(help: ArgumentHelp("The log's directory, instead of the file's log.path.", valueName: "dir"))
  var log: String?
  @Option(help: ArgumentHelp("Deliver only to this destination; may be repeated.", valueName: "name"))
  var only: [String] = []
  @Flag(help: "Exit when every destination has everything that was durable at the start.") var untilCaughtUp = false
  @Option(
    help: ArgumentHelp(
      "Stop a destination after this many seconds of uninterrupted failures (default: 60).", valueName: "seconds"))
  var giveUpAfter: Double?
  @Option(help: ArgumentHelp("Send one test event to this webhook, and nothing else.", valueName: "name"))
  var test: String?
  @Flag(help: "Report every batch on standard error.") var verbose = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if test != nil, untilCaughtUp || !only.isEmpty {
      throw ValidationError("--test does not deliver the log; leave out --until-caught-up and --only")
    }
    if giveUpAfter != nil, !untilCaughtUp { throw ValidationError("--give-up-after needs --until-caught-up") }
    if let giveUpAfter, !(giveUpAfter >= 0) { throw ValidationError("--give-up-after must not be below 0") }
  }

  func perform() async throws {
    let configuration = try Configuration.read(config)
    if let test {
      let report = try await WebhookTest(try configuration.destination(test, in: config), from: config)
      tell(report.json, report.words)
      return try end(report.status)
    }
    var destinations = configuration.destinations
    for name in only { _ = try configuration.destination(name, in: config) }
    if !only.isEmpty { destinations.removeAll { !only.contains($0.name) } }
    let path = try configuration.path(log, in: config)
    try OpenFiles.reserve(for: destinations, isService: false)
    // Create every sink first: a mistake in the last destination must show before the first one delivers.
    var runs: [DestinationRun] = []
    for destination in destinations {
      runs.append(DestinationRun(destination, sink: try destination.sink(from: config), log: path))
    }
    if let report = try LogAccess.recoverIfNeeded(path, configuration.log), report.outcome != .clean {
      Output.note("penstock deliver: recovered the log first (\(report.outcome.rawValue))")
    }
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    try await DeliverJob(command: self, reader: reader, runs: runs).run()
  }
}
