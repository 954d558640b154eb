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

        penstock status --log ./events
        penstock status --log ./events --producers
        penstock status --log ./events --deep
        penstock status --log ./events --json
      """)

  @OptionGroup var logOption: LogOption
  @Flag(help: "Walk the headers of all blocks: blocks and uncompressed bytes of every segment, and what is wrong.")
  var deep = false
  @Flag(help: "List the producers, and the source position of each.") var producers = false
  @OptionGroup var common: CommonOptions

  func perform() async throws {
    let report = try StatusReport(logOption.log, deep: deep, listsProducers: producers)
    tell(report.json, report.words)
  }
}
