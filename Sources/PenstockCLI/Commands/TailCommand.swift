import ArgumentParser
import PenstockEvents
import PenstockLog

struct TailCommand: ReportingCommand {
  static let spokenName = "tail"
  static let configuration = CommandConfiguration(
    commandName: "tail",
    abstract: "Prints records, byte for byte as they were appended, one a line.",
    discussion: """
      Reads beside a running writer. --to is exclusive. A record that contains line feeds is printed with them. \
      With --json each record is one line: JSON stands in it as it is, without the white space between tokens where \
      that holds a line feed; text that is no JSON as "recordText", other bytes as "recordBase64".

        penstock tail --log ./events | head
        penstock tail --log ./events --from end --follow
        penstock tail --log ./events --from 2026-11-23T15:00:00Z --to end
        penstock tail --log ./events --from @1431857103 --to 100000
        penstock tail --log ./events --json
      """)

  @OptionGroup var logOption: LogOption
  @Option(help: ArgumentHelp("Where to begin: " + Place.explanation)) var from = Place.beginning
  @Option(help: "Where to end; as --from.") var to: Place?
  @Flag(help: "Go on with the records to come.") var follow = false
  @Flag(help: "Tell about lost records and go on behind them, instead of ending there.") var skipGaps = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if follow, to != nil { throw ValidationError("--follow goes on for ever; leave out --to") }
  }

  func perform() async throws {
    let reader = try await LogReader.open(at: logOption.log)
    let token = Interruption.handle { _ in reader.close() }
    defer { Interruption.forget(token) }
    var start = from.position
    reading: while true {
      do {
        let batches = reader.records(from: start, to: to?.position ?? .end, tailing: follow).batches()
        for try await batch in batches {
          write(batch)
          if Interruption.received != nil { break reading }
        }
        break
      } catch {
        guard let gap = error.gap else { throw error }
        Output.standard.flush()
        guard skipGaps else {
          var failure = Failure(.bad, "gap", gap.description)
          failure.advice = "--skip-gaps goes on behind it, at offset \(gap.end)"
          throw failure
        }
        Output.note("penstock tail: \(gap)")
        start = .offset(gap.end)
      }
    }
    Output.standard.flush()
    if Interruption.received != nil { try end(Interruption.status) }
  }

  private func write(_ batch: Batch) {
    let isSpeakingJSON = common.json
    Output.standard.edit { output in
      batch.forEachRecord { record in
        if isSpeakingJSON {
          output += Array(
            #"{"offset":\#(record.offset),"appendTime":"\#(Words.time(record.appendTime))","record":"#.utf8)
          output.append(contentsOf: record.bytes)
          output += Array("}\n".utf8)
        } else {
          output.append(contentsOf: record.bytes)
          output.append(UInt8(ascii: "\n"))
        }
      }
    }
    if follow { Output.standard.flush() }
  }
}
