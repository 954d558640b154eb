import ArgumentParser
import PenstockDelivery
import PenstockLog

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
  @Flag(help: "Tell about every batch on standard error.") var verbose = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if giveUpAfter != nil, !untilCaughtUp { throw ValidationError("--give-up-after needs --until-caught-up") }
    if let giveUpAfter, !(giveUpAfter >= 0) { throw ValidationError("--give-up-after must not be below 0") }
  }

  func perform() async throws {
    let configuration = try Configuration.read(config)
    var destinations = configuration.destinations
    for name in only where !destinations.contains(where: { $0.name == name }) {
      let names = destinations.map(\.name).joined(separator: ", ")
      throw Failure(.usage, "configuration", "\(config) has no destination \(name); it has \(names)")
    }
    if !only.isEmpty { destinations.removeAll { !only.contains($0.name) } }
    guard let path = log ?? configuration.logPath else {
      throw Failure(.usage, "configuration", "\(config) says no log.path; name the log with --log")
    }
    // Before anything is delivered, so that a mistake in the last one does not show halfway.
    var lanes: [DeliveryLane] = []
    for destination in destinations {
      do {
        lanes.append(DeliveryLane(destination, sink: try destination.makeSink()))
      } catch {
        throw Failure(.usage, "configuration", "\(config): the destination \(destination.name): \(error.message)")
      }
    }
    if let report = try await LogAccess.recoverIfNeeded(path, configuration.log), report.outcome != .clean {
      Output.note("penstock deliver: recovered the log first (\(report.outcome.rawValue))")
    }
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    try await DeliverJob(command: self, reader: reader, lanes: lanes).run()
  }
}
