import ArgumentParser
import Logging
import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension DeadLettersCommand {
  struct Replay: ReportingCommand {
    static let spokenName = "deadletters replay"
    static let configuration = CommandConfiguration(
      abstract: "Redelivers a cursor's dead letters to its destination.",
      discussion: """
        Resumes where the last run stopped: a delivered letter is not sent twice. A letter that is rejected again is \
        reported and skipped, and the exit code is 1. --all starts at the oldest letter. --letter sends only one \
        letter. Letters are never deleted. \
        Webhooks get the header webhook-replay: deadletters. Objects are stored under replays/deadletters/, named by \
        the letters' numbers. With --letter 7 the name is deadletters.7.

          penstock deadletters replay webhook --config penstock.yaml
          penstock deadletters replay webhook --config penstock.yaml --to other-webhook --all
        """)
    @Argument(help: "The cursor whose letters are sent.") var name: String
    @Option(help: ArgumentHelp("The configuration file, YAML or JSON.", valueName: "file")) var config: String
    @Option(help: ArgumentHelp("The log's directory, instead of the file's log.path.", valueName: "dir"))
    var log: String?
    @Option(help: ArgumentHelp("A destination other than the cursor's own.", valueName: "name")) var to: String?
    @Flag(help: "Start at the oldest letter.") var all = false
    @Option(help: ArgumentHelp("Send only the letter with this number.", valueName: "number")) var letter: UInt64?
    @Option(help: ArgumentHelp("Stop after this many seconds of uninterrupted failures.", valueName: "seconds"))
    var giveUpAfter = 60.0
    @OptionGroup var common: CommonOptions

    func validate() throws {
      if all, letter != nil { throw ValidationError("--all and --letter exclude each other") }
      if !(giveUpAfter >= 0) { throw ValidationError("--give-up-after must not be below 0") }
    }

    func perform() async throws {
      let configuration = try Configuration.read(config)
      let path = try configuration.path(log, in: config)
      let destination = try configuration.destination(to ?? name, in: config)
      let letters = try DeadLettersCommand.letters(of: path)
      let cursors = try letters.cursors()
      guard cursors.contains(name) else {
        throw Failure(
          .bad, "noDeadLetters", "cursor \(name) has no dead letters",
          advice: cursors.isEmpty
            ? "no cursor has dead letters" : "cursors with dead letters: \(cursors.joined(separator: ", "))")
      }
      var options = destination.options
      options.retry.giveUpAfter = .seconds(giveUpAfter)
      let scope: RedeliveryScope = letter.map { .one(Offset($0)) } ?? (all ? .all : .remaining)
      if let letter, try await letters.letter(Offset(letter), of: name) == nil {
        throw Failure(.bad, "unknownDeadLetter", "cursor \(name) has no dead letter \(letter)")
      }
      let redelivery = Redelivery(
        RedeliverySettings(scope, of: name, to: destination.name, options: options), in: letters,
        to: try destination.sink(replay: scope.mark, from: config),
        environment: DeliveryEnvironment(logger: Logger(label: "penstock") { _ in SwiftLogNoOpLogHandler() })
      ) {
        Output.note("penstock deadletters replay: dead letter \($0.number) was rejected again: \($0.reason)")
      }
      let token = Signals.handle { _ in redelivery.stop() }
      defer { Signals.forget(token) }
      let report = try await redelivery.run()
      tell(
        .object([
          ("cursor", .string(name)), ("destination", .string(destination.name)),
          ("delivered", .number(report.delivered)),
          ("rejected", .array(report.rejected.map { .number($0.number.rawValue) })),
          ("ended", .optional(report.ending?.rawValue)),
        ]), words(report, destination.name))
      if report.ending != .caughtUp { return try end(.interrupted) }
      try end(report.rejected.isEmpty ? .done : .bad)
    }

    private func words(_ report: RedeliveryReport, _ destination: String) -> String {
      if report.attempts == 0 {
        return "nothing to do: \(destination) already has every dead letter of \(name); --all starts at the oldest"
      }
      let again = report.rejected.isEmpty ? "" : ", \(report.rejected.count) rejected again"
      return "\(HumanFormat.count(report.delivered, "dead letter")) of \(name) delivered to \(destination)\(again)"
    }
  }
}
