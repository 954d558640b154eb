package import ArgumentParser
import PenstockSupport

/// Options of every command.
package struct CommonOptions: ParsableArguments {
  @Flag(name: .long, help: "Print JSON on standard output; messages go to standard error.")
  package var json = false

  package init() {}
}

/// `--log`, for commands that need a log.
package struct LogOption: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("The log's directory.", valueName: "dir"))
  package var log: String

  package init() {}
}

/// `--yes`, for commands that ask for a confirmation.
package struct ConfirmOption: ParsableArguments {
  @Flag(help: "Make the change. Without it, the command only prints what would happen.") package var yes = false

  package init() {}

  /// Throws a failure that says what would happen, unless `--yes` is set.
  package func require(_ effect: String) throws(Failure) {
    if !yes { throw Failure(.usage, "needsYes", effect, advice: "to make this change, add --yes") }
  }
}

/// A command that reports its failures as text and JSON, with an exit code.
package protocol ReportingCommand: AsyncParsableCommand {
  var common: CommonOptions { get }
  /// The program that the command is part of; `penstock` unless a command says otherwise.
  static var programName: String { get }
  /// The command as typed, without the program's name.
  static var spokenName: String { get }
  func perform() async throws
}

extension ReportingCommand {
  package static var programName: String { "penstock" }

  package mutating func run() async throws {
    do {
      try await perform()
      ProgressLine.shared.clear()
    } catch let exit as ExitCode {
      throw exit
    } catch let error as ValidationError {
      throw error
    } catch {
      throw Self.report(Failure(error), json: common.json)
    }
  }

  /// Prints the failure and returns its exit code.
  package static func report(_ failure: Failure, json: Bool) -> ExitCode {
    Output.standard.flush()
    Output.note("\(programName) \(spokenName): \(failure.message)")
    if let advice = failure.advice { Output.note("  \(advice)") }
    if json { Output.standard.line(failure.json) }
    return ExitCode(failure.status.rawValue)
  }

  /// Prints the result, as JSON or as text.
  package func tell(_ json: @autoclosure () -> JSON, _ words: @autoclosure () -> String) {
    ProgressLine.shared.clear()
    Output.standard.line(common.json ? json().text : words())
  }

  package func end(_ status: ExitStatus) throws {
    if status != .done { throw ExitCode(status.rawValue) }
  }
}
