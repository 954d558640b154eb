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
/// bucket, and changes with the next attempt. Do not change ``bucket`` while a delivery is under way unless the new bucket
/// is to receive it.
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
  public var region: String
  public var credentials: S3Credentials
  /// `http://host:port` of an S3-compatible store; nil for Amazon S3.
  public var endpoint: String?
  public var addressing: Addressing = .automatic
  public var layout = ExportLayout()
  /// For one request.
  public var timeout: Duration = .seconds(120)

  /// The most events an object holds; 1,000,000 unless set.
  public var maxRecords = 1_000_000
  /// The most bytes of events an object holds, before compression; 64 MiB unless set. An object is built in memory.
  public var maxBytes = 64 << 20
  /// How long an event waits for its object to fill; 5 minutes unless set.
  public var maxWait: Duration = .seconds(300)
  /// An object does not stay open past a multiple of this since 1970 in UTC: an hour gives "at every full hour". Nil for none.
  public var boundary: Duration?

  public init(bucket: String, region: String = "us-east-1", credentials: S3Credentials) {
    self.bucket = bucket
    self.region = region
    self.credentials = credentials
  }
}

extension S3Configuration {
  /// 5 GiB: what Amazon S3 takes in one PUT.
  static let maxObjectBytes = 5 << 30

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
    let isVisible = credentials.accessKeyID.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    guard !credentials.accessKeyID.isEmpty, isVisible, !credentials.accessKeyID.contains("/") else {
      throw SinkError("the access key ID is empty or has characters that none has")
    }
    guard !credentials.secretAccessKey.revealed.isEmpty else { throw SinkError("the secret access key is empty") }
    guard maxRecords > 0, maxBytes > 0, maxBytes <= Self.maxObjectBytes else {
      throw SinkError("an object's limits must be above 0 and at most 5 GiB")
    }
    guard maxWait >= .zero, timeout > .zero else { throw SinkError("the waiting time or the timeout is below 0") }
    try layout.validate()
  }
}
