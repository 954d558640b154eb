import PenstockLog
import PenstockSupport

/// One setting of the configuration, shown to operators. Never a secret.
public struct ServiceSetting: Sendable, Hashable {
  /// What an operator sees.
  public enum Value: Sendable, Hashable {
    /// The value's text.
    case text(String)
    /// The number of secrets; their values are never shown.
    case secrets(Int)
  }

  /// The name in the configuration file, such as `batch.maxEvents`.
  public let key: String
  /// What an operator sees.
  public let value: Value

  /// A setting with a text.
  public init(_ key: String, _ value: String) {
    self.key = key
    self.value = .text(value)
  }

  /// A setting with secrets, of which only the number is kept.
  public init(_ key: String, secrets: Int) {
    self.key = key
    value = .secrets(secrets)
  }

  /// A setting with a size, shown as in `8MiB`.
  public init(_ key: String, bytes: Int) { self.init(key, SettingText.bytes(bytes)) }
  /// A setting with a time, shown as in `30s`.
  public init(_ key: String, _ duration: Duration) { self.init(key, SettingText.duration(duration)) }
}

extension ServiceSetting {
  var json: OrderedJSON {
    switch value {
    case .text(let text): .object([("key", .string(key)), ("value", .string(text))])
    case .secrets(let count): .object([("key", .string(key)), ("value", .null), ("secrets", .number(count))])
    }
  }
}

/// Formats values as in the configuration file.
enum SettingText {
  /// Such as `64MiB`, in the largest unit that is exact.
  static func bytes(_ count: Int) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
    for (size, unit) in units where count >= size && count % size == 0 { return "\(count / size)\(unit)" }
    return "\(count)B"
  }

  /// Such as `30d`, `5m`, `90s` or `250ms`.
  static func duration(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    if attoseconds != 0 { return "\(seconds * 1000 + attoseconds / 1_000_000_000_000_000)ms" }
    let units: [(Int64, String)] = [(86_400, "d"), (3600, "h"), (60, "m")]
    for (size, unit) in units where seconds >= size && seconds % size == 0 { return "\(seconds / size)\(unit)" }
    return "\(seconds)s"
  }
}

/// The path and the configuration that the service was opened with.
struct OpeningConfiguration: Sendable {
  var path: String
  var log: LogConfiguration
  var service: ServiceConfiguration
}

extension AdminAPI {
  /// `GET /v1/settings`: the effective configuration, and whether a change needs a reload or a restart.
  func settings() -> Answer {
    let (log, service, limits) = (configuration.log, configuration.service, ingest.currentLimits)
    func group(_ name: String, _ changes: String, _ settings: [ServiceSetting]) -> OrderedJSON {
      .object([
        ("name", .string(name)), ("changes", .string(changes)), ("settings", .array(settings.map(\.json))),
      ])
    }
    let groups = [
      group("log", "restart", log.settings(path: configuration.path)),
      group("server", "restart", service.settings(limits)), group("server.limits", "reload", limits.reloadableSettings),
    ]
    let destinations = runners.map { runner in
      OrderedJSON.object([
        ("name", .string(runner.destination.name)), ("kind", .string(runner.destination.kind)),
        ("settings", .array(runner.destination.options.settings.map(\.json))),
      ])
    }
    return Answer(
      200,
      .object([
        ("file", .optional(service.configurationFile)), ("groups", .array(groups)),
        ("destinations", .array(destinations)),
      ]))
  }
}

extension LogConfiguration {
  fileprivate func settings(path: String) -> [ServiceSetting] {
    [
      ServiceSetting("path", path), ServiceSetting("durability", durability.rawValue),
      ServiceSetting("segmentSize", bytes: segmentBytes), ServiceSetting("whenFull", whenFull.rawValue),
      ServiceSetting("compressionLevel", "\(compressionLevel)"),
      ServiceSetting("retention.maxAge", retention.maxAge.map(SettingText.duration) ?? "unlimited"),
      ServiceSetting("retention.maxBytes", retention.maxBytes.map(SettingText.bytes) ?? "unlimited"),
      ServiceSetting("retention.hardCap", retention.hardCapBytes.map(SettingText.bytes) ?? "none"),
    ]
  }
}

extension ServiceConfiguration {
  fileprivate func settings(_ limits: ServiceLimits) -> [ServiceSetting] {
    [
      ServiceSetting("listen", "\(host):\(port)"), ServiceSetting("tls", tls == nil ? "off" : "on"),
      ServiceSetting("keysFile", keysFile ?? "none: requests need no key"),
      ServiceSetting("limits.maxConnections", "\(limits.maxConnections)"),
      ServiceSetting("limits.idleTimeout", limits.idleTimeout),
      ServiceSetting("limits.bodyTimeout", limits.bodyTimeout),
      ServiceSetting("limits.drainTimeout", limits.drainTimeout),
      ServiceSetting("idempotency.maxKeys", "\(limits.maxIdempotencyKeys)"),
      ServiceSetting("idempotency.window", limits.idempotencyWindow),
    ]
  }
}

extension ServiceLimits {
  fileprivate var reloadableSettings: [ServiceSetting] {
    [
      ServiceSetting("maxBody", bytes: maxBodyBytes), ServiceSetting("maxEvent", bytes: maxEventBytes),
      ServiceSetting("maxEvents", "\(maxEvents)"), ServiceSetting("maxDepth", "\(maxDepth)"),
      ServiceSetting("bodyMemory", bytes: bodyMemory),
    ]
  }
}
