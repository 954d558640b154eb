import ArgumentParser
import PenstockEvents
import PenstockLog
import PenstockSupport
import PenstockToolSupport

struct AppendCommand: ReportingCommand {
  static let spokenName = "append"
  static let configuration = CommandConfiguration(
    commandName: "append",
    abstract: "Appends events to a log, durably.",
    discussion: """
      Reads one event per line (NDJSON), or one JSON array, from a file or standard input. Creates the log if it does \
      not exist. A record is the exact bytes of a line, without the line end.

      A file is validated completely first: bad input appends nothing. Standard input is appended batch by batch as it \
      arrives. On bad input the failing batch is not appended; the message says how many records before it are in the \
      log. Acknowledged records are durable.

        penstock append --log ./events events.ndjson
        zstd -dc events.ndjson.zst | penstock append --log ./events -
        penstock append --log ./events --format array body.json
        penstock append --log ./events --json events.ndjson
        penstock append --log ./events --producer import events.ndjson
        penstock append --log ./events --max-age 30d --max-bytes 200GiB events.ndjson
        penstock append --log ./events --config penstock.yaml events.ndjson

      With --producer, the log stores with each batch which file it came from and the position in it. After a crash, \
      or when the file has grown, the same command resumes there and appends nothing twice. \
      A last line without a line feed waits for the next run, or for --final. A replaced file is \
      refused: append the rest of the old file first, then the new file with --reset-producer. Use one name per \
      file.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable { case ndjson, array }
  enum DurabilityOption: String, ExpressibleByArgument, CaseIterable { case disk, kernel }

  @OptionGroup var logOption: LogOption
  @Argument(help: "The file to read; - for standard input.") var file = "-"
  @Option(help: "ndjson: one event per line. array: one JSON array, read into memory (at most 256 MiB).")
  var format = Format.ndjson
  @Option(
    help: """
      disk: acknowledged records survive a power cut. kernel: they survive only a killed process. Default: the value \
      in --config, or disk.
      """)
  var durability: DurabilityOption?
  @Option(help: "Records per batch; a batch is appended completely or not at all. Long records make smaller batches.")
  var batch = 1000
  @Option(help: "A producer name. The log stores the position in FILE under it, so that nothing is appended twice.")
  var producer: String?
  @Flag(
    name: .customLong("reset-producer"),
    help: """
      With --producer: append even if the log may have forgotten this producer. If FILE is a different file than \
      before, append from its start.
      """)
  var resetsProducer = false
  @Flag(name: .customLong("final"), help: "With --producer: FILE is complete; its last line needs no line feed.")
  var isFinal = false
  @Flag(name: .customLong("no-validate"), help: "Append any line as a record, without validating it as a usage event.")
  var skipsValidation = false
  @OptionGroup(title: "Log options") var logOptions: LogOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...100_000).contains(batch) else { throw ValidationError("--batch must be 1 to 100000") }
    if producer != nil, format == .array || file == "-" { throw ValidationError("--producer needs an NDJSON file") }
    if producer == nil, resetsProducer { throw ValidationError("--reset-producer needs --producer") }
    if producer == nil, isFinal { throw ValidationError("--final needs --producer") }
    if format == .array, skipsValidation { throw ValidationError("--no-validate needs --format ndjson") }
  }

  func perform() async throws {
    var configuration = try logOptions.configuration()
    if let durability { configuration.durability = durability == .disk ? .disk : .kernel }
    let input = try InputFile(file, isEvents: true)
    let job = AppendJob(
      command: self, input: input, validator: skipsValidation ? nil : EventValidator(), configuration: configuration,
      reader: Worker(name: "penstock-input"))
    try await job.run()
  }
}
