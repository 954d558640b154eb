import ArgumentParser
import Foundation
import PenstockLog
import PenstockSinks
import PenstockToolSupport

struct StatusCommand: ReportingCommand {
  static let spokenName = "status"
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Shows a log's size, age, segments, producers and cursors, and the lag of each cursor.",
    discussion: """
      Only reads, and takes no lock; a writer may run at the same time. The end is the durable end that the writer \
      published. Reads file sizes and the newest segment, so it is fast on a log of any size. --deep reads every block \
      header.

      Each cursor has a health: ok, paused, lagging (`behind`), or losing records to retention's hard cap (`losing`). \
      --config sets the thresholds of each destination and the log's retention. Without it, the lag threshold is one \
      minute.

        penstock status --log ./events
        penstock status --log ./events --producers
        penstock status --log ./events --config penstock.yaml
        penstock status --log ./events --deep
        penstock status --log ./events --json
        PENSTOCK_KEY=psk_… penstock status --server https://events.example.com

      --server requests the status of a running service instead of reading files. If the service needs a key, set it \
      in the environment variable PENSTOCK_KEY, or in a file with --key-file.
      """)

  @Option(help: ArgumentHelp("The log's directory.", valueName: "dir")) var log: String?
  @Option(help: ArgumentHelp("Instead of a log: the address of a running service.", valueName: "url"))
  var server: String?
  @Option(help: ArgumentHelp("With --server: a file with the key's token.", valueName: "file"))
  var keyFile: String?
  @Option(
    help: ArgumentHelp("With --server: trusted CA certificates (PEM), instead of the system's.", valueName: "file"))
  var ca: String?
  @Flag(help: "Read all block headers: show blocks, uncompressed bytes and problems of every segment.")
  var deep = false
  @Option(help: ArgumentHelp("A configuration file, for lag thresholds and retention.", valueName: "file"))
  var config: String?
  @Flag(help: "List the producers, each with its source position.") var producers = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (log == nil) != (server == nil) else { throw ValidationError("name one of --log DIR and --server URL") }
    if let server, !ServerStatus.isServer(server) {
      throw ValidationError("--server is \(server); expected an address such as http://127.0.0.1:8080")
    }
    if server == nil, keyFile != nil || ca != nil { throw ValidationError("--key-file and --ca need --server") }
    if server != nil, deep || producers || config != nil {
      throw ValidationError("--deep, --producers and --config need --log")
    }
  }

  func perform() async throws {
    if let server {
      var tls = TLSSettings()
      tls.authorities = ca
      let status = try await ServerStatus(server, key: try key(), tls: tls)
      return tell(status.json, status.words)
    }
    if let log { try await showStatus(of: log) }
  }

  /// The token. It is not a command argument, because other users can see those.
  private func key() throws -> String? {
    if let keyFile {
      let file = try InputFile(keyFile)
      let text = String(decoding: try file.readAll(limit: 64 << 10), as: UTF8.self)
      return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
    return ProcessInfo.processInfo.environment["PENSTOCK_KEY"].flatMap { $0.isEmpty ? nil : $0 }
  }

  private func showStatus(of log: String) async throws {
    let configuration = try config.map { try Configuration.read($0, needsDestinations: false) }
    let health = await CursorHealth(log, configuration: configuration)
    let report = try StatusReport(log, deep: deep, listsProducers: producers, health: health)
    tell(report.json, report.words)
    if !report.unreadableCursors.isEmpty { try end(.bad) }
  }
}
