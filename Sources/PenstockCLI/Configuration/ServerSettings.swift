import PenstockServer
import Yams

// The key `server` of the configuration file.
extension LogFormat {
  /// The value of `server.logFormat`; text by default.
  init(server node: ConfigurationNode) throws(ConfigurationError) {
    let format = try node.members(known: ServiceConfiguration.keys)["logFormat"]
    self = try format?.choice(["text": .text, "json": .json]) ?? .text
  }
}

extension ServiceConfiguration {
  static let keys = ["listen", "keysFile", "tls", "limits", "idempotency", "logFormat"]

  init(_ node: ConfigurationNode) throws(ConfigurationError) {
    self.init()
    let members = try node.members(known: Self.keys)
    try members.with("listen") { (node) throws(ConfigurationError) in
      guard let address = ListenAddress(try node.text()) else {
        throw node.error("expected host:port, such as 127.0.0.1:8080")
      }
      (host, port) = (address.host, address.port)
    }
    keysFile = try members["keysFile"]?.text()
    try members.with("tls") { (node) throws(ConfigurationError) in
      let files = try node.members(known: ["certificate", "key"])
      tls = TLS(certificateFile: try files.require("certificate").text(), keyFile: try files.require("key").text())
    }
    try members.with("limits") { (node) throws(ConfigurationError) in try limits.read(node) }
    try members.with("idempotency") { (node) throws(ConfigurationError) in try limits.readIdempotency(node) }
    if let complaint { throw node.error("has conflicting values: \(complaint)") }
  }
}

extension ServiceLimits {
  fileprivate mutating func read(_ node: ConfigurationNode) throws(ConfigurationError) {
    let members = try node.members(known: [
      "maxBody", "maxEvent", "maxEvents", "maxDepth", "bodyMemory", "maxConnections", "idleTimeout", "bodyTimeout",
      "drainTimeout",
    ])
    try members.with("maxBody") { (node) throws(ConfigurationError) in maxBodyBytes = try node.bytes() }
    try members.with("maxEvent") { (node) throws(ConfigurationError) in maxEventBytes = try node.bytes() }
    try members.with("maxEvents") { (node) throws(ConfigurationError) in maxEvents = try node.integer(1...10_000_000) }
    try members.with("maxDepth") { (node) throws(ConfigurationError) in maxDepth = try node.integer(1...128) }
    try members.with("bodyMemory") { (node) throws(ConfigurationError) in bodyMemory = try node.bytes() }
    try members.with("maxConnections") { (node) throws(ConfigurationError) in
      maxConnections = try node.integer(1...1_000_000)
    }
    try members.with("idleTimeout") { (node) throws(ConfigurationError) in idleTimeout = try node.duration() }
    try members.with("bodyTimeout") { (node) throws(ConfigurationError) in bodyTimeout = try node.duration() }
    try members.with("drainTimeout") { (node) throws(ConfigurationError) in drainTimeout = try node.duration() }
  }

  fileprivate mutating func readIdempotency(_ node: ConfigurationNode) throws(ConfigurationError) {
    let members = try node.members(known: ["maxKeys", "window"])
    try members.with("maxKeys") { (node) throws(ConfigurationError) in
      maxIdempotencyKeys = try node.integer(1...10_000_000)
    }
    try members.with("window") { (node) throws(ConfigurationError) in idempotencyWindow = try node.duration() }
  }
}

/// `host:port`; an IPv6 address is in brackets.
struct ListenAddress {
  let host: String
  let port: Int

  init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    guard !host.isEmpty else { return nil }
    self.host = String(host)
    self.port = Int(port)
  }

  static func url(_ host: String, _ port: Int, isSecure: Bool) -> String {
    "\(isSecure ? "https" : "http")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
  }
}
