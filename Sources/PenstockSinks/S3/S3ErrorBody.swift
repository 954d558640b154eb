import XMLCoder

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// What S3 says of a failure: `<Error><Code>…</Code><Message>…</Message></Error>`.
struct S3ErrorBody: Decodable, Hashable {
  var code: String
  var message: String?

  private enum CodingKeys: String, CodingKey {
    case code = "Code"
    case message = "Message"
  }

  /// 16 KiB: what an error document may take.
  static let limit = 16_384

  /// Nil when the bytes are too many, or are no such document.
  init?(_ bytes: [UInt8]) {
    guard bytes.count <= Self.limit, S3Documents.isHarmless(bytes) else { return nil }
    guard let body = try? XMLDecoder().decode(S3ErrorBody.self, from: Data(bytes)) else { return nil }
    self = body
  }
}
