import Foundation
import PenstockDelivery
import PenstockLog
import PenstockSinks
import Yams

/// What a configuration file says, as far as `penstock deliver` needs it.
struct Configuration {
  var logPath: String?
  var log = LogConfiguration()
  var destinations: [Destination] = []

  /// A destination as it is configured; its sink is made when it is needed.
  struct Destination {
    let name: String
    let policy: BatchPolicy
    let makeSink: () throws(SinkError) -> any Sink
    /// For those that make objects.
    var export: ExportCheck.Place?
  }

  /// Reads a file in YAML or JSON.
  ///
  /// - Parameter needsDestinations: Whether a file without destinations is refused.
  static func read(_ path: String, needsDestinations: Bool = true) throws(Failure) -> Configuration {
    let file = try InputFile(path)
    let bytes = try file.readAll(limit: 4 << 20)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Failure(.usage, "configuration", "\(path) is not UTF-8 text")
    }
    let root: Node?
    do { root = try Yams.compose(yaml: text) } catch {
      throw Failure(.usage, "configuration", "\(path) is neither YAML nor JSON: \(Self.words(error))")
    }
    guard let root else { throw Failure(.usage, "configuration", "\(path) is empty") }
    do throws(ConfigurationError) {
      return try Configuration(ConfigurationNode(node: root, key: ""), needsDestinations: needsDestinations)
    } catch {
      let line = error.line.map { ":\($0)" } ?? ""
      let key = error.key.isEmpty ? "the file" : error.key
      throw Failure(.usage, "configuration", "\(path)\(line): \(key) \(error.message)")
    }
  }

  private static func words(_ error: any Error) -> String {
    "\(error)".split(whereSeparator: \.isNewline).first.map(String.init) ?? "it cannot be parsed"
  }

  private init(_ root: ConfigurationNode, needsDestinations: Bool) throws(ConfigurationError) {
    let members = try root.members(known: ["log", "destinations"], later: ["server"])
    try members.with("log") { (node) throws(ConfigurationError) in try readLog(node) }
    guard needsDestinations || members["destinations"] != nil else { return }
    for node in try members.require("destinations").elements() {
      let destination = try Destination(node)
      guard !destinations.contains(where: { $0.name == destination.name }) else {
        throw node.error("has the name \(destination.name), which another destination has already")
      }
      destinations.append(destination)
    }
    if destinations.isEmpty { throw root.error("names no destination") }
  }

  private mutating func readLog(_ node: ConfigurationNode) throws(ConfigurationError) {
    let members = try node.members(known: LogConfiguration.keys)
    logPath = try members["path"]?.text()
    log = try LogConfiguration(members)
  }
}

extension Configuration.Destination {
  private static let common = ["name", "type", "fields"]

  fileprivate init(_ node: ConfigurationNode) throws(ConfigurationError) {
    // The type says which other keys there are, so it is looked at first.
    guard let type = node.node["type"]?.string else {
      throw node.error("needs the key type: webhook, s3 or directory")
    }
    let later = ["filter", "maxInFlight", "circuitBreaker", "tls", "deadLetters", "retry", "manifest"]
    switch type {
    case "webhook":
      let keys = [
        "url", "method", "headers", "signing", "batch", "batching", "parameter", "maxParameterBytes", "timeout",
        "connectTimeout", "idleTimeout", "http", "tls", "allowPrivateNetworks",
      ]
      let members = try node.members(known: Self.common + keys, later: later.filter { $0 != "tls" })
      let configuration = try WebhookConfiguration(members)
      name = try Self.name(members)
      policy = BatchPolicy(
        maxRecords: configuration.maxRecords, maxBytes: configuration.maxBytes, maxWait: configuration.maxWait)
      makeSink = { () throws(SinkError) in try WebhookSink(configuration) }
    case "s3":
      let keys = ["bucket", "region", "endpoint", "addressing", "credentials", "timeout"]
      let members = try node.members(known: Self.common + keys + ExportSettings.keys + ["multipart"], later: later)
      let export = try ExportSettings(members)
      let configuration = try S3Configuration(members, export)
      name = try Self.name(members)
      policy = export.policy
      makeSink = { () throws(SinkError) in try S3Sink(configuration) }
      self.export = .bucket(configuration)
    case "directory":
      let members = try node.members(known: Self.common + ["path"] + ExportSettings.keys, later: later)
      let export = try ExportSettings(members)
      let root = try members.require("path").text()
      name = try Self.name(members)
      policy = export.policy
      makeSink = { () throws(SinkError) in try DirectorySink(root: root, layout: export.layout) }
      self.export = .directory(root, export.layout)
    default:
      throw ConfigurationError(
        key: node.key + ".type", message: "is \"\(type)\"; expected webhook, s3 or directory",
        line: node.node["type"]?.mark?.line)
    }
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
