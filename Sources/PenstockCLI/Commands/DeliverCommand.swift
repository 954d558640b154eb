import ArgumentParser
import PenstockDelivery
import PenstockLog
import PenstockToolSupport

struct DeliverCommand: ReportingCommand {
  static let spokenName = "deliver"
  static let configuration = CommandConfiguration(
    commandName: "deliver",
    abstract: "Delivers a log to its destinations.",
    discussion: """
      Reads a configuration file (YAML or JSON), and delivers to each destination from a durable cursor of the \
      destination's name, beside a running writer or without one. Runs until SIGTERM or SIGINT; with --until-caught-up, \
      until every destination has committed the log's durable end as it was at the start.

      A destination in trouble holds up no other. With --until-caught-up, one that refuses, rejects or holds something \
      else ends with exit code 1, one that cannot be reached with 3; what is not delivered is the first thing the next run \
      does, under the same ids and with the same bytes.

        penstock deliver --config penstock.yaml
        penstock deliver --config penstock.yaml --until-caught-up
        penstock deliver --config penstock.yaml --only archive --until-caught-up
        penstock deliver --config penstock.yaml --test webhook

      --test sends one invented event, marked with the header webhook-test, to one webhook, and tells how it was answered; \
      the log is not touched. Records that a webhook rejects, or that cannot be rendered for it, become dead letters beside \
      the log (`onRejected: halt` switches that off); see penstock deadletters.

      A file:

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
  @Option(help: ArgumentHelp("The log's directory, instead of the file's log.path.", valueName: "dir")) var log: String?
  @Option(help: ArgumentHelp("Deliver to these destinations alone; may be repeated.", valueName: "name"))
  var only: [String] = []
  @Flag(help: "End when every destination has what was durable at the start.") var untilCaughtUp = false
  @Option(
    help: ArgumentHelp("How long failures in a row may last before a destination is given up.", valueName: "seconds"))
  var giveUpAfter: Double?
  @Option(help: ArgumentHelp("Send one test event to this webhook, and nothing else.", valueName: "name")) var test:
    String?
  @Flag(help: "Tell about every batch on standard error.") var verbose = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if test != nil, untilCaughtUp || !only.isEmpty {
      throw ValidationError("--test sends nothing of the log; leave out --until-caught-up and --only")
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
    // Before anything is delivered, so that a mistake in the last one does not show halfway.
    var lanes: [DestinationRun] = []
    for destination in destinations {
      lanes.append(DestinationRun(destination, sink: try destination.sink(from: config), log: path))
    }
    if let report = try LogAccess.recoverIfNeeded(path, configuration.log), report.outcome != .clean {
      Output.note("penstock deliver: recovered the log first (\(report.outcome.rawValue))")
    }
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    try await DeliverJob(command: self, reader: reader, lanes: lanes).run()
  }
}
