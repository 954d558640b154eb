import ArgumentParser

/// What every command has.
struct CommonOptions: ParsableArguments {
  @Flag(name: .long, help: "Speak JSON on standard output; words for people go to standard error.")
  var json = false
}

/// The log of a command.
struct LogOption: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("The log's directory.", valueName: "dir"))
  var log: String
}

/// A command that tells its failures the house's way.
protocol ReportingCommand: AsyncParsableCommand {
  var common: CommonOptions { get }
  /// As people type it, without `penstock`.
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

  /// Prints the failure and returns what ends the process.
  static func report(_ failure: Failure, json: Bool) -> ExitCode {
    Output.standard.flush()
    Output.note("penstock \(spokenName): \(failure.message)")
    if let advice = failure.advice { Output.note("  \(advice)") }
    if json { Output.standard.line(failure.json) }
    return ExitCode(failure.status.rawValue)
  }

  /// The result: JSON for machines, or words.
  func tell(_ json: @autoclosure () -> JSON, _ words: @autoclosure () -> String) {
    ProgressLine.shared.clear()
    Output.standard.line(common.json ? json().text : words())
  }

  func end(_ status: ExitStatus) throws {
    if status != .done { throw ExitCode(status.rawValue) }
  }
}
