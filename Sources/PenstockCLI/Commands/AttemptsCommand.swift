import ArgumentParser
import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockToolSupport

struct AttemptsCommand: ReportingCommand {
  static let spokenName = "attempts"
  static let configuration = CommandConfiguration(
    commandName: "attempts",
    abstract: "Shows the newest attempts at one destination, the newest last.",
    discussion: """
      Reads the attempts that `penstock deliver` stores next to the cursor, also while it runs. The list survives a \
      killed process. The key `attempts` in the configuration file sets its length (100 by default).

        penstock attempts webhook --log ./events
        penstock attempts webhook --log ./events --limit 5 --json
      """)

  @Argument(help: "The cursor.") var name: String
  @Option(help: "Maximum number to list.") var limit = 20
  @OptionGroup var logOption: LogOption
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if limit < 1 { throw ValidationError("--limit must be above 0") }
  }

  func perform() async throws {
    let reader = try await LogReader.open(at: logOption.log)
    defer { reader.close() }
    _ = try CursorCommand.state(name, reader)
    let attempts = AttemptLog.attempts(at: AttemptLog.path(inLog: logOption.log, cursor: name)).suffix(limit)
    tell(.object([("cursor", .string(name)), ("attempts", .array(attempts.map(json)))]), words(Array(attempts)))
  }

  private func json(_ attempt: Attempt) -> JSON {
    .object([
      ("number", .number(attempt.number)), ("time", .string(HumanFormat.time(attempt.time))),
      ("first", .number(attempt.range.lowerBound.rawValue)), ("end", .number(attempt.range.upperBound.rawValue)),
      ("id", .string(attempt.deliveryID.rawValue)), ("attempt", .number(attempt.attempt)),
      ("outcome", .string(attempt.outcome.description)), ("milliseconds", .number(Double(attempt.nanoseconds) / 1e6)),
      ("bytes", .number(attempt.bodyBytes)), ("words", .string(attempt.words)),
    ])
  }

  private func words(_ attempts: [Attempt]) -> String {
    if attempts.isEmpty { return "cursor \(name) has no recorded attempts" }
    var rows = [["time", "records", "attempt", "outcome", "took", "bytes", "answer"]]
    for attempt in attempts {
      rows.append([
        HumanFormat.time(attempt.time), "\(attempt.range.lowerBound) ..< \(attempt.range.upperBound)",
        "\(attempt.attempt)",
        attempt.outcome.description, HumanFormat.seconds(Double(attempt.nanoseconds) / 1e9),
        HumanFormat.bytes(attempt.bodyBytes),
        attempt.words.split(whereSeparator: \.isNewline).joined(separator: " "),
      ])
    }
    return HumanFormat.table(rows, right: [2, 4, 5])
  }
}
