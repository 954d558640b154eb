import ArgumentParser
import Foundation
import PenstockLog
import PenstockSinks
import PenstockToolSupport

struct StatusCommand: ReportingCommand {
  static let spokenName = "status"
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Shows a log's size and age, its segments, producers and cursors, and how far behind each cursor is.",
    discussion: """
      Reads only, beside a running writer or without one, and takes no lock. The end is the durable end, as the writer \
      published it. Looks at files and sizes, and into the newest segment, so that it answers at once on a log of any size; \
      --deep walks every block.

      Each cursor has a health: ok, paused (by a person), behind, or losing (to retention's hard cap). --config says for each destination when it is \
      behind, and how the log is retained; without it a cursor is behind when a record waits for more than a minute.

        penstock status --log ./events
        penstock status --log ./events --producers
        penstock status --log ./events --config penstock.yaml
        penstock status --log ./events --deep
        penstock status --log ./events --json
        PENSTOCK_KEY=psk_… penstock status --server https://events.example.com

      --server asks a running service instead of looking at files. The key of a service that wants one is taken from \
      the environment variable PENSTOCK_KEY, or from a file.
      """)

  @Option(help: ArgumentHelp("The log's directory.", valueName: "dir")) var log: String?
  @Option(help: ArgumentHelp("Instead of a log: the address of a running service.", valueName: "url"))
  var server: String?
  @Option(help: ArgumentHelp("With --server: the file that holds the key's token.", valueName: "file"))
  var keyFile: String?
  @Option(
    help: ArgumentHelp("With --server: PEM certificates to believe instead of the system's.", valueName: "file"))
  var ca: String?
  @Flag(help: "Walk the headers of all blocks: blocks and uncompressed bytes of every segment, and what is wrong.")
  var deep = false
  @Option(help: ArgumentHelp("A configuration file, for the thresholds of its destinations.", valueName: "file"))
  var config: String?
  @Flag(help: "List the producers, and the source position of each.") var producers = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (log == nil) != (server == nil) else { throw ValidationError("name one of --log DIR and --server URL") }
    if let server, !ServerStatus.isServer(server) {
      throw ValidationError("--server is \(server); expected an address such as http://127.0.0.1:8080")
    }
    if server == nil, keyFile != nil || ca != nil { throw ValidationError("--key-file and --ca need --server") }
    if server != nil, deep || producers || config != nil {
      throw ValidationError("--deep, --producers and --config look at files; they need --log")
    }
  }

  func perform() async throws {
    if let server {
      var tls = TLSSettings()
      tls.authorities = ca
      let status = try await ServerStatus(server, key: try key(), tls: tls)
      return tell(status.json, status.words)
    }
    if let log { try await look(at: log) }
  }

  /// The token, from where it is in no list of processes.
  private func key() throws -> String? {
    if let keyFile {
      let file = try InputFile(keyFile)
      let text = String(decoding: try file.readAll(limit: 64 << 10), as: UTF8.self)
      return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
    return ProcessInfo.processInfo.environment["PENSTOCK_KEY"].flatMap { $0.isEmpty ? nil : $0 }
  }

  private func look(at log: String) async throws {
    let configuration = try config.map { try Configuration.read($0, needsDestinations: false) }
    let health = await CursorHealth(log, configuration: configuration)
    let report = try StatusReport(log, deep: deep, listsProducers: producers, health: health)
    tell(report.json, report.words)
    if !report.unreadableCursors.isEmpty { try end(.bad) }
  }
}
