import ArgumentParser
import Foundation
import Logging
import PenstockServer
import PenstockSinks
import PenstockSupport
import PenstockToolSupport
import ServiceLifecycle

struct ReceiveCommand: ReportingCommand {
  static let spokenName = "receive"
  static let configuration = CommandConfiguration(
    commandName: "receive",
    abstract: "Receives webhooks: verifies them, and stores each batch once.",
    discussion: """
      A reference receiver for tests. It accepts POST, PUT and GET on any path, and identifies a batch by its \
      webhook-id. It writes the events of each batch once, and answers 409 when an id arrives with a different body. \
      With --ledger, a restarted receiver resumes. Stop it with SIGTERM or Ctrl-C.

        penstock receive --listen 127.0.0.1:8080 --out received.ndjson
        PENSTOCK_WEBHOOK_SECRET=whsec_… penstock receive --out in.ndjson
        penstock receive --api-key 'your-api-key=abcdef' --fail 0.1 --delay 20 --json
        penstock receive --reject '"platform":"unknown"'
      """)

  @Option(help: ArgumentHelp("Address and port; port 0 uses a free port.", valueName: "host:port"))
  var listen = "127.0.0.1:0"
  @Option(
    help: """
      A signing secret (Standard Webhooks); may be repeated. Other users can see command arguments, so better set \
      PENSTOCK_WEBHOOK_SECRET.
      """)
  var secret: [String] = []
  @Option(help: ArgumentHelp("A header that every request must have.", valueName: "header=value")) var apiKey: String?
  @Option(help: ArgumentHelp("Write every event once to this file, one per line.", valueName: "file")) var out: String?
  @Option(help: ArgumentHelp("Write one line of JSON for each request to this file.", valueName: "file"))
  var ledger: String?
  @Flag(help: "Sync both files before every answer.") var sync = false
  @Option(help: ArgumentHelp("Answer this share of requests with 500, as a test.", valueName: "0…1")) var fail = 0.0
  @Option(
    help: ArgumentHelp(
      "Answer 422 to requests whose body contains this text, and do not store them; may be repeated.",
      valueName: "text"))
  var reject: [String] = []
  @Option(help: ArgumentHelp("Delay every answer.", valueName: "milliseconds")) var delay = 0
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (0...1).contains(fail) else { throw ValidationError("--fail must be 0 to 1") }
    if reject.contains("") { throw ValidationError("--reject must not be empty") }
    guard (0...600_000).contains(delay) else { throw ValidationError("--delay must be 0 to 600000") }
    guard address != nil else { throw ValidationError("--listen must be host:port, such as 127.0.0.1:8080") }
    if apiKey != nil, key == nil { throw ValidationError("--api-key must be header=value") }
  }

  private var address: (host: String, port: Int)? {
    guard let colon = listen.lastIndex(of: ":"), let port = UInt16(listen[listen.index(after: colon)...]) else {
      return nil
    }
    let host = listen[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
    return host.isEmpty ? nil : (host, Int(port))
  }

  private var key: WebhookConfiguration.Header? {
    guard let apiKey, let equals = apiKey.firstIndex(of: "="), equals != apiKey.startIndex else { return nil }
    return .init(String(apiKey[..<equals]), Secret(String(apiKey[apiKey.index(after: equals)...])))
  }

  func perform() async throws {
    guard let (host, port) = address else { return }
    var configuration = ReceiverConfiguration()
    configuration.host = host
    configuration.port = port
    configuration.secrets = secret.map { Secret($0) }
    if let secret = ProcessInfo.processInfo.environment["PENSTOCK_WEBHOOK_SECRET"], !secret.isEmpty {
      configuration.secrets.append(Secret(secret))
    }
    configuration.requiredHeader = key
    configuration.output = out
    configuration.ledger = ledger
    configuration.isSynced = sync
    configuration.failureRate = fail
    configuration.rejected = reject
    configuration.delay = .milliseconds(delay)
    let receiver = try WebhookReceiver(configuration) { [common] port in
      let url = "http://\(host.contains(":") ? "[\(host)]" : host):\(port)"
      Output.standard.line(
        common.json
          ? JSON.object([("listening", .string(url))]).text : "listening on \(url); stop with SIGTERM or Ctrl-C"
      )
    }
    try await serve(receiver)
    let counters = await receiver.counters
    tell(.object([("received", .encoding(counters))]), counters.words)
    try end(Signals.status)
  }

  private func serve(_ receiver: WebhookReceiver) async throws {
    struct Receiving: Service {
      let receiver: WebhookReceiver
      func run() async throws { try await receiver.run() }
    }
    let quiet = Logger(label: "penstock") { _ in SwiftLogNoOpLogHandler() }
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [.init(service: Receiving(receiver: receiver), successTerminationBehavior: .ignore)], logger: quiet))
    let token = Signals.handle { _ in Task { await group.triggerGracefulShutdown() } }
    defer { Signals.forget(token) }
    do {
      try await group.run()
    } catch {
      throw Failure(.cannot, "receiver", "cannot listen on \(listen): \(listenFailureText(error))")
    }
  }
}

extension ReceiverCounters {
  fileprivate var words: String {
    var text =
      "\(HumanFormat.count(rows, "event")) in \(HumanFormat.count(batches)) batches, "
      + HumanFormat.count(requests, "request")
    for (count, name) in [
      (duplicates, "repeated"), (violations, "conflicting"), (unauthorized, "unauthorized"), (malformed, "malformed"),
      (injectedFailures, "failed on purpose"), (rejected, "rejected on purpose"),
    ] where count > 0 {
      text += ", \(HumanFormat.count(count)) \(name)"
    }
    return text
  }
}
