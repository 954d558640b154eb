import PenstockDelivery
import PenstockSupport

/// The bytes of an object that is in its store. They are those of the attempt that made it: after any other attempt, it
/// is asked for, never computed from a body that was not stored.
struct StoredObject: Hashable, Sendable {
  /// In bytes.
  var size: Int
  /// SHA-256; nil where it is not known.
  var digest: [UInt8]?

  init(size: Int, digest: [UInt8]?) {
    self.size = size
    self.digest = digest
  }

  init(of bytes: [UInt8]) { self.init(size: bytes.count, digest: Digest.sha256(bytes)) }

  /// What a body becomes; nil where that is known only once it is sent. Rows that are not compressed were hashed for
  /// their content digest.
  init?(of body: PreparedBody, _ plan: ExportPlan) {
    if plan.compression == .none, case .sha256(let digest) = ContentDigest(bytes: body.contentDigest) {
      self.init(size: body.contentLength, digest: digest)
    } else if let stream = body.stream {
      guard let form = (stream as? ExportStream)?.form, let digest = form.digest else { return nil }
      self.init(size: form.count, digest: digest)
    } else {
      self.init(of: body.bytes)
    }
  }

  /// In hexadecimal; empty where it is not known.
  var text: String { digest.map { Digest.hex($0) } ?? "" }
}
