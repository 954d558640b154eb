package import ArgumentParser

/// What every command has.
package struct CommonOptions: ParsableArguments {
  @Flag(name: .long, help: "Speak JSON on standard output; words for people go to standard error.")
  package var json = false

  package init() {}
}

/// The log of a command.
package struct LogOption: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("The log's directory.", valueName: "dir"))
  package var log: String

  package init() {}
}

/// A command that tells its failures the house's way.
package protocol ReportingCommand: AsyncParsableCommand {
  var common: CommonOptions { get }
  /// The program that the command is part of; `penstock` unless a command says otherwise.
  static var programName: String { get }
  /// As an operator types it, without the program's name.
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

  /// Prints the failure and returns what ends the process.
  package static func report(_ failure: Failure, json: Bool) -> ExitCode {
    Output.standard.flush()
    Output.note("\(programName) \(spokenName): \(failure.message)")
    if let advice = failure.advice { Output.note("  \(advice)") }
    if json { Output.standard.line(failure.json) }
    return ExitCode(failure.status.rawValue)
  }

  /// The result: JSON for machines, or words.
  package func tell(_ json: @autoclosure () -> JSON, _ words: @autoclosure () -> String) {
    ProgressLine.shared.clear()
    Output.standard.line(common.json ? json().text : words())
  }

  package func end(_ status: ExitStatus) throws {
    if status != .done { throw ExitCode(status.rawValue) }
  }
}
