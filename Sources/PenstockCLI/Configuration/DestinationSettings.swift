import Foundation
import PenstockDelivery
import PenstockEvents
import PenstockSinks
import PenstockToolSupport
import Yams

extension WebhookConfiguration {
  static let keys = [
    "url", "method", "headers", "signing", "batch", "batching", "parameter", "maxParameterBytes", "timeout",
    "connectTimeout", "idleTimeout", "http", "tls", "allowPrivateNetworks",
  ]

  init(_ members: ConfigurationMembers) throws(ConfigurationError) {
    self.init(url: try members.require("url").text())
    try members.with("method") { (node) throws(ConfigurationError) in
      method = try node.choice(["POST": .post, "PUT": .put, "GET": .get])
    }
    try members.with("batching") { (node) throws(ConfigurationError) in
      batching = try node.choice(["array": .array, "single": .single])
    }
    try members.with("headers") { (node) throws(ConfigurationError) in
      guard let mapping = node.node.mapping else { throw node.error("expected names and values") }
      for (name, value) in mapping {
        let text = name.string ?? ""
        let value = ConfigurationNode(node: value, key: "\(node.key).\(text)")
        headers.append(Header(text, try value.secret()))
      }
    }
    try members.with("signing") { (node) throws(ConfigurationError) in
      for secret in try node.members(known: ["secrets"]).require("secrets").elements() {
        secrets.append(try secret.secret())
      }
    }
    try members.with("batch") { (node) throws(ConfigurationError) in
      let batch = try node.members(known: ["maxEvents", "maxBytes", "maxWait"])
      try batch.with("maxEvents") { (node) throws(ConfigurationError) in
        maxRecords = try node.integer(1...1_000_000)
      }
      try batch.with("maxBytes") { (node) throws(ConfigurationError) in maxBytes = try node.bytes() }
      try batch.with("maxWait") { (node) throws(ConfigurationError) in maxWait = try node.duration() }
    }
    try members.with("parameter") { (node) throws(ConfigurationError) in parameter = try node.text() }
    try members.with("maxParameterBytes") { (node) throws(ConfigurationError) in
      maxParameterBytes = try node.integer(1...1_000_000)
    }
    try members.with("timeout") { (node) throws(ConfigurationError) in timeout = try node.duration() }
    fields = try FieldSelection(members)
    try readConnection(members)
  }

  private mutating func readConnection(_ members: ConfigurationMembers) throws(ConfigurationError) {
    try members.with("connectTimeout") { (node) throws(ConfigurationError) in connectTimeout = try node.duration() }
    try members.with("idleTimeout") { (node) throws(ConfigurationError) in idleTimeout = try node.duration() }
    try members.with("http") { (node) throws(ConfigurationError) in
      httpVersions = try node.choice(["automatic": .automatic, "1.1": .http1])
    }
    try members.with("tls") { (node) throws(ConfigurationError) in tls = try TLSSettings(node) }
    try members.with("allowPrivateNetworks") { (node) throws(ConfigurationError) in
      addresses = try AddressPolicy(node)
    }
  }
}

extension TLSSettings {
  init(_ node: ConfigurationNode) throws(ConfigurationError) {
    self.init()
    let keys = try node.members(known: ["ca", "systemCA", "certificate", "key"])
    authorities = try keys["ca"]?.text()
    try keys.with("systemCA") { (node) throws(ConfigurationError) in alsoSystemAuthorities = try node.bool() }
    certificate = try keys["certificate"]?.text()
    key = try keys["key"]?.text()
  }
}

extension AddressPolicy {
  /// `true`, `false`, or a list of networks such as `10.1.0.0/16` that are allowed in addition to public addresses.
  init(_ node: ConfigurationNode) throws(ConfigurationError) {
    guard node.node.sequence != nil else {
      self.init(allowsPrivate: try node.bool())
      return
    }
    var networks: [IPNetwork] = []
    for element in try node.elements() {
      guard let network = IPNetwork(try element.text()) else {
        throw element.error(
          "expected a network such as 10.1.0.0/16, with zeros after the prefix bits, or an address")
      }
      networks.append(network)
    }
    self.init(allowed: networks)
  }
}

extension ConfigurationNode {
  /// A secret: text, where `${NAME}` is an environment variable, or `{ file: PATH }`.
  func secret() throws(ConfigurationError) -> Secret {
    guard node.mapping != nil else { return Secret(try text()) }
    let file = try members(known: ["file"]).require("file")
    let path = try file.text()
    do throws(SinkError) {
      return try Secret(contentsOfFile: path)
    } catch {
      throw file.error(error.message)
    }
  }
}

extension FieldSelection {
  /// `fields: { optional: [app_id, …] }`; all fields by default.
  init(_ members: ConfigurationMembers) throws(ConfigurationError) {
    guard let fields = members["fields"] else {
      self = .all
      return
    }
    let known = OptionalField.allCases.map(\.rawValue)
    var kept: [OptionalField] = []
    for node in try fields.members(known: ["optional"]).require("optional").elements() {
      let text = try node.text()
      guard let field = OptionalField(rawValue: text) else {
        let nearest = Spelling.nearest(to: text, among: known)
        throw node.error(
          "is \"\(text)\", which is not an optional field; "
            + (nearest.map { "did you mean \($0)?" } ?? "the optional fields are \(known.joined(separator: ", "))"))
      }
      kept.append(field)
    }
    self.init(keeping: kept)
  }
}

/// The settings that S3 and directory destinations share.
struct ExportSettings {
  static let keys = ["prefix", "keyTemplate", "compression", "rotate", "manifest"]

  var layout = ExportLayout()
  var policy = BatchPolicy(maxRecords: 1_000_000, maxBytes: 64 << 20, maxWait: .seconds(300))

  init(_ members: ConfigurationMembers) throws(ConfigurationError) {
    if let node = members["prefix"] {
      if members["keyTemplate"] != nil { throw node.error("cannot be combined with `keyTemplate`") }
      layout = ExportLayout(prefix: try node.text())
    }
    try members.with("keyTemplate") { (node) throws(ConfigurationError) in layout.keyTemplate = try node.text() }
    try members.with("compression") { (node) throws(ConfigurationError) in
      layout.compression = try node.choice(["none": .none, "gzip": .gzip(), "zstd": .zstd()])
    }
    layout.fields = try FieldSelection(members)
    layout.filter = try members["filter"].filter()
    try members.with("manifest") { (node) throws(ConfigurationError) in layout.manifest = try node.bool() }
    try members.with("rotate") { (node) throws(ConfigurationError) in try readRotation(node) }
  }

  private mutating func readRotation(_ node: ConfigurationNode) throws(ConfigurationError) {
    let rotate = try node.members(known: ["maxRecords", "maxEvents", "maxBytes", "maxAge", "atHour", "boundary"])
    for key in ["maxRecords", "maxEvents"] {
      try rotate.with(key) { (node) throws(ConfigurationError) in
        policy.maxRecords = try node.integer(1...100_000_000)
      }
    }
    try rotate.with("maxBytes") { (node) throws(ConfigurationError) in policy.maxBytes = try node.bytes() }
    try rotate.with("maxAge") { (node) throws(ConfigurationError) in policy.maxWait = try node.duration() }
    try rotate.with("boundary") { (node) throws(ConfigurationError) in policy.boundary = try node.duration() }
    try rotate.with("atHour") { (node) throws(ConfigurationError) in
      if try node.bool() { policy.boundary = .seconds(3600) }
    }
  }
}
