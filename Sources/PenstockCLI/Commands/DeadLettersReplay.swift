import ArgumentParser
import Logging
import PenstockDelivery
import PenstockLog
import Synchronization

extension DeadLettersCommand {
  struct Replay: ReportingCommand {
    static let spokenName = "deadletters replay"
    static let configuration = CommandConfiguration(
      abstract: "Sends a cursor's dead letters to its destination once more.",
      discussion: """
        Goes on where the last call stopped: what arrived is not sent twice. A letter that is rejected again is passed and \
        told, stays where it is, and makes the exit code 1; --all begins at the oldest letter. Letters are not removed by it. \
        Webhooks carry the header webhook-replay: deadletters, objects lie under replays/deadletters/, named by the letters' \
        numbers.

          penstock deadletters replay webhook --config penstock.yaml
          penstock deadletters replay webhook --config penstock.yaml --to other-webhook --all
        """)
    @Argument(help: "The cursor whose letters are sent.") var name: String
    @Option(help: ArgumentHelp("The configuration file, YAML or JSON.", valueName: "file")) var config: String
    @Option(help: ArgumentHelp("The log's directory, instead of the file's log.path.", valueName: "dir"))
    var log: String?
    @Option(help: ArgumentHelp("Another destination than the cursor's own.", valueName: "name")) var to: String?
    @Flag(help: "Begin again at the oldest letter.") var all = false
    @Option(help: ArgumentHelp("How long failures in a row may last before the run ends.", valueName: "seconds"))
    var giveUpAfter = 60.0
    @OptionGroup var common: CommonOptions

    func validate() throws {
      if !(giveUpAfter >= 0) { throw ValidationError("--give-up-after must not be below 0") }
    }

    /// Letters rejected again stay where they are.
    private final class Kept: DeadLetterBox {
      let offsets = Mutex<[Offset]>([])
      func bury(_ letter: DeadLetter) async throws(LogError) -> Offset {
        offsets.withLock { $0.append(letter.offset) }
        Output.note("penstock deadletters replay: dead letter \(letter.offset) was rejected again: \(letter.reason)")
        return letter.offset
      }
    }

    func perform() async throws {
      let configuration = try Configuration.read(config)
      let path = try configuration.path(log, in: config)
      let destination = try configuration.destination(to ?? name, in: config)
      let letters = try DeadLettersCommand.letters(of: path)
      guard let source = try await letters.source(of: name) else {
        let cursors = try letters.cursors()
        throw Failure(
          .bad, "noDeadLetters", "cursor \(name) has no dead letters",
          advice: cursors.isEmpty ? "no cursor has any" : "there are some of \(cursors.joined(separator: ", "))")
      }
      defer { source.close() }
      // A place for each destination: what one of them has got, another has not.
      let cursor = try await source.cursor(named: destination.name)
      if all { try await cursor.seek(to: .beginning) }
      var retry = destination.delivery.retry
      retry.giveUpAfter = .seconds(giveUpAfter)
      let kept = Kept()
      let delivery = Delivery(
        from: cursor, source: source, to: try destination.sink(replay: "deadletters", from: config),
        policy: destination.policy, retry: retry, options: destination.delivery.options, deadLetters: kept,
        logger: Logger(label: "penstock") { _ in SwiftLogNoOpLogHandler() })
      let token = Interruption.handle { _ in delivery.stop() }
      defer { Interruption.forget(token) }
      let report = try await delivery.run(untilCaughtUpWith: nil)
      let progress = await delivery.progress
      let rejected = kept.offsets.withLock { $0 }
      tell(
        .object([
          ("cursor", .string(name)), ("destination", .string(destination.name)),
          ("delivered", .number(progress.records)), ("rejected", .array(rejected.map { .number($0.rawValue) })),
          ("ended", .string(report.ending.rawValue)),
        ]), words(progress, rejected, destination.name))
      if report.ending != .caughtUp { return try end(.interrupted) }
      try end(rejected.isEmpty ? .done : .bad)
    }

    private func words(_ progress: DeliveryProgress, _ rejected: [Offset], _ destination: String) -> String {
      if progress.attempts == 0 {
        return "nothing to do: \(destination) was sent every dead letter of \(name); --all begins at the oldest again"
      }
      let again = rejected.isEmpty ? "" : ", \(rejected.count) rejected again"
      return "\(Words.count(progress.records, "dead letter")) of \(name) delivered to \(destination)\(again)"
    }
  }
}
