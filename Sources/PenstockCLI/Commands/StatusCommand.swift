import ArgumentParser
import PenstockLog

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
      """)

  @OptionGroup var logOption: LogOption
  @Flag(help: "Walk the headers of all blocks: blocks and uncompressed bytes of every segment, and what is wrong.")
  var deep = false
  @Option(help: ArgumentHelp("A configuration file, for the thresholds of its destinations.", valueName: "file"))
  var config: String?
  @Flag(help: "List the producers, and the source position of each.") var producers = false
  @OptionGroup var common: CommonOptions

  func perform() async throws {
    let configuration = try config.map { try Configuration.read($0, needsDestinations: false) }
    let health = await CursorHealth(logOption.log, configuration: configuration)
    let report = try StatusReport(logOption.log, deep: deep, listsProducers: producers, health: health)
    tell(report.json, report.words)
    if !report.unreadableCursors.isEmpty { try end(.bad) }
  }
}
