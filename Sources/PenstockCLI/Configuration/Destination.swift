import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockServer
import PenstockSinks
import PenstockToolSupport
import Yams

extension Configuration {
  /// The configuration of one destination.
  struct Destination {
    /// Indirect: a service keeps thousands of them, and a webhook would take the place of an S3 destination.
    indirect enum Kind {
      case webhook(WebhookConfiguration)
      case s3(S3Configuration)
      case directory(root: String, ExportLayout)
    }

    let name: String
    /// Where its cursor begins when there is none yet.
    let startAt: Position
    let policy: BatchPolicy
    let delivery: DeliverySettings
    let kind: Kind
  }

  /// The log's directory: the option, or else log.path of the file.
  func path(_ typed: String?, in file: String) throws(Failure) -> String {
    guard let path = typed ?? logPath else {
      throw Failure(.usage, "configuration", "\(file) has no log.path; name the log with --log")
    }
    return path
  }

  /// The destination with this name. The failure for an unknown name lists the destinations.
  func destination(_ name: String, in file: String) throws(Failure) -> Destination {
    if let found = destinations.first(where: { $0.name == name }) { return found }
    let names = destinations.map(\.name)
    let near = Spelling.nearest(to: name, among: names).map { "; did you mean \($0)?" }
    throw Failure(
      .usage, "configuration",
      "\(file) has no destination \(name)" + (near ?? "; it has \(names.joined(separator: ", "))"))
  }
}

extension Configuration.Destination {
  /// The store of the exported objects; nil for a webhook.
  var export: ExportStoreSettings? {
    switch kind {
    case .webhook: nil
    case .s3(let configuration): .bucket(configuration)
    case .directory(let root, let layout): .directory(root, layout)
    }
  }

  /// - Parameter replay: The replay's id, which marks requests and object names.
  func makeSink(replay: String? = nil) throws(SinkError) -> any Sink {
    switch kind {
    case .webhook(var configuration):
      configuration.replay = replay
      return try WebhookSink(configuration)
    case .s3(var configuration):
      configuration.layout.replay = replay
      return try S3Sink(configuration)
    case .directory(let root, var layout):
      layout.replay = replay
      return try DirectorySink(root: root, layout: layout)
    }
  }

  /// As ``makeSink(replay:)``, but the failure names the file and the destination.
  func sink(replay: String? = nil, from file: String) throws(Failure) -> any Sink {
    do throws(SinkError) { return try makeSink(replay: replay) } catch {
      throw Failure(.usage, "configuration", "\(file): the destination \(name): \(error.message)")
    }
  }
}

extension Configuration.Destination {
  private static let common = ["name", "type", "startAt", "fields"] + DeliverySettings.keys

  init(_ node: ConfigurationNode) throws(ConfigurationError) {
    // The type decides which other keys are valid, so it is read first.
    guard let type = node.node["type"]?.string else {
      throw node.error("needs the key type: webhook, s3 or directory")
    }
    let members: ConfigurationMembers
    switch type {
    case "webhook":
      members = try node.members(known: Self.common + WebhookConfiguration.keys)
      var configuration = try WebhookConfiguration(members)
      configuration.filter = try members["filter"].filter()
      policy = BatchPolicy(
        maxRecords: configuration.maxRecords, maxBytes: configuration.maxBytes, maxWait: configuration.maxWait)
      kind = .webhook(configuration)
    case "s3":
      members = try node.members(known: Self.common + S3Configuration.keys + ExportSettings.keys)
      let export = try ExportSettings(members)
      policy = export.policy
      kind = .s3(try S3Configuration(members, export))
    case "directory":
      members = try node.members(known: Self.common + ["path"] + ExportSettings.keys)
      let export = try ExportSettings(members)
      policy = export.policy
      kind = .directory(root: try members.require("path").text(), export.layout)
    default:
      throw ConfigurationError(
        key: node.key + ".type", message: "is \"\(type)\"; expected webhook, s3 or directory",
        line: node.node["type"]?.mark?.line)
    }
    name = try Self.name(members)
    startAt = try Self.start(members["startAt"])
    let isSingle = if case .webhook(let webhook) = kind { webhook.sendsSingleEvents } else { false }
    delivery = try DeliverySettings(
      members, writesDeadLetters: type == "webhook", sendsSingleEvents: isSingle, maxWait: policy.maxWait)
  }

  private static func name(_ members: ConfigurationMembers) throws(ConfigurationError) -> String {
    let node = try members.require("name")
    let name = try node.text()
    do throws(LogError) {
      try CursorStore.validate(name)
    } catch {
      throw node.error("is also the cursor's name, but \(error.message)")
    }
    return name
  }
}

extension Configuration.Destination {
  private static func start(_ node: ConfigurationNode?) throws(ConfigurationError) -> Position {
    guard let node else { return .beginning }
    guard let position = PositionParameter.position(try node.text()), position.asEventTime == nil else {
      throw node.error("expected beginning, end, an offset, or an append time such as 2026-11-23T15:00:00Z or -24h")
    }
    return position
  }
}

extension ConfigurationNode? {
  /// Without a filter, every record passes.
  func filter() throws(ConfigurationError) -> EventFilter {
    guard let self else { return .all }
    return try EventFilter(self)
  }
}
