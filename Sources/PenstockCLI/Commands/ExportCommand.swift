import ArgumentParser
import PenstockEvents
import PenstockLog
import PenstockSinks
import PenstockToolSupport

struct ExportCommand: ReportingCommand {
  static let spokenName = "export"
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Writes a part of a log to a file or to standard output.",
    discussion: """
      Reads beside a running writer, up to the end as it is at the start. --to is exclusive. Times are of appends; \
      with `event:` before them exactly the events of these times are exported, wherever they stand. Nothing is \
      remembered: for a copy that continues after a crash, see penstock replay --file.

      --output writes to a new file, which has its name only when all of it is on the disk. A file that is there is \
      never touched without --overwrite. ndjson has one record a line; array is one JSON array.

        penstock export --log ./events --output june.ndjson --from 2026-06-01T00:00:00Z --to 2026-07-01T00:00:00Z
        penstock export --log ./events --output goals.ndjson.zst --where 'event=Goal'
        penstock export --log ./events --from 500 --to 900 --format array --output part.json
        penstock export --log ./events --from event:2026-06-01 --to event:2026-07-01 | jq .event
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable { case ndjson, array }
  enum Compression: String, ExpressibleByArgument, CaseIterable { case none, gzip, zstd }

  @OptionGroup var logOption: LogOption
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The first record, the log's first unless set: " + PositionArgument.explanation, valueName: "place"))
  var from: PositionArgument?
  @Option(parsing: .unconditional, help: ArgumentHelp("Up to this place, and without it.", valueName: "place"))
  var to: PositionArgument?
  @OptionGroup var untimed: UntimedOption
  @Option(name: .customLong("where"), help: EventFilter.optionHelp, transform: EventFilter.option)
  var filter = EventFilter.all
  @Option(
    name: [.short, .long], help: ArgumentHelp("The file to write; without it, standard output.", valueName: "file"))
  var output: String?
  @Option(help: "ndjson: one record a line. array: one JSON array.") var format = Format.ndjson
  @Option(help: "none, gzip or zstd. Default: as the file's name ends, .gz or .zst.") var compression: Compression?
  @Flag(help: "Replace a file that is there.") var overwrite = false
  @Flag(help: "Report lost records and continue after them, instead of ending without a file.") var skipGaps = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if overwrite, output == nil { throw ValidationError("--overwrite needs --output") }
    if output == "" { throw ValidationError("--output needs a file's name") }
  }

  var way: ExportCompression {
    switch compression {
    case .gzip?: return .gzip()
    case .zstd?: return .zstd()
    case Compression.none?: return .none
    case nil:
      if output?.hasSuffix(".gz") == true { return .gzip() }
      return output?.hasSuffix(".zst") == true ? .zstd() : .none
    }
  }

  func perform() async throws { try await ExportJob(self).run() }
}
