import PenstockDelivery

/// AWS credentials for a bucket.
public struct S3Credentials: Sendable, Hashable {
  /// The access key's id.
  public var accessKeyID: String
  /// The access key's secret.
  public var secretAccessKey: Secret
  /// The session token of temporary credentials.
  public var sessionToken: Secret?

  /// Credentials; without a session token they are permanent.
  public init(accessKeyID: String, secretAccessKey: Secret, sessionToken: Secret? = nil) {
    self.accessKeyID = accessKeyID
    self.secretAccessKey = secretAccessKey
    self.sessionToken = sessionToken
  }
}

/// The configuration of a bucket as a destination.
///
/// ## What a change affects
/// A delivery in flight keeps its ``layout``; a change applies from the next object on. All other settings apply to the
/// next attempt. So do not change ``bucket`` while a delivery is in flight, unless the new bucket is to receive it.
public struct S3Configuration: Sendable {
  /// Where a request names the bucket.
  public enum Addressing: Sendable, Hashable {
    /// ``path`` with a custom endpoint and for bucket names with dots; otherwise ``virtualHost``.
    case automatic
    /// `https://endpoint/bucket/key`
    case path
    /// `https://bucket.endpoint/key`
    case virtualHost
  }

  /// The bucket's name.
  public var bucket: String
  /// The bucket's region. Default: `AWS_REGION`, `AWS_DEFAULT_REGION`, or else `us-east-1`. The region in the shared
  /// files is not used.
  public var region: String
  /// Nil uses the sources that AWS tools use; see `S3CredentialChain`.
  public var credentials: S3Credentials?
  /// The section of the shared files. Nil: `AWS_PROFILE`, or else `default`.
  public var profile: String?
  /// `https://host:port` of an S3-compatible store, with its base path if it has one; nil for Amazon S3.
  public var endpoint: String?
  /// Where a request names the bucket.
  public var addressing: Addressing = .automatic
  /// The names and the content of the objects.
  public var layout = ExportLayout()
  /// The storage options of the objects.
  public var storage = S3StorageOptions()
  /// The trusted authorities of the store, and a client certificate. Without authorities here, the store uses the file
  /// in `AWS_CA_BUNDLE`, or else the system's. Credential services do not use these settings.
  public var tls = TLSSettings()
  /// The limit for one request. Default: 120 seconds.
  public var timeout: Duration = .seconds(120)
  /// A larger object, as sent, is uploaded in parts of this size, in bytes. Default: 8 MiB. Amazon S3 requires at least
  /// 5 MiB; other stores may allow less. An upload keeps the batch and a few parts in memory.
  public var partBytes = 8 << 20

  /// The maximum number of events per object. Default: 1,000,000.
  public var maxRecords = 1_000_000
  /// The maximum bytes of events per object, before compression. Default: 64 MiB. The events of one object are in
  /// memory.
  public var maxBytes = 64 << 20
  /// The longest time an event waits for its object to fill. Default: 5 minutes.
  public var maxWait: Duration = .seconds(300)
  /// Closes an object at every multiple of this duration since 1970 (UTC). One hour closes objects at every full hour.
  /// Nil: no boundary.
  public var boundary: Duration?

  /// - Parameters:
  ///   - bucket: The name of an existing bucket.
  ///   - region: The bucket's region; nil uses the environment.
  ///   - credentials: Nil uses the sources of `S3CredentialChain`.
  public init(bucket: String, region: String? = nil, credentials: S3Credentials? = nil) {
    self.bucket = bucket
    self.region = region ?? Self.region(Platform.environment())
    self.credentials = credentials
  }
}

extension S3Configuration {
  /// The region in an environment.
  static func region(_ environment: [String: String]) -> String {
    ["AWS_REGION", "AWS_DEFAULT_REGION"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty } ?? "us-east-1"
  }

  /// Creates two transports: one for the store and one for the credential services. An authority that is trusted for
  /// the store *instead of* the system's must not affect the services.
  func makeTransports(
    _ environment: [String: String] = Platform.environment()
  ) throws(SinkError) -> (store: AsyncHTTPTransport, services: AsyncHTTPTransport) {
    let bundle = environment["AWS_CA_BUNDLE"].flatMap { $0.isEmpty ? nil : $0 }
    var (store, services) = (TransportSettings(), TransportSettings())
    store.tls = tls
    store.tls.authorities = tls.authorities ?? bundle
    services.tls.authorities = bundle
    return (try AsyncHTTPTransport(store), try AsyncHTTPTransport(services))
  }

  /// 5 GiB: the limit of Amazon S3 for one PUT, and far below 10,000 parts of the smallest size.
  static let maxObjectBytes = 5 << 30
  /// Amazon S3's limit for every part but the last.
  static let minPartBytes = 5 << 20
  /// The limit of a part, which is in memory.
  static let maxPartBytes = 1 << 30
  /// Half of the limit of Amazon S3, because rows can be longer than their records.
  static let maxParts = 5000

  /// The maximum bytes of events in one object.
  var largestObject: Int { min(Self.maxObjectBytes, partBytes * Self.maxParts) }

  /// Throws for the first invalid setting.
  func validate() throws(SinkError) {
    let letters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_".utf8)
    // Amazon's rule for new buckets is stricter, but old buckets and other stores have capitals and underscores.
    guard (3...255).contains(bucket.utf8.count), bucket.utf8.allSatisfy(letters.contains), bucket != "...",
      !bucket.hasPrefix("."), !bucket.contains("..")
    else { throw SinkError("\"\(bucket)\" is not a valid bucket name") }
    guard !region.isEmpty, region.utf8.allSatisfy(letters.contains) else {
      throw SinkError("\"\(region)\" is not a valid region")
    }
    if let problem = credentials?.problem { throw SinkError(problem) }
    guard maxRecords > 0, maxBytes > 0, maxBytes <= Self.maxObjectBytes else {
      throw SinkError("an object's limits must be above 0 and at most 5 GiB")
    }
    guard partBytes >= (endpoint == nil ? Self.minPartBytes : 1), partBytes <= Self.maxPartBytes,
      maxBytes / partBytes <= Self.maxParts
    else {
      throw SinkError(
        "a part must have 5 MiB to 1 GiB (other stores than Amazon S3 may allow less), and an object at most 5,000 "
          + "parts; \(partBytes) bytes per part are not valid")
    }
    guard maxWait >= .zero, timeout > .zero else {
      throw SinkError("maxWait must not be below 0, and timeout must be above 0")
    }
    try storage.validate()
    try layout.validate()
  }
}

extension S3Credentials {
  /// Why these credentials are invalid; nil if they may be valid.
  var problem: String? {
    let isVisible = accessKeyID.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    guard !accessKeyID.isEmpty, isVisible, !accessKeyID.contains("/") else {
      return "the access key ID is empty or has invalid characters"
    }
    guard !secretAccessKey.revealed.isEmpty else { return "the secret access key is empty" }
    // A key with a line feed, as from a file, gives wrong signatures, and no response says why.
    for (secret, name) in [(secretAccessKey, "secret access key"), (sessionToken ?? Secret("-"), "session token")] {
      let text = secret.revealed
      guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
        return "the \(name) has a line feed or another control character"
      }
      guard text == text.trimmingBlanks() else { return "the \(name) begins or ends with a blank" }
    }
    return nil
  }

  var secrets: [Secret] { [secretAccessKey] + (sessionToken.map { [$0] } ?? []) }
}
