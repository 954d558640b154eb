import XMLCoder

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The XML documents S3 answers with, as far as they are read. Amazon S3 API Reference, "ListObjectsV2",
/// "ListMultipartUploads", "CreateMultipartUpload".
enum S3Documents {
  /// A page of 1,000 keys of 1,024 bytes, each with what stands beside it, escaped.
  static let listLimit = 8 << 20

  struct ObjectList: Decodable {
    struct Entry: Decodable {
      var Key: String
      var Size: Int
    }
    var Contents: [Entry]?
    var IsTruncated: Bool?
    var NextContinuationToken: String?
  }

  struct UploadList: Decodable {
    struct Entry: Decodable {
      var Key: String
      var UploadId: String
    }
    var Upload: [Entry]?
    var IsTruncated: Bool?
    var NextKeyMarker: String?
    var NextUploadIdMarker: String?
  }

  struct NewUpload: Decodable {
    var UploadId: String
  }

  /// Nil when the bytes are no such document.
  static func read<Document: Decodable>(_ type: Document.Type, _ bytes: [UInt8]) -> Document? {
    guard isHarmless(bytes) else { return nil }
    return try? XMLDecoder().decode(type, from: Data(bytes))
  }

  /// Whether the bytes may be shown to the XML parser at all.
  static func isHarmless(_ bytes: [UInt8]) -> Bool {
    // Foundation's parser traps on a name that is not UTF-8; zeros would be UTF-16, in which the next check sees nothing.
    guard !bytes.isEmpty, !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else { return false }
    // A document type is where entities are defined, and entities can be made to grow without bound.
    return !text.contains("<!DOCTYPE")
  }

  /// What ends an upload in parts.
  static func completion(_ parts: [S3Upload.Part], checksum: S3StorageOptions.Checksum?) -> [UInt8] {
    var text = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    for (index, part) in parts.enumerated() {
      text += "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(escaped(part.etag))</ETag>"
      if let checksum, let value = part.checksum {
        text += "<Checksum\(checksum.algorithm)>\(value)</Checksum\(checksum.algorithm)>"
      }
      text += "</Part>"
    }
    return Array((text + "</CompleteMultipartUpload>").utf8)
  }

  private static func escaped(_ text: String) -> String {
    text.reduce(into: "") { text, character in
      switch character {
      case "&": text += "&amp;"
      case "<": text += "&lt;"
      case ">": text += "&gt;"
      case "\"": text += "&quot;"
      default: text.append(character)
      }
    }
  }
}
