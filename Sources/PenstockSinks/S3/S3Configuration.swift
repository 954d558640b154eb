import PenstockDelivery

/// The right to use a bucket.
public struct S3Credentials: Sendable, Hashable {
  public var accessKeyID: String
  public var secretAccessKey: Secret
  /// For temporary credentials.
  public var sessionToken: Secret?

  public init(accessKeyID: String, secretAccessKey: Secret, sessionToken: Secret? = nil) {
    self.accessKeyID = accessKeyID
    self.secretAccessKey = secretAccessKey
    self.sessionToken = sessionToken
  }
}

/// A bucket, and what is written into it.
///
/// ## What is frozen
/// ``layout`` is frozen for a delivery under way and changes from the next object on. Everything else says how to reach the
/// bucket and how it keeps objects, and changes with the next attempt. Do not change ``bucket`` while a delivery is under
/// way unless the new bucket is to receive it.
public struct S3Configuration: Sendable {
  public enum Addressing: Sendable, Hashable {
    /// ``path`` with an endpoint of one's own and for bucket names with dots, ``virtualHost`` otherwise.
    case automatic
    /// `https://endpoint/bucket/key`
    case path
    /// `https://bucket.endpoint/key`
    case virtualHost
  }

  public var bucket: String
  /// The bucket's; unless set `AWS_REGION`, `AWS_DEFAULT_REGION`, or else `us-east-1`. Those of the shared files are
  /// not read.
  public var region: String
  /// Nil looks for credentials where every AWS tool does; see `S3CredentialChain`.
  public var credentials: S3Credentials?
  /// The section of the shared files to use; nil for `AWS_PROFILE`, and else `default`.
  public var profile: String?
  /// `https://host:port` of an S3-compatible store, with a path before the bucket's where it has one; nil for Amazon
  /// S3.
  public var endpoint: String?
  public var addressing: Addressing = .automatic
  public var layout = ExportLayout()
  /// How the store keeps the objects.
  public var storage = S3StorageOptions()
  /// Whom the store's certificate must come from, and a certificate of our own. Unless authorities are named here,
  /// those in the file that `AWS_CA_BUNDLE` names, or else the system's. The services that give credentials are not
  /// concerned.
  public var tls = TLSSettings()
  /// For one request.
  public var timeout: Duration = .seconds(120)
  /// An object of more bytes than this (as it is sent) goes up in parts of this size; 8 MiB unless set. Amazon S3 takes none
  /// below 5 MiB; other stores may. What an upload holds in memory besides the batch is a few of these.
  public var partBytes = 8 << 20

  /// The most events an object holds; 1,000,000 unless set.
  public var maxRecords = 1_000_000
  /// The most bytes of events an object holds, before compression; 64 MiB unless set. The events of one object are held in
  /// memory.
  public var maxBytes = 64 << 20
  /// How long an event waits for its object to fill; 5 minutes unless set.
  public var maxWait: Duration = .seconds(300)
  /// An object does not stay open past a multiple of this since 1970 in UTC: an hour gives "at every full hour". Nil for none.
  public var boundary: Duration?

  /// - Parameters:
  ///   - bucket: Its name; it must be there.
  ///   - region: The bucket's; nil for what the environment says.
  ///   - credentials: Nil looks for them; see `S3CredentialChain`.
  public init(bucket: String, region: String? = nil, credentials: S3Credentials? = nil) {
    self.bucket = bucket
    self.region = region ?? Self.region(Platform.environment())
    self.credentials = credentials
  }
}

extension S3Configuration {
  /// The region that an environment names.
  static func region(_ environment: [String: String]) -> String {
    ["AWS_REGION", "AWS_DEFAULT_REGION"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty } ?? "us-east-1"
  }

  /// What speaks to the store, and what to the services that give credentials: an authority that is believed for the
  /// store *instead of* the system's must not keep the others from being reached.
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

  /// 5 GiB: what Amazon S3 takes in one PUT, and far below 10,000 parts of the smallest size.
  static let maxObjectBytes = 5 << 30
  /// Amazon S3's limit for every part but the last.
  static let minPartBytes = 5 << 20
  /// A part is held in memory.
  static let maxPartBytes = 1 << 30
  /// Half of what Amazon S3 takes: rows can be longer than the records they are made of.
  static let maxParts = 5000

  /// Bytes of events that one object may hold at most.
  var largestObject: Int { min(Self.maxObjectBytes, partBytes * Self.maxParts) }

  /// Throws for the first thing that cannot work.
  func validate() throws(SinkError) {
    let letters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_".utf8)
    // Wider than Amazon's rule for new buckets: old buckets and other stores have capitals and underscores.
    guard (3...255).contains(bucket.utf8.count), bucket.utf8.allSatisfy(letters.contains), bucket != "...",
      !bucket.hasPrefix("."), !bucket.contains("..")
    else { throw SinkError("\"\(bucket)\" cannot be the name of a bucket") }
    guard !region.isEmpty, region.utf8.allSatisfy(letters.contains) else {
      throw SinkError("\"\(region)\" cannot be a region")
    }
    if let problem = credentials?.problem { throw SinkError(problem) }
    guard maxRecords > 0, maxBytes > 0, maxBytes <= Self.maxObjectBytes else {
      throw SinkError("an object's limits must be above 0 and at most 5 GiB")
    }
    guard partBytes >= (endpoint == nil ? Self.minPartBytes : 1), partBytes <= Self.maxPartBytes,
      maxBytes / partBytes <= Self.maxParts
    else {
      throw SinkError(
        "a part must have 5 MiB to 1 GiB (less only in stores that allow it), and an object at most 5,000 parts; "
          + "\(partBytes) bytes are not possible")
    }
    guard maxWait >= .zero, timeout > .zero else { throw SinkError("the waiting time or the timeout is below 0") }
    try storage.validate()
    try layout.validate()
  }
}

extension S3Credentials {
  /// Why these cannot be anybody's credentials, or nil.
  var problem: String? {
    let isVisible = accessKeyID.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    guard !accessKeyID.isEmpty, isVisible, !accessKeyID.contains("/") else {
      return "the access key ID is empty or has characters that none has"
    }
    guard !secretAccessKey.revealed.isEmpty else { return "the secret access key is empty" }
    // A key that came with a line feed, as from a file, signs wrongly, and no answer says why.
    for (secret, name) in [(secretAccessKey, "secret access key"), (sessionToken ?? Secret("-"), "session token")] {
      let text = secret.revealed
      guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
        return "the \(name) has a line feed or another control character in it"
      }
      guard text == text.trimmingBlanks() else { return "the \(name) begins or ends with a blank" }
    }
    return nil
  }

  var secrets: [Secret] { [secretAccessKey] + (sessionToken.map { [$0] } ?? []) }
}
