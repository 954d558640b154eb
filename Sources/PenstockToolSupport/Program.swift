package import ArgumentParser
import Foundation

extension AsyncParsableCommand {
  /// Runs the command that the program's arguments name, and ends the process with the exit code of ``ExitStatus``.
  package static func runProgram() async {
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

  /// Prints the parser's message and ends the process.
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
    // The parser first reports a missing argument, even where a misspelt option is the reason.
    leave(saying: Usage.unknownOption(arguments, of: Self.self) ?? message)
  }

  /// Ends the process because the command was used wrongly.
  private static func leave(saying words: String) -> Never {
    Output.note(words)
    Foundation.exit(ExitStatus.usage.rawValue)
  }
}
