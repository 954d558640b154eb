import ArgumentParser
import Foundation
import PenstockSupport
import PenstockToolSupport

/// The command line.
///
/// Exit codes: 0 success, 1 bad input or a failed check, 2 wrong usage, 3 not possible now (lock held, no permission,
/// no disk space, unreachable), 130 interrupted.
@main
struct Penstock: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "penstock",
    abstract: "A durable event log that feeds webhooks and S3.",
    discussion: """
      A log is a directory. Append events to it, read them, and deliver them to destinations. Each destination has a \
      durable cursor.

        penstock demo                                   see the whole pipeline run
        penstock append --log ./events events.ndjson    append events durably
        penstock tail --log ./events --follow           print events as they arrive
        penstock deliver --config penstock.yaml         deliver to webhooks and S3

      Every command has --help, and prints JSON with --json. \
      Exit codes: 0 success, 1 bad input or a failed check, 2 wrong usage, 3 not possible now (lock held, no \
      permission, no disk space, unreachable), 130 interrupted.
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
    // `Output` sees a closed pipe as a write error.
    signal(SIGPIPE, SIG_IGN)
    OpenFiles.raise()
    Signals.watch()
    await runProgram()
  }
}
