import ArgumentParser

/// Options of every command.
struct CommonOptions: ParsableArguments {
  @Flag(name: .long, help: "Print JSON on standard output; messages go to standard error.")
  var json = false
}

/// `--log`, for commands that need a log.
struct LogOption: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("The log's directory.", valueName: "dir"))
  var log: String
}

/// `--yes`, for commands that ask for a confirmation.
struct ConfirmOption: ParsableArguments {
  @Flag(help: "Make the change. Without it, the command only prints what would happen.") var yes = false

  /// Throws a failure that says what would happen, unless `--yes` is set.
  func require(_ effect: String) throws(Failure) {
    if !yes { throw Failure(.usage, "needsYes", effect, advice: "to make this change, add --yes") }
  }
}

/// A command that reports its failures as text and JSON, with an exit code.
protocol ReportingCommand: AsyncParsableCommand {
  var common: CommonOptions { get }
  /// The command as typed, without `penstock`.
  static var spokenName: String { get }
  func perform() async throws
}

extension ReportingCommand {
  mutating func run() async throws {
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
  static func report(_ failure: Failure, json: Bool) -> ExitCode {
    Output.standard.flush()
    Output.note("penstock \(spokenName): \(failure.message)")
    if let advice = failure.advice { Output.note("  \(advice)") }
    if json { Output.standard.line(failure.json) }
    return ExitCode(failure.status.rawValue)
  }

  /// Prints the result, as JSON or as text.
  func tell(_ json: @autoclosure () -> JSON, _ words: @autoclosure () -> String) {
    ProgressLine.shared.clear()
    Output.standard.line(common.json ? json().text : words())
  }

  func end(_ status: ExitStatus) throws {
    if status != .done { throw ExitCode(status.rawValue) }
  }
}
