import ArgumentParser
import PenstockEvents
import PenstockLog
import PenstockToolSupport

struct AppendCommand: ReportingCommand {
  static let spokenName = "append"
  static let configuration = CommandConfiguration(
    commandName: "append",
    abstract: "Appends events to a log, durably.",
    discussion: """
      Reads one event a line (NDJSON), or one JSON array, from a file or from standard input. The log is made if there is \
      none. A record is a line's bytes as they came, without the line's end.

      A file is checked as a whole first, so that bad input appends nothing at all. Standard input is appended batch by \
      batch as it arrives; on bad input the batch at fault is left out, and the message says how many records before it \
      are in the log. What is acknowledged is durable.

        penstock append --log ./events events.ndjson
        zstd -dc events.ndjson.zst | penstock append --log ./events -
        penstock append --log ./events --format array body.json
        penstock append --log ./events --json events.ndjson
        penstock append --log ./events --producer import events.ndjson
        penstock append --log ./events --max-age 30d --max-bytes 200GiB events.ndjson
        penstock append --log ./events --config penstock.yaml events.ndjson

      With --producer the log remembers, with each batch, how far in the file it came and which file it was. After a \
      crash, or when the file has grown, the same command goes on where the last one stopped and appends nothing twice. \
      Only whole lines count: a last line without a line feed waits for the next run, or for --final. A file that was \
      replaced is refused: append the rest of the old one first, then the new one with --reset-producer. Use one name for \
      each file.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable { case ndjson, array }
  enum DurabilityOption: String, ExpressibleByArgument, CaseIterable { case disk, kernel }

  @OptionGroup var logOption: LogOption
  @Argument(help: "The file to read; - for standard input.") var file = "-"
  @Option(help: "ndjson: one event a line. array: one JSON array, read whole (at most 256 MiB).") var format = Format
    .ndjson
  @Option(
    help: """
      disk: acknowledged records survive a power cut. kernel: they survive a killed process only. Default: as --config says, \
      or disk.
      """)
  var durability: DurabilityOption?
  @Option(help: "Records appended at once, all or nothing; fewer where they are long.") var batch = 1000
  @Option(help: "A name under which the log remembers how far in FILE it came, so that nothing is appended twice.")
  var producer: String?
  @Flag(
    name: .customLong("reset-producer"),
    help: """
      With --producer: go on although the log may have forgotten the name; begin at the start of FILE if it is \
      another file than before.
      """)
  var startsAnew = false
  @Flag(name: .customLong("final"), help: "With --producer: FILE is complete, so its last line needs no line feed.")
  var isFinal = false
  @Flag(name: .customLong("no-validate"), help: "Take any line as a record, without checking that it is a usage event.")
  var takesAnything = false
  @OptionGroup(title: "How the log is opened") var knobs: LogOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...100_000).contains(batch) else { throw ValidationError("--batch must be 1 to 100000") }
    if producer != nil, format == .array || file == "-" { throw ValidationError("--producer needs a file of NDJSON") }
    if producer == nil, startsAnew { throw ValidationError("--reset-producer needs --producer") }
    if producer == nil, isFinal { throw ValidationError("--final needs --producer") }
    if format == .array, takesAnything { throw ValidationError("--no-validate needs --format ndjson") }
  }

  func perform() async throws {
    var configuration = try knobs.configuration()
    if let durability { configuration.durability = durability == .disk ? .disk : .kernel }
    let input = try InputFile(file, isEvents: true)
    let job = AppendJob(
      command: self, input: input, validator: takesAnything ? nil : EventValidator(), configuration: configuration,
      reader: Worker(name: "penstock-input"))
    try await job.run()
  }
}
