import Foundation
import PenstockToolSupport
import Yams

/// An error in a configuration file, with its key and line.
struct ConfigurationError: Error {
  /// As in `destinations[0].batch.maxWait`.
  let key: String
  let message: String
  /// Counted from 1.
  let line: Int?
}

/// A value of the configuration file, with its key.
struct ConfigurationNode {
  let node: Node
  let key: String

  func error(_ message: String) -> ConfigurationError {
    ConfigurationError(key: key, message: message, line: node.mark?.line)
  }

  /// The members of a mapping. Throws for a name that is not in `known`. A name in `later` belongs to a later version
  /// and has its own message.
  func members(known: [String], later: [String] = []) throws(ConfigurationError) -> ConfigurationMembers {
    guard let mapping = node.mapping else { throw error("expected keys and values") }
    var members: [String: ConfigurationNode] = [:]
    for (name, value) in mapping {
      let text = name.string ?? ""
      let child = ConfigurationNode(node: value, key: key.isEmpty ? text : "\(key).\(text)")
      let keyNode = ConfigurationNode(node: name, key: child.key)
      if later.contains(text) { throw keyNode.error("is not supported in this version; leave it out") }
      guard known.contains(text) else {
        let nearest = Spelling.nearest(to: text, among: known + later)
        throw keyNode.error(
          "is not a known key"
            + (nearest.map { "; did you mean \($0)?" } ?? "; the known keys are \(known.joined(separator: ", "))"))
      }
      members[text] = child
    }
    return ConfigurationMembers(owner: self, members: members)
  }

  func elements() throws(ConfigurationError) -> [ConfigurationNode] {
    guard let sequence = node.sequence else { throw error("expected a list") }
    return sequence.enumerated().map { ConfigurationNode(node: $1, key: "\(key)[\($0)]") }
  }

  /// Text with `${NAME}` replaced from the environment.
  func text() throws(ConfigurationError) -> String {
    guard let scalar = node.scalar else { throw error("expected a single value") }
    var result = ""
    var rest = scalar.string[...]
    while let start = rest.range(of: "${") {
      result += rest[..<start.lowerBound]
      guard let end = rest[start.upperBound...].firstIndex(of: "}") else { throw error("has ${ without a closing }") }
      let name = String(rest[start.upperBound..<end])
      guard let value = ProcessInfo.processInfo.environment[name] else {
        throw error("needs the environment variable \(name), which is not set")
      }
      result += value
      rest = rest[rest.index(after: end)...]
    }
    return result + rest
  }

  func integer(_ range: ClosedRange<Int>) throws(ConfigurationError) -> Int {
    guard let value = Int(try text()), range.contains(value) else {
      throw error("expected a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  func bool() throws(ConfigurationError) -> Bool {
    switch try text() {
    case "true": return true
    case "false": return false
    default: throw error("expected true or false")
    }
  }

  /// Bytes: `1048576`, `64MiB`, `10MB`.
  func bytes() throws(ConfigurationError) -> Int {
    guard let value = Units.bytes(try text()) else { throw error("expected a size such as 64MiB, 10MB or 65536") }
    return value
  }

  /// `250ms`, `5s`, `5m`, `1h`.
  func duration() throws(ConfigurationError) -> Duration {
    guard let value = Units.duration(try text()) else { throw error("expected a time such as 250ms, 5s, 5m or 1h") }
    return value
  }

  func choice<Value>(_ choices: KeyValuePairs<String, Value>) throws(ConfigurationError) -> Value {
    let text = try text()
    guard let found = choices.first(where: { $0.key.lowercased() == text.lowercased() }) else {
      throw error("expected one of \(choices.map(\.key).joined(separator: ", "))")
    }
    return found.value
  }
}

/// The keys of one mapping.
struct ConfigurationMembers {
  let owner: ConfigurationNode
  let members: [String: ConfigurationNode]

  subscript(name: String) -> ConfigurationNode? { members[name] }

  func require(_ name: String) throws(ConfigurationError) -> ConfigurationNode {
    guard let node = members[name] else { throw owner.error("needs the key \(name)") }
    return node
  }

  /// Calls `body` with the value of a key, if the file has it.
  func with(
    _ name: String, _ body: (ConfigurationNode) throws(ConfigurationError) -> Void
  ) throws(ConfigurationError) {
    if let node = members[name] { try body(node) }
  }
}
