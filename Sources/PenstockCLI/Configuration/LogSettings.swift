import PenstockLog
import Yams

// The key `log` of the configuration file.
extension LogConfiguration {
  static let keys = [
    "path", "segmentSize", "durability", "retention", "sealing", "whenFull", "maxProducers", "compressionLevel",
  ]

  init(_ members: ConfigurationMembers) throws(ConfigurationError) {
    self.init()
    try members.with("segmentSize") { (node) throws(ConfigurationError) in segmentBytes = try node.bytes() }
    try members.with("durability") { (node) throws(ConfigurationError) in
      durability = try node.choice(["disk": .disk, "kernel": .kernel])
    }
    try members.with("compressionLevel") { (node) throws(ConfigurationError) in
      compressionLevel = try node.integer(-7...19)
    }
    try members.with("whenFull") { (node) throws(ConfigurationError) in
      whenFull = try node.choice(["fail": .fail, "wait": .wait])
    }
    try members.with("maxProducers") { (node) throws(ConfigurationError) in
      maxProducers = try node.integer(1...65_536)
    }
    try members.with("retention") { (node) throws(ConfigurationError) in
      let retained = try node.members(known: ["maxAge", "maxBytes", "hardCap"])
      try retained.with("maxAge") { (node) throws(ConfigurationError) in retention.maxAge = try node.duration() }
      try retained.with("maxBytes") { (node) throws(ConfigurationError) in retention.maxBytes = try node.bytes() }
      try retained.with("hardCap") { (node) throws(ConfigurationError) in retention.hardCapBytes = try node.bytes() }
    }
    try members.with("sealing") { (node) throws(ConfigurationError) in sealing = try Sealing(node) }
    do throws(LogError) { try validate() } catch {
      throw members.owner.error("has conflicting values: \(error.message)")
    }
  }
}

extension Sealing {
  /// `off`, `on`, or settings: `{ level: 9, blockSize: 1MiB, bytesPerSecond: 64MiB }`.
  fileprivate init(_ node: ConfigurationNode) throws(ConfigurationError) {
    guard node.node.mapping != nil else {
      // YAML resolves on and off to booleans.
      self = try node.choice(["on": .on, "off": .off, "true": .on, "false": .off])
      return
    }
    var settings = SealingSettings()
    let members = try node.members(known: ["level", "blockSize", "bytesPerSecond"])
    try members.with("level") { (node) throws(ConfigurationError) in settings.level = try node.integer(-7...19) }
    try members.with("blockSize") { (node) throws(ConfigurationError) in settings.blockBytes = try node.bytes() }
    try members.with("bytesPerSecond") { (node) throws(ConfigurationError) in
      settings.bytesPerSecond = try node.bytes()
    }
    self = .settings(settings)
  }
}
