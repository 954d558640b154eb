import ArgumentParser
import Foundation

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
      BenchCommand.self,
    ])

  static func main() async {
    Malloc.configure()
    // A reader that went away is noticed when writing to it; see `Output`.
    signal(SIGPIPE, SIG_IGN)
    OpenFiles.raise()
    Signals.watch()
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      if let complaint = Usage.unknownCommand(arguments, of: Self.self) { leave(saying: complaint) }
      var command = try parseAsRoot(arguments)
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      Output.standard.flush()
    } catch {
      leave(error, arguments)
    }
  }

  /// Prints what the parser has to say and ends with the house's exit code for it.
  private static func leave(_ error: any Error, _ arguments: [String]) -> Never {
    Output.standard.flush()
    let code = exitCode(for: error)
    if let exit = error as? ExitCode { Foundation.exit(exit.rawValue) }
    let message = fullMessage(for: error)
    if code == .success {
      Output.standard.write(message + "\n")
      Output.standard.flush()
      Foundation.exit(0)
    }
    // The parser tells what is missing first, even where a misspelt option is the reason.
    leave(saying: Usage.unknownOption(arguments, of: Self.self) ?? message)
  }

  /// Ends because the command was used wrongly.
  private static func leave(saying words: String) -> Never {
    Output.note(words)
    Foundation.exit(ExitStatus.usage.rawValue)
  }
}
