import Foundation
import PenstockLog
import PenstockServer
import PenstockToolSupport
import Yams

/// A parsed configuration file.
struct Configuration {
  var logPath: String?
  var log = LogConfiguration()
  /// The settings of `penstock serve`, with defaults for missing keys.
  var server = ServiceConfiguration()
  /// The format of the log messages of `penstock serve`.
  var logFormat = LogFormat.text
  var destinations: [Destination] = []

  /// Reads a file in YAML or JSON.
  ///
  /// - Parameter needsDestinations: Whether a file without destinations is an error.
  static func read(_ path: String, needsDestinations: Bool = true) throws(Failure) -> Configuration {
    let file = try InputFile(path)
    return try parse(try file.readAll(limit: 4 << 20), of: path, needsDestinations: needsDestinations)
  }

  static func parse(_ bytes: [UInt8], of path: String, needsDestinations: Bool = true) throws(Failure) -> Configuration
  {
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
      throw Failure(.usage, "configuration", "\(path) is UTF-16 text", advice: "save it as UTF-8")
    }
    // Some editors write a byte order mark, which is not part of the text.
    let content = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes[3...] : bytes[...]
    guard let text = String(validating: content, as: UTF8.self) else {
      throw Failure(.usage, "configuration", "\(path) is not UTF-8 text")
    }
    let root: Node?
    do { root = try Yams.compose(yaml: text) } catch {
      throw Failure(.usage, "configuration", "\(path) is not valid YAML or JSON: \(Self.firstLine(error))")
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

  private static func firstLine(_ error: any Error) -> String {
    "\(error)".split(whereSeparator: \.isNewline).first.map(String.init) ?? "it cannot be parsed"
  }

  private init(_ root: ConfigurationNode, needsDestinations: Bool) throws(ConfigurationError) {
    let members = try root.members(known: ["log", "destinations", "server"])
    try members.with("log") { (node) throws(ConfigurationError) in try readLog(node) }
    try members.with("server") { (node) throws(ConfigurationError) in
      server = try ServiceConfiguration(node)
      logFormat = try LogFormat(server: node)
    }
    guard needsDestinations || members["destinations"] != nil else { return }
    var names: Set<String> = []
    for node in try members.require("destinations").elements() {
      let destination = try Destination(node)
      guard names.insert(destination.name).inserted else {
        throw node.error("has the name \(destination.name), which another destination already has")
      }
      destinations.append(destination)
    }
    if destinations.isEmpty, needsDestinations { throw root.error("has no destinations") }
  }

  private mutating func readLog(_ node: ConfigurationNode) throws(ConfigurationError) {
    let members = try node.members(known: LogConfiguration.keys)
    logPath = try members["path"]?.text()
    log = try LogConfiguration(members)
  }
}
