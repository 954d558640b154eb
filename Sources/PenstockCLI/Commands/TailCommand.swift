import ArgumentParser
import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockSupport
import PenstockToolSupport

struct TailCommand: ReportingCommand {
  static let spokenName = "tail"
  static let configuration = CommandConfiguration(
    commandName: "tail",
    abstract: "Prints records, byte for byte as appended, one per line.",
    discussion: """
      A writer may run at the same time. --to is exclusive. With `event:` positions, exactly the events of that time \
      are printed, wherever they are in the log. A record with line feeds is printed with them. \
      With --json, each record is one line. JSON is embedded unchanged; only line feeds between tokens are removed, \
      with the white space around them. Other text is "recordText", other bytes are "recordBase64".

        penstock tail --log ./events | head
        penstock tail --log ./events --from end --follow
        penstock tail --log ./events --from 2026-11-23T15:00:00Z --to end
        penstock tail --log ./events --from @1431857103 --to 100000
        penstock tail --log ./events --from -24h
        penstock tail --log ./events --from event:yesterday --to event:today
        penstock tail --log ./events --json
        penstock tail --log ./events --follow --where 'event=Goal,Custom_* !segment=Employees'
      """)

  @OptionGroup var logOption: LogOption
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The first record: " + PositionArgument.explanation, valueName: "position"))
  var from = PositionArgument.beginning
  @Option(parsing: .unconditional, help: ArgumentHelp("The end, exclusive; as --from.", valueName: "position"))
  var to: PositionArgument?
  @OptionGroup var untimed: UntimedOption
  @Flag(help: "Wait for new records and print them.") var follow = false
  @Flag(help: "Report lost records and continue after them, instead of failing.") var skipGaps = false
  @Option(name: .customLong("where"), help: EventFilter.optionHelp, transform: EventFilter.option)
  var filter = EventFilter.all
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if follow, to != nil { throw ValidationError("--follow never ends; leave out --to") }
    _ = try untimed.value(from: from, to: to)
  }

  func perform() async throws {
    let reader = try await LogReader.open(at: logOption.log)
    let token = Signals.handle { _ in reader.close() }
    defer { Signals.forget(token) }
    var (start, stop) = (from.position, to?.position ?? .end)
    var choice: EventChoice?
    if from.position.asEventTime != nil || to?.position.asEventTime != nil {
      let window = try reader.window(from: start, to: stop, untimed: untimed.value(from: from, to: to))
      (start, stop) = (.offset(window.first), .offset(window.end))
      choice = window.events.map { EventChoice(window: $0) }
    }
    reading: while true {
      do {
        let batches = reader.records(from: start, to: stop, tailing: follow).batches()
        for try await batch in batches {
          try write(batch, &choice)
          if Signals.received != nil { break reading }
        }
        break
      } catch {
        guard let gap = (error as? LogError)?.gap else { throw error }
        Output.standard.flush()
        guard skipGaps else {
          var failure = Failure(.bad, "gap", gap.description)
          failure.advice = "--skip-gaps continues after it, at offset \(gap.end)"
          throw failure
        }
        Output.note("penstock tail: \(gap)")
        start = .offset(gap.end)
      }
    }
    Output.standard.flush()
    if let choice, choice.untimed > 0 {
      let what = "--untimed \(choice.window.untimed.rawValue)"
      Output.note("penstock tail: \(HumanFormat.count(choice.untimed, "record")) without a readable time; \(what)")
    }
    if Signals.received != nil { try end(Signals.status) }
  }

  /// The window of event times, and the number of records without a readable time.
  private struct EventChoice {
    let window: EventWindow
    var untimed = 0

    mutating func wants(_ record: RecordView) -> Bool {
      let verdict = window.verdict(on: record)
      if !verdict.isTimed { untimed += 1 }
      return verdict.isInside
    }
  }

  private func write(_ batch: Batch, _ choice: inout EventChoice?) throws(Failure) {
    let isSpeakingJSON = common.json
    var refused: Failure?
    Output.standard.edit { output in
      batch.forEachRecord { record in
        guard refused == nil, choice?.wants(record) != false, filter.wants(record, &refused) else { return }
        if isSpeakingJSON {
          output += Array(
            #"{"offset":\#(record.offset),"appendTime":"\#(HumanFormat.time(record.appendTime))","#.utf8)
          RecordLine.appendMember(record.bytes, to: &output)
          output += Array("}\n".utf8)
        } else {
          output.append(contentsOf: record.bytes)
          output.append(UInt8(ascii: "\n"))
        }
      }
    }
    if follow || refused != nil { Output.standard.flush() }
    if let refused { throw refused }
  }
}
