import ArgumentParser
import Foundation
import Logging
import PenstockLog
import PenstockServer
import PenstockSupport
import PenstockToolSupport
import ServiceLifecycle

struct ServeCommand: ReportingCommand {
  static let spokenName = "serve"
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Ingests events over HTTP, delivers them, and serves an admin API and console.",
    discussion: """
      Reads a configuration file (YAML or JSON), opens the log for writing, listens, and delivers to every \
      destination. SIGTERM or SIGINT stops it: it accepts nothing new, answers open requests, finishes attempts in \
      flight, then syncs and closes the log. SIGHUP reloads keys and limits; all other changes need a restart.

        penstock serve --config penstock.yaml
        curl -H 'Content-Type: application/json' \
      -d '{"event":"Home Page","ts":1630476856}' http://127.0.0.1:8080/v1/events
        curl http://127.0.0.1:8080/v1/status

      The console is at http://127.0.0.1:8080/.

      An example configuration:

        log: { path: ./events }
        server:
          listen: 127.0.0.1:8080
          keysFile: ./keys.json

      Without a keysFile, no key is needed, and the service listens only on a loopback address. With a keysFile, \
      create the first key with `penstock keys create`.
      """)

  @Option(help: ArgumentHelp("The configuration file, YAML or JSON.", valueName: "file")) var config: String
  @Option(help: ArgumentHelp("The log's directory, instead of the file's log.path.", valueName: "dir"))
  var log: String?
  @Option(help: ArgumentHelp("The address, instead of the file's server.listen.", valueName: "host:port"))
  var listen: String?
  @Option(
    help: ArgumentHelp(
      "The format of log messages on standard error, instead of the file's server.logFormat.",
      valueName: "text|json"))
  var logFormat: LogFormat?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let listen, ListenAddress(listen) == nil {
      throw ValidationError("--listen must be host:port, such as 127.0.0.1:8080")
    }
  }

  func perform() async throws {
    var configuration = try Configuration.read(config, needsDestinations: false)
    let path = try configuration.path(log, in: config)
    var server = configuration.server
    if let address = listen.flatMap(ListenAddress.init) { (server.host, server.port) = (address.host, address.port) }
    server.configurationFile = config
    let format = logFormat ?? configuration.logFormat
    let logger = format.logger
    try OpenFiles.reserve(for: configuration.destinations, isService: true)
    let destinations = configuration.destinations
    configuration.destinations = []
    let service = try await open(path, configuration.log, server, destinations, logger)
    if service.recovery.outcome != .clean, service.recovery.outcome != .created {
      Self.tell("opening the log recovered it (\(service.recovery.outcome.rawValue))", format, logger)
    }
    ConfigReload.handle { [config] in Self.tell(Self.reload(service, config), format, logger) }
    try await serve(service, "\(server.host):\(server.port)")
    try end(Signals.status)
  }

  private func open(
    _ path: String, _ log: LogConfiguration, _ server: ServiceConfiguration,
    _ destinations: [Configuration.Destination], _ logger: Logger
  ) async throws -> PenstockService {
    var served: [ServiceDestination] = []
    for destination in destinations {
      served.append(try await destination.served(from: config, log: path, logger: logger))
    }
    do {
      return try await PenstockService.open(
        log: path, log, server, destinations: served, environment: ServiceEnvironment(logger: logger)
      ) { [common] port in
        let url = ListenAddress.url(server.host, port, isSecure: server.tls != nil)
        Output.standard.line(
          common.json
            ? JSON.object([("listening", .string(url))]).text : "listening on \(url); stop with SIGTERM or Ctrl-C")
      }
    } catch let error as ServiceError {
      throw Failure(.usage, "configuration", "\(config): \(error.message)")
    } catch let error as KeyStoreError {
      throw Failure(.cannot, "keys", error.message)
    }
  }

  private func serve(_ service: PenstockService, _ address: String) async throws {
    let quiet = Logger(label: "penstock") { _ in SwiftLogNoOpLogHandler() }
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [.init(service: service, successTerminationBehavior: .ignore)], logger: quiet))
    let token = Signals.handle { _ in Task { await group.triggerGracefulShutdown() } }
    defer { Signals.forget(token) }
    do {
      try await group.run()
    } catch let error as LogError {
      throw error
    } catch let error as ServiceError {
      throw Failure(.cannot, "service", error.message)
    } catch {
      throw Failure(.cannot, "service", "cannot listen on \(address): \(listenFailureText(error))")
    }
  }

  /// Reloads keys and limits. On an error nothing changes.
  private static func reload(_ service: PenstockService, _ config: String) -> String {
    do {
      try service.reload(try Configuration.read(config, needsDestinations: false).server.limits)
      return "keys and limits reloaded"
    } catch {
      return "reload failed, nothing changed: \(Failure(error).message)"
    }
  }

  /// As text, with the command's name as every command prints it; as JSON, like all other log messages.
  private static func tell(_ text: String, _ format: LogFormat, _ logger: Logger) {
    switch format {
    case .text: Output.note("penstock serve: \(text)")
    case .json: logger.notice("\(text)")
    }
  }
}
