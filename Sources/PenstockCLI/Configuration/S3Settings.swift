import PenstockDelivery
import PenstockSinks
import Yams

extension S3Configuration {
  static let keys = [
    "bucket", "region", "endpoint", "addressing", "credentials", "profile", "timeout", "multipart", "storageClass",
    "acl", "tags", "encryption", "kmsKeyId", "checksum", "tls",
  ]

  init(_ members: ConfigurationMembers, _ export: ExportSettings) throws(ConfigurationError) {
    self.init(bucket: try members.require("bucket").text(), credentials: try Self.credentials(members))
    profile = try members["profile"]?.text()
    if let node = members["profile"], credentials != nil {
      throw node.error("cannot be combined with `credentials`")
    }
    try members.with("region") { (node) throws(ConfigurationError) in region = try node.text() }
    try members.with("endpoint") { (node) throws(ConfigurationError) in endpoint = try node.text() }
    try members.with("addressing") { (node) throws(ConfigurationError) in
      addressing = try node.choice(["automatic": .automatic, "path": .path, "virtualHost": .virtualHost])
    }
    try members.with("timeout") { (node) throws(ConfigurationError) in timeout = try node.duration() }
    try members.with("multipart") { (node) throws(ConfigurationError) in
      try node.members(known: ["partBytes"]).with("partBytes") { (node) throws(ConfigurationError) in
        partBytes = try node.bytes()
      }
    }
    try members.with("tls") { (node) throws(ConfigurationError) in tls = try TLSSettings(node) }
    storage = try S3StorageOptions(members)
    layout = export.layout
    maxRecords = export.policy.maxRecords
    maxBytes = export.policy.maxBytes
    maxWait = export.policy.maxWait
    boundary = export.policy.boundary
  }

  /// The credentials in the file; nil means the usual AWS sources.
  private static func credentials(_ members: ConfigurationMembers) throws(ConfigurationError) -> S3Credentials? {
    guard let node = members["credentials"] else { return nil }
    let keys = try node.members(known: ["accessKey", "secretKey", "sessionToken"])
    let token = try keys["sessionToken"]?.text()
    return S3Credentials(
      accessKeyID: try keys.require("accessKey").text(),
      secretAccessKey: Secret(try keys.require("secretKey").text()),
      sessionToken: token.map { Secret($0) })
  }
}

extension S3StorageOptions {
  fileprivate init(_ members: ConfigurationMembers) throws(ConfigurationError) {
    self.init()
    storageClass = try members["storageClass"]?.text()
    try members.with("acl") { (node) throws(ConfigurationError) in
      accessControl = try node.oneOf(AccessControl.allCases)
    }
    try members.with("checksum") { (node) throws(ConfigurationError) in
      checksum = try node.oneOf(Checksum.allCases)
    }
    try members.with("tags") { (node) throws(ConfigurationError) in
      guard let mapping = node.node.mapping else { throw node.error("expected names and values") }
      for (name, value) in mapping {
        let text = name.string ?? ""
        tags.append(Tag(text, try ConfigurationNode(node: value, key: "\(node.key).\(text)").text()))
      }
    }
    try members.with("encryption") { (node) throws(ConfigurationError) in
      encryption = try node.choice(["bucket": .bucketDefault, "s3": .storeManaged, "kms": .keyManagement()])
    }
    try members.with("kmsKeyId") { (node) throws(ConfigurationError) in
      guard case .keyManagement = encryption else { throw node.error("needs encryption: kms") }
      encryption = .keyManagement(keyID: try node.text())
    }
  }
}

extension ConfigurationNode {
  fileprivate func oneOf<Choice: RawRepresentable>(
    _ choices: [Choice]
  ) throws(ConfigurationError) -> Choice where Choice.RawValue == String {
    let text = try text()
    guard let found = choices.first(where: { $0.rawValue == text }) else {
      throw error("expected one of \(choices.map(\.rawValue).joined(separator: ", "))")
    }
    return found
  }
}
