import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockSinks
import PenstockToolSupport
import Yams

extension Configuration {
  /// A destination as it is configured; its sink is made when it is needed.
  struct Destination {
    enum Kind {
      case webhook(WebhookConfiguration)
      case s3(S3Configuration)
      case directory(root: String, ExportLayout)
    }

    let name: String
    let policy: BatchPolicy
    let delivery: DeliverySettings
    let kind: Kind
  }

  /// Where the log is: as typed, or as the file says.
  func path(_ typed: String?, in file: String) throws(Failure) -> String {
    guard let path = typed ?? logPath else {
      throw Failure(.usage, "configuration", "\(file) says no log.path; name the log with --log")
    }
    return path
  }

  /// The destination of that name, or a failure that says which there are.
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
  /// Where its objects lie, for those that make objects.
  var export: ExportStoreSettings? {
    switch kind {
    case .webhook: nil
    case .s3(let configuration): .bucket(configuration)
    case .directory(let root, let layout): .directory(root, layout)
    }
  }

  /// - Parameter replay: The id that marks what is sent, for receivers and in names.
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

  /// As ``makeSink(replay:)``, for a command that tells whose fault it is.
  func sink(replay: String? = nil, from file: String) throws(Failure) -> any Sink {
    do throws(SinkError) { return try makeSink(replay: replay) } catch {
      throw Failure(.usage, "configuration", "\(file): the destination \(name): \(error.message)")
    }
  }
}

extension Configuration.Destination {
  private static let common = ["name", "type", "fields"] + DeliverySettings.keys

  init(_ node: ConfigurationNode) throws(ConfigurationError) {
    // The type says which other keys there are, so it is looked at first.
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
    delivery = try DeliverySettings(members, writesDeadLetters: type == "webhook", maxWait: policy.maxWait)
  }

  private static func name(_ members: ConfigurationMembers) throws(ConfigurationError) -> String {
    let node = try members.require("name")
    let name = try node.text()
    do throws(LogError) {
      try CursorStore.validate(name)
    } catch {
      throw node.error("becomes the name of a cursor, but \(error.message)")
    }
    return name
  }
}

extension ConfigurationNode? {
  /// Everything passes where no filter is given.
  func filter() throws(ConfigurationError) -> EventFilter {
    guard let self else { return .all }
    return try EventFilter(self)
  }
}
