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

  /// With the blank that makes it one.
  private static let declaration = Array("<?xml ".utf8)

  /// Whether the bytes may be shown to the XML parser at all.
  static func isHarmless(_ bytes: [UInt8]) -> Bool {
    // Foundation's parser traps on a name that is not UTF-8; zeros would be UTF-16, in which the next check sees nothing.
    guard !bytes.isEmpty, !bytes.contains(0), String(validating: bytes, as: UTF8.self) != nil else { return false }
    // Foundation's parser also traps on a processing instruction that has a name and nothing else. S3 sends none at all: what
    // looks like one is the declaration in front.
    let body = bytes.dropFirst(bytes.starts(with: declaration) ? declaration.count : 0)
    // A document type is where entities are defined, and entities can be made to grow without bound.
    return !body.contains("<?".utf8) && !body.contains("<!DOCTYPE".utf8)
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
