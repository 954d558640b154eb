import ArgumentParser
import Foundation
import PenstockToolSupport

/// The command line.
///
/// Exit codes: 0 done, 1 the input or the thing checked is bad, 2 wrong use, 3 cannot (lock held, no permission, no disk,
/// unreachable), 130 interrupted.
@main
struct Penstock: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "penstock",
    abstract: "A durable event log that feeds webhooks and S3.",
    discussion: """
      A log is a directory. Append events to it, read them, deliver them to destinations; each destination has a \
      durable place of its own.

        penstock demo                                   see it work
        penstock append --log ./events events.ndjson    take events in, durably
        penstock tail --log ./events --follow           watch them, byte for byte
        penstock deliver --config penstock.yaml         send them on

      Every command explains itself with --help and speaks JSON with --json. \
      Exit codes: 0 done, 1 the input or the thing checked is bad, 2 wrong use, 3 cannot (lock held, no permission, \
      no disk, unreachable), 130 interrupted.
      """,
    version: BuildInfo.words,
    subcommands: [
      DemoCommand.self, AppendCommand.self, TailCommand.self, ExportCommand.self, StatusCommand.self,
      DeliverCommand.self, ServeCommand.self, KeysCommand.self, ReplayCommand.self, CursorCommand.self,
      AttemptsCommand.self, DeadLettersCommand.self,
      VerifyCommand.self, InspectCommand.self, RecoverCommand.self, ReceiveCommand.self,
    ])

  static func main() async {
    Malloc.configure()
    // Writing reports that the reader has gone away; see `Output`.
    signal(SIGPIPE, SIG_IGN)
    OpenFiles.raise()
    Signals.watch()
    await runProgram()
  }
}
