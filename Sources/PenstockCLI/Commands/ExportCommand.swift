import ArgumentParser
import PenstockEvents
import PenstockLog
import PenstockSinks
import PenstockSupport
import PenstockToolSupport

struct ExportCommand: ReportingCommand {
  static let spokenName = "export"
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Writes part of a log to a file or to standard output.",
    discussion: """
      A writer may run at the same time. The export ends at the durable end at the start. --to is exclusive. Times \
      are append times; with `event:` before them, exactly the events of these times are exported, wherever they are \
      in the log. An export cannot be resumed; for that, see penstock replay --file.

      --output writes a new file. The file gets its name only when all of it is durable. An existing file is never \
      changed without --overwrite. ndjson has one record per line; array is one JSON array.

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
      "The first record; the log's first by default: " + PositionArgument.explanation, valueName: "position"))
  var from: PositionArgument?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The end, exclusive; the log's end by default.", valueName: "position"))
  var to: PositionArgument?
  @OptionGroup var untimed: UntimedOption
  @Option(name: .customLong("where"), help: EventFilter.optionHelp, transform: EventFilter.option)
  var filter = EventFilter.all
  @Option(
    name: [.short, .long], help: ArgumentHelp("The file to write; standard output by default.", valueName: "file"))
  var output: String?
  @Option(help: "ndjson: one record per line. array: one JSON array.") var format = Format.ndjson
  @Option(help: "none, gzip or zstd. Default: by the file's name, .gz or .zst.") var compression: Compression?
  @Flag(help: "Replace an existing file.") var overwrite = false
  @Flag(help: "Report lost records and continue after them, instead of failing without a file.") var skipGaps = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if overwrite, output == nil { throw ValidationError("--overwrite needs --output") }
    if output == "" { throw ValidationError("--output needs a file name") }
  }

  var exportCompression: ExportCompression {
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
