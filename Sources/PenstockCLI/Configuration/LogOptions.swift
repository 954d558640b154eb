import ArgumentParser
import PenstockLog

/// How a command that writes a log opens it: a configuration file's `log`, and options that come before it.
struct LogOptions: ParsableArguments {
  enum Full: String, ExpressibleByArgument, CaseIterable { case fail, wait }

  @Option(help: ArgumentHelp("A configuration file whose `log` says how to open the log.", valueName: "file"))
  var config: String?
  @Option(help: ArgumentHelp("Remove records so much older than the newest: 30d, 12h.", valueName: "time"))
  var maxAge: String?
  @Option(help: ArgumentHelp("Keep the log's files at or below: 200GiB.", valueName: "size")) var maxBytes: String?
  @Option(
    help: ArgumentHelp(
      "The same, even where a cursor has not passed; it is told what it lost.", valueName: "size"))
  var hardCap: String?
  @Option(
    help: ArgumentHelp(
      "How full segments are sealed in the background: on, off, or zstd's level.", valueName: "how"))
  var sealing: String?
  @Option(
    help: ArgumentHelp("The most bytes read and written for sealing in a second; 0: no limit.", valueName: "size"))
  var sealingRate: String?
  @Option(help: "What to do on a full disk: fail, or wait until there is room.") var whenFull: Full?

  func validate() throws {
    // Looked at before anything is opened or read.
    var trial = LogConfiguration()
    try apply(to: &trial)
    if sealingRate != nil, sealing == "off" {
      throw ValidationError("--sealing-rate needs sealing; leave out --sealing off")
    }
  }

  /// The defaults, then the file, then the options.
  func configuration() throws -> LogConfiguration {
    var configuration = LogConfiguration()
    if let config { configuration = try Configuration.read(config, needsDestinations: false).log }
    try apply(to: &configuration)
    do throws(LogError) { try configuration.validate() } catch { throw ValidationError(error.message) }
    return configuration
  }

  private func apply(to configuration: inout LogConfiguration) throws {
    if let maxAge {
      guard let age = Units.duration(maxAge), age > .zero else {
        throw ValidationError("--max-age is \(maxAge); expected a time such as 30d, 12h or 90m")
      }
      configuration.retention.maxAge = age
    }
    if let maxBytes { configuration.retention.maxBytes = try Self.bytes("--max-bytes", maxBytes) }
    if let hardCap { configuration.retention.hardCapBytes = try Self.bytes("--hard-cap", hardCap) }
    if let whenFull { configuration.whenFull = whenFull == .wait ? .wait : .fail }
    switch sealing {
    case nil: break
    case "on": configuration.sealing = .on
    case "off": configuration.sealing = .off
    case let text?:
      guard let level = Int(text), (-7...19).contains(level) else {
        throw ValidationError("--sealing is \(text); expected on, off or a level from -7 to 19")
      }
      var settings = SealingSettings()
      settings.level = level
      configuration.sealing = .settings(settings)
    }
    if let sealingRate, case .settings(var settings) = configuration.sealing {
      settings.bytesPerSecond = try Self.bytes("--sealing-rate", sealingRate)
      configuration.sealing = .settings(settings)
    }
  }

  private static func bytes(_ option: String, _ text: String) throws -> Int {
    guard let value = Units.bytes(text) else {
      throw ValidationError("\(option) is \(text); expected a size such as 64MiB, 200GiB or 65536")
    }
    return value
  }
}
