import XMLCoder

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The parts of S3's XML documents that are used. Amazon S3 API Reference, "ListObjectsV2", "ListMultipartUploads",
/// "CreateMultipartUpload".
enum S3Documents {
  /// The limit of a page: 1,000 escaped keys of 1,024 bytes, each with its other fields.
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

  /// Nil if the bytes are not such a document.
  static func read<Document: Decodable>(_ type: Document.Type, _ bytes: [UInt8]) -> Document? {
    guard isHarmless(bytes) else { return nil }
    return try? XMLDecoder().decode(type, from: Data(bytes))
  }

  /// With the space, which makes it a declaration.
  private static let declaration = Array("<?xml ".utf8)

  /// Whether the XML parser can safely parse the bytes.
  static func isHarmless(_ bytes: [UInt8]) -> Bool {
    // Foundation's parser traps on a name that is not UTF-8. Zero bytes may be UTF-16, which the next check cannot
    // read.
    guard !bytes.isEmpty, !bytes.contains(0), String(validating: bytes, as: UTF8.self) != nil else { return false }
    // Foundation's parser also traps on a processing instruction with only a name. S3 sends none; only the declaration
    // at the start looks like one.
    let body = bytes.dropFirst(bytes.starts(with: declaration) ? declaration.count : 0)
    // A document type can define entities, and entities can expand without bound.
    return !body.contains("<?".utf8) && !body.contains("<!DOCTYPE".utf8)
  }

  /// The body of CompleteMultipartUpload.
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
