import XMLCoder

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// An S3 error document: `<Error><Code>…</Code><Message>…</Message></Error>`.
struct S3ErrorBody: Decodable, Hashable {
  var code: String
  var message: String?

  private enum CodingKeys: String, CodingKey {
    case code = "Code"
    case message = "Message"
  }

  /// The limit of an error document: 16 KiB.
  static let limit = 16_384

  /// Nil if the bytes exceed the limit, or are not such a document.
  init?(_ bytes: [UInt8]) {
    guard bytes.count <= Self.limit, S3Documents.isHarmless(bytes) else { return nil }
    guard let body = try? XMLDecoder().decode(S3ErrorBody.self, from: Data(bytes)) else { return nil }
    self = body
  }
}
