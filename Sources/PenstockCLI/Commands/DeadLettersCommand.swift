import ArgumentParser
import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockToolSupport

struct DeadLettersCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deadletters",
    abstract: "Lists, shows and redelivers the records that destinations rejected.",
    discussion: """
      A record becomes a dead letter when the destination rejects it alone, or when it cannot be rendered. It is \
      stored next to the log, in LOG.deadletters/CURSOR, with the reason and its bytes. Delivery then continues after \
      it.

        penstock deadletters list --log ./events
        penstock deadletters list webhook --log ./events
        penstock deadletters show webhook 0 --log ./events
        penstock deadletters replay webhook --config penstock.yaml
      """,
    subcommands: [List.self, Show.self, Replay.self])

  struct List: ReportingCommand {
    static let spokenName = "deadletters list"
    static let configuration = CommandConfiguration(
      abstract: "Lists the cursors that have dead letters, or the dead letters of one cursor.",
      discussion: """
          penstock deadletters list --log ./events
          penstock deadletters list webhook --from 100 --limit 50 --log ./events
        """)
    @Argument(help: "The cursor; all cursors by default.") var name: String?
    @Option(help: ArgumentHelp("The number of the first dead letter to list.", valueName: "number"))
    var from: UInt64 = 0
    @Option(help: "Maximum number to list.") var limit = 100
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func validate() throws {
      if limit < 1 { throw ValidationError("--limit must be above 0") }
    }

    func perform() async throws {
      let letters = try DeadLettersCommand.letters(of: logOption.log)
      guard let name else { return try await listCursors(letters) }
      let found = try await letters.list(of: name, from: Offset(from), limit: limit)
      let count = try await letters.count(of: name)
      tell(
        .object([
          ("cursor", .string(name)), ("count", .number(count)),
          ("deadLetters", .array(found.map { DeadLetterFormat($0.number, $0.letter).json })),
        ]),
        count == 0 ? "cursor \(name) has no dead letters" : DeadLetterFormat.table(found, of: count))
    }

    private func listCursors(_ letters: DeadLetters) async throws {
      var rows: [(name: String, count: Int)] = []
      for name in try letters.cursors() { rows.append((name, try await letters.count(of: name))) }
      let table = HumanFormat.table(
        [["cursor", "dead letters"]] + rows.map { [$0.name, HumanFormat.count($0.count)] }, right: [1])
      tell(
        .object([
          (
            "cursors",
            .array(rows.map { .object([("name", .string($0.name)), ("count", .number($0.count))]) })
          )
        ]), rows.isEmpty ? "no dead letters" : table)
    }
  }

  struct Show: ReportingCommand {
    static let spokenName = "deadletters show"
    static let configuration = CommandConfiguration(
      abstract: "Shows one dead letter: the reason, the attempts, its offset in the log, and its bytes.",
      discussion: """
          penstock deadletters show webhook 0 --log ./events
          penstock deadletters show webhook 0 --log ./events --raw > record.json
        """)
    @Argument(help: "The cursor.") var name: String
    @Argument(help: "The dead letter's number, as `list` shows it.") var number: UInt64
    @Flag(help: "Print only the record's bytes, unchanged.") var raw = false
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func validate() throws {
      if raw, common.json { throw ValidationError("--raw and --json exclude each other") }
    }

    func perform() async throws {
      let letters = try DeadLettersCommand.letters(of: logOption.log)
      guard let letter = try await letters.letter(Offset(number), of: name) else {
        throw Failure(
          .bad, "unknownDeadLetter", "cursor \(name) has no dead letter \(number)",
          advice: "to list them, use penstock deadletters list \(name) --log \(logOption.log)")
      }
      if raw { return Output.standard.edit { $0 += letter.record } }
      let format = DeadLetterFormat(Offset(number), letter)
      tell(format.fullJSON, format.full)
    }
  }

  static func letters(of log: String) throws -> DeadLetters {
    try LogAccess.requireLog(log)
    return DeadLetters(in: LogAccess.deadLetters(of: log))
  }
}
