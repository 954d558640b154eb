import ArgumentParser
import PenstockLog

/// The log settings of a command that writes a log: options, which override `log` of a configuration file.
struct LogOptions: ParsableArguments {
  enum Full: String, ExpressibleByArgument, CaseIterable { case fail, wait }

  @Option(help: ArgumentHelp("A configuration file; its `log` has the log's settings.", valueName: "file"))
  var config: String?
  @Option(help: ArgumentHelp("Delete records that are this much older than the newest: 30d, 12h.", valueName: "time"))
  var maxAge: String?
  @Option(help: ArgumentHelp("Delete the oldest segments while the log is larger: 200GiB.", valueName: "size"))
  var maxBytes: String?
  @Option(
    help: ArgumentHelp(
      "Hard limit: delete the oldest segments even if a cursor has not read them; the cursor gets a gap.",
      valueName: "size"))
  var hardCap: String?
  @Option(
    help: ArgumentHelp(
      "Recompress (seal) full segments in the background: on, off, or a zstd level.", valueName: "mode"))
  var sealing: String?
  @Option(
    help: ArgumentHelp("Maximum bytes per second that sealing reads and writes; 0: no limit.", valueName: "size"))
  var sealingRate: String?
  @Option(help: "On a full disk: fail, or wait until there is space.") var whenFull: Full?

  func validate() throws {
    // Report wrong values before any file is opened or read.
    var trial = LogConfiguration()
    try apply(to: &trial)
    if sealingRate != nil, sealing == "off" {
      throw ValidationError("--sealing-rate needs sealing; leave out --sealing off")
    }
  }

  /// The defaults, overridden by the file, overridden by the options.
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
