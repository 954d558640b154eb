import PenstockDelivery
import PenstockLog
import PenstockSupport

/// The storage options of new objects, which Amazon S3 accepts as request headers.
///
/// No option affects an object's content or name, so a change applies to the next attempt.
public struct S3StorageOptions: Sendable, Hashable {
  /// Server-side encryption.
  public enum Encryption: Sendable, Hashable {
    /// The bucket's default.
    case bucketDefault
    /// SSE-S3: keys of the store.
    case storeManaged
    /// SSE-KMS: a key of the key management service; nil uses the account's key for S3. With a bucket key, one call to
    /// the service serves many objects. Needs `kms:GenerateDataKey`, and `kms:Decrypt` for objects in parts.
    case keyManagement(keyID: String? = nil, bucketKey: Bool = false)
  }

  /// The permissions of an object ("canned ACL").
  public enum AccessControl: String, Sendable, Hashable, CaseIterable {
    case `private`
    case publicRead = "public-read"
    case publicReadWrite = "public-read-write"
    case authenticatedRead = "authenticated-read"
    case awsExecRead = "aws-exec-read"
    case bucketOwnerRead = "bucket-owner-read"
    case bucketOwnerFullControl = "bucket-owner-full-control"
  }

  /// A checksum that the store verifies and stores.
  public enum Checksum: String, Sendable, Hashable, CaseIterable {
    case sha256, crc32c
  }

  /// A tag of each object.
  public struct Tag: Sendable, Hashable {
    /// The tag's name.
    public var name: String
    /// The tag's value.
    public var value: String
    /// A tag with this name and value.
    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// As in `STANDARD_IA`; nil uses the bucket's default.
  public var storageClass: String?
  /// Nil uses the bucket's default. If a bucket has ACLs disabled, Amazon S3 accepts only `bucketOwnerFullControl`.
  public var accessControl: AccessControl?
  /// At most 10.
  public var tags: [Tag] = []
  /// How the store encrypts the objects.
  public var encryption = Encryption.bucketDefault
  /// Nil for none. Buckets with object lock require one.
  public var checksum: Checksum?

  /// The bucket's defaults.
  public init() {}
}

extension S3StorageOptions {
  func validate() throws(SinkError) {
    if let storageClass {
      let letters = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-".utf8)
      guard !storageClass.isEmpty, storageClass.utf8.allSatisfy(letters.contains) else {
        throw SinkError("\"\(storageClass)\" is not a valid storage class; an example is STANDARD_IA")
      }
    }
    guard tags.count <= 10 else { throw SinkError("an object has at most 10 tags, not \(tags.count)") }
    guard Set(tags.map(\.name)).count == tags.count else { throw SinkError("two tags have the same name") }
    for tag in tags {
      guard (1...128).contains(tag.name.unicodeScalars.count), tag.value.unicodeScalars.count <= 256 else {
        throw SinkError(
          "the tag \"\(tag.name.prefix(40))\" is too long: a name has 1 to 128 characters, a value up to 256")
      }
    }
    if case .keyManagement(let keyID?, _) = encryption {
      guard !keyID.isEmpty, keyID.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
        throw SinkError("the key for SSE-KMS is empty or has invalid characters")
      }
    }
  }

  /// The headers of a request that creates an object, in parts or at once.
  var headers: [(name: String, value: String)] {
    var headers: [(name: String, value: String)] = []
    if let storageClass { headers.append((name: "x-amz-storage-class", value: storageClass)) }
    if let accessControl { headers.append((name: "x-amz-acl", value: accessControl.rawValue)) }
    if !tags.isEmpty {
      let pairs = tags.map {
        PercentEncoding.encode($0.name.utf8) + "=" + PercentEncoding.encode($0.value.utf8)
      }
      headers.append((name: "x-amz-tagging", value: pairs.joined(separator: "&")))
    }
    switch encryption {
    case .bucketDefault: break
    case .storeManaged: headers.append((name: "x-amz-server-side-encryption", value: "AES256"))
    case .keyManagement(let keyID, let bucketKey):
      headers.append((name: "x-amz-server-side-encryption", value: "aws:kms"))
      if let keyID { headers.append((name: "x-amz-server-side-encryption-aws-kms-key-id", value: keyID)) }
      if bucketKey { headers.append((name: "x-amz-server-side-encryption-bucket-key-enabled", value: "true")) }
    }
    return headers
  }
}

extension S3StorageOptions.Checksum {
  /// The name in CreateMultipartUpload.
  var algorithm: String {
    switch self {
    case .sha256: "SHA256"
    case .crc32c: "CRC32C"
    }
  }

  var header: String { "x-amz-checksum-" + rawValue }

  /// In base64, as S3 uses it; a CRC is big-endian.
  ///
  /// - Parameter digest: SHA-256 of the bytes.
  func value(of bytes: [UInt8], digest: [UInt8]) -> String {
    switch self {
    case .sha256: Digest.base64(digest)
    case .crc32c:
      Digest.base64(withUnsafeBytes(of: PenstockLog.Checksum.of(bytes).bigEndian) { Array($0) })
    }
  }
}
