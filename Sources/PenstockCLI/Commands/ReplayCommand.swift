import ArgumentParser
import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockToolSupport

struct ReplayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Delivers a window of the log again, to a destination or a file; lists and discards replays.",
    discussion: """
      A replay has an id, one window and one destination, all fixed at the start. After a stop or a crash, the same id \
      resumes it. A finished replay sends nothing again. Live deliveries are not affected. Replayed data is marked: \
      webhooks get the header webhook-replay, objects are stored under replays/ID/.

        penstock replay --config c.yaml --to web --id june --from 500 --until end
        penstock replay --config c.yaml --to web --id june
        penstock replay --config c.yaml --to web --id may --from event:2026-05-01 --until event:2026-06-01
        penstock replay --log ./events --file f --id x --from 0 --until 9 --dry-run
        penstock replay list --log ./events
        penstock replay discard june --log ./events --yes
        penstock replay run --help                      all options
      """,
    subcommands: [Run.self, List.self, Discard.self], defaultSubcommand: Run.self)

  struct Run: ReportingCommand {
    static let spokenName = "replay"
    static let configuration = CommandConfiguration(
      abstract: "Starts or resumes a replay (default subcommand).",
      discussion: """
        Lost records stop the run, after everything before them is delivered; the exit code is 1, and the error names \
        their range. --skip-gaps skips them. With `event:` positions, exactly the events of that time are delivered, \
        wherever they are in the log. The rate is stored: a resumed replay keeps it unless you set a new one. A \
        rejected record stops the run: replays write no dead letters.

          penstock replay run --config penstock.yaml --to webhook --id june --from 120000 --until 130000
        """)

    @Option(help: ArgumentHelp("The configuration file, YAML or JSON.", valueName: "file")) var config: String?
    @Option(help: ArgumentHelp("The log's directory, instead of the file's log.path.", valueName: "dir"))
    var log: String?
    @Option(help: ArgumentHelp("A destination of the configuration file.", valueName: "name")) var to: String?
    @Option(help: ArgumentHelp("Instead of a destination: write to this file, one event per line.", valueName: "path"))
    var file: String?
    @Option(help: "The replay's name: 1 to 40 letters, digits, '.', '_' or '-'.") var id: String?
    @Option(
      parsing: .unconditional,
      help: ArgumentHelp("The first record: " + PositionArgument.explanation, valueName: "position"))
    var from: PositionArgument?
    @Option(parsing: .unconditional, help: ArgumentHelp("The end, exclusive.", valueName: "position"))
    var until: PositionArgument?
    @OptionGroup var untimed: UntimedOption
    @Option(help: ArgumentHelp("Maximum records per second.", valueName: "count")) var recordsPerSecond: Int?
    @Option(help: ArgumentHelp("Maximum bytes per second: 1MiB, 65536.", valueName: "size"))
    var bytesPerSecond: String?
    @Flag(help: "Skip lost records, and count them.") var skipGaps = false
    @Flag(help: "Print what the replay would send; send and write nothing.") var dryRun = false
    @Option(
      help: ArgumentHelp("Stop after this many seconds of uninterrupted failures.", valueName: "seconds"))
    var giveUpAfter = 60.0
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (to == nil) != (file == nil) else { throw ValidationError("name one of --to DESTINATION and --file PATH") }
      if to != nil, config == nil { throw ValidationError("--to needs --config, the file that has the destination") }
      if log == nil, config == nil { throw ValidationError("name the log with --log or --config") }
      if id == nil, !dryRun {
        throw ValidationError("a replay needs --id; the same id resumes it after a stop or a crash")
      }
      if (from == nil) != (until == nil) { throw ValidationError("--from and --until need each other") }
      _ = try untimed.value(from: from, to: until)
      if let recordsPerSecond, recordsPerSecond < 1 { throw ValidationError("--records-per-second must be above 0") }
      _ = try rate
      if !(giveUpAfter >= 0) { throw ValidationError("--give-up-after must not be below 0") }
    }

    /// The new rate; nil keeps the stored one.
    var rate: DeliveryRate? {
      get throws {
        if recordsPerSecond == nil, bytesPerSecond == nil { return nil }
        var bytes: Int?
        if let bytesPerSecond {
          bytes = Units.bytes(bytesPerSecond)
          if bytes.map({ $0 < 1 }) ?? true {
            throw ValidationError("--bytes-per-second is \(bytesPerSecond); expected a size such as 1MiB or 65536")
          }
        }
        return DeliveryRate(
          recordsPerSecond: recordsPerSecond.map { Double($0) }, bytesPerSecond: bytes.map { Double($0) })
      }
    }

    func perform() async throws { try await ReplayJob(self).run() }
  }

  struct List: ReportingCommand {
    static let spokenName = "replay list"
    static let configuration = CommandConfiguration(
      abstract: "Lists the replays of a log, finished and unfinished.",
      discussion: "  penstock replay list --log ./events")
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      defer { reader.close() }
      let (replays, unreadable) = try await ReplayLine.all(reader)
      tell(
        .object([
          ("replays", .array(replays.map(\.json))),
          (
            "unreadable",
            .array(unreadable.map { .object([("id", .string($0.id)), ("error", .string($0.problem))]) })
          ),
        ]),
        ([ReplayLine.table(replays)] + unreadable.map { "replay \($0.id) cannot be read: \($0.problem)" })
          .joined(separator: "\n"))
      if !unreadable.isEmpty { try end(.bad) }
    }
  }

  struct Discard: ReportingCommand {
    static let spokenName = "replay discard"
    static let configuration = CommandConfiguration(
      abstract: "Deletes a replay and its position. Its id can then be used again, and would send everything again.",
      discussion: """
        An unfinished replay keeps retention from deleting the records that it still needs. Discarding it ends that. \
        Without --yes, prints what would happen.

          penstock replay discard june --log ./events --yes
        """)
    @Argument(help: "The replay's id.") var id: String
    @OptionGroup var confirmation: ConfirmOption
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      defer { reader.close() }
      let replays = try await ReplayLine.all(reader).lines
      guard let found = replays.first(where: { $0.manifest.id == id }) else {
        let near = Spelling.nearest(to: id, among: replays.map(\.manifest.id)).map { "did you mean \($0)?" }
        throw Failure(.bad, "unknown", "the log has no replay \(id)", advice: near)
      }
      try confirmation.require(
        "replay \(id) to \(found.manifest.destination) (\(found.state)) would be discarded; its id would be free again")
      try await Replay.discard(id, in: reader)
      tell(.object([("discarded", .string(id))]), "replay \(id) discarded")
    }
  }
}
