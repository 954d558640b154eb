import ArgumentParser
import PenstockLog
import PenstockSupport
import PenstockToolSupport

struct RecoverCommand: ReportingCommand {
  static let spokenName = "recover"
  static let configuration = CommandConfiguration(
    commandName: "recover",
    abstract: "Recovers a log after a crash, and prints what recovery found.",
    discussion: """
      Opening a log for writing always recovers it; this command also prints the details. Bytes that are cut or \
      damaged are kept in the log's quarantine directory. Exit code 1 when acknowledged records are lost.

        penstock recover --log ./events
        penstock recover --log ./events --strict --json
      """)

  @OptionGroup var logOption: LogOption
  @Flag(help: "Fail instead of cutting the last bytes when it is not proven that they were never acknowledged.")
  var strict = false
  @OptionGroup var common: CommonOptions

  func perform() async throws {
    try LogAccess.requireLog(logOption.log)
    var configuration = LogConfiguration()
    configuration.strictRecovery = strict
    let log = try await Log.open(at: logOption.log, configuration: configuration)
    let report = log.recovery
    try await log.close()
    tell(.object([("recovery", .encoding(report))]), words(report))
    try end(report.outcome == .damaged ? .bad : .done)
  }

  private func words(_ report: RecoveryReport) -> String {
    var rows = [["outcome", report.outcome.rawValue], ["rule", report.rule], ["end", report.end.description]]
    rows.append(["epoch", String(report.epoch)])
    if let segment = report.segment { rows.append(["segment", segment]) }
    if let position = report.position { rows.append(["valid up to", "byte \(position)"]) }
    if report.cutBytes > 0 { rows.append(["cut", HumanFormat.bytes(report.cutBytes)]) }
    for path in report.quarantined { rows.append(["kept in", path]) }
    for gap in report.gaps { rows.append(["lost", gap.description]) }
    for path in report.unknownFiles { rows.append(["unknown file", path]) }
    if report.rebuiltMeta { rows.append(["META", "rebuilt from the segments"]) }
    return HumanFormat.table(rows)
  }
}
