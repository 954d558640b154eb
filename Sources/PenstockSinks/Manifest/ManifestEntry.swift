import PenstockDelivery
import PenstockLog
import PenstockSupport

/// One line of a manifest: what one exported object holds, or that a batch had no rows to export.
public struct ManifestEntry: Sendable, Hashable, Codable {
  /// 1.
  public var version = 1
  /// The log's UUID, as 32 hexadecimal digits.
  public var log: String
  public var cursor: String
  /// The delivery's id, which follows from log, cursor, range and content.
  public var id: String
  /// The object's key; empty when there is no object, because no record of the range passed the filter.
  public var key: String
  public var first: UInt64
  /// The last record's offset.
  public var last: UInt64
  /// How many rows the object has; fewer than records when some were filtered.
  public var count: Int
  /// Length of the rows before compression.
  public var bytes: Int
  /// SHA-256 of the rows before compression, in hexadecimal.
  public var sha256: String
  /// The object's size in the store.
  public var stored: Int
  /// Why the batch ended where it ended; empty when that is not known.
  public var closed: String
  /// ``hash`` of the entry before; 64 zeros where none was.
  public var previous: String

  /// Whether there is an object: false where the filter left no row of the range.
  public var hasObject: Bool { !key.isEmpty }

  /// What it is about, for people.
  var subject: String { hasObject ? key : "records \(first) to \(last), which have no rows" }

  static let noPrevious = String(repeating: "0", count: 64)

  init(_ delivery: DeliveryRequest, _ plan: ExportPlan, stored: Int, previous: String) {
    log = delivery.logID
    cursor = delivery.cursor
    id = delivery.intent.id.rawValue
    key = delivery.body.eventCount == 0 ? "" : plan.key
    first = delivery.intent.first.rawValue
    last = delivery.intent.end.rawValue - 1
    count = delivery.body.eventCount
    bytes = delivery.body.contentLength
    sha256 = Digest.hex(delivery.body.contentDigest)
    self.stored = stored
    closed = plan.closedBy?.rawValue ?? ""
    self.previous = previous
  }

  /// The line without its line feed: members in a fixed order, nothing between them. Equal entries have equal lines.
  public var line: String {
    let texts: [(String, String)] = [
      ("version", String(version)), ("log", Self.quoted(log)), ("cursor", Self.quoted(cursor)), ("id", Self.quoted(id)),
      ("key", Self.quoted(key)), ("first", String(first)), ("last", String(last)), ("count", String(count)),
      ("bytes", String(bytes)), ("sha256", Self.quoted(sha256)), ("stored", String(stored)),
      ("closed", Self.quoted(closed)), ("previous", Self.quoted(previous)),
    ]
    return "{" + texts.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
  }

  /// SHA-256 of ``line``, in hexadecimal.
  public var hash: String { Self.hash(ofLine: Array(line.utf8)) }

  static func hash(ofLine line: [UInt8]) -> String { Digest.hex(Digest.sha256(line)) }

  /// JSON, with nothing escaped but what must be (RFC 8259, section 7).
  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case _ where scalar.value < 0x20: quoted += "\\u00" + Digest.hex([UInt8(scalar.value)])
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  /// Whether it says the same of the same object, whatever stood before it and whyever it was closed: a cursor that was
  /// sought back meets its own entries again.
  func names(sameObjectAs other: ManifestEntry) -> Bool {
    var other = other
    other.previous = previous
    other.stored = stored
    other.closed = closed
    return self == other
  }
}
