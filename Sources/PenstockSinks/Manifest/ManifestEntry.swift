import PenstockDelivery
import PenstockLog
import PenstockSupport

/// One manifest entry: the content of one exported object, or the range of a batch without rows.
public struct ManifestEntry: Sendable, Hashable, Codable {
  /// The version of the format: 1.
  public var version = 1
  /// The log's UUID, as 32 hexadecimal digits.
  public var log: String
  /// The cursor's name.
  public var cursor: String
  /// The delivery's id, which depends on log, cursor, range and content.
  public var id: String
  /// The object's key; empty if there is no object, because no record of the range passed the filter.
  public var key: String
  /// The first record's offset.
  public var first: UInt64
  /// The last record's offset.
  public var last: UInt64
  /// The number of rows. Less than the number of records if the filter removed some.
  public var count: Int
  /// The length of the rows in bytes, before compression.
  public var bytes: Int
  /// SHA-256 of the rows before compression, in hexadecimal; empty where there is a ``crc32c``.
  public var sha256 = ""
  /// CRC-32C of the rows, in hexadecimal, where the object consists of the log's own compressed blocks; else empty.
  public var crc32c = ""
  /// The object's size in the store, in bytes.
  public var stored: Int
  /// SHA-256 of the object as it is stored, in hexadecimal; empty where that is not known.
  public var storedSHA256 = ""
  /// Why the batch was closed; empty if that is unknown.
  public var closed: String
  /// The ``hash`` of the previous entry; 64 zeros if there was none.
  public var previous: String

  enum CodingKeys: String, CodingKey {
    case version, log, cursor, id, key, first, last, count, bytes, sha256, crc32c, stored
    case storedSHA256 = "storedSha256"
    case closed, previous
  }

  /// Whether there is an object; false for a batch without rows.
  public var hasObject: Bool { !key.isEmpty }

  /// The object or the records, for messages.
  var subject: String { hasObject ? key : "records \(first) to \(last), which have no rows" }

  static let noPrevious = String(repeating: "0", count: 64)

  init(_ delivery: DeliveryRequest, _ plan: ExportPlan, stored: StoredObject?, previous: String) {
    log = delivery.logID
    cursor = delivery.cursor
    id = delivery.intent.id.rawValue
    key = delivery.body.eventCount == 0 ? "" : plan.key
    first = delivery.intent.first.rawValue
    last = delivery.intent.end.rawValue - 1
    count = delivery.body.eventCount
    bytes = delivery.body.contentLength
    self.stored = stored?.size ?? 0
    storedSHA256 = stored?.text ?? ""
    closed = plan.closedBy?.rawValue ?? ""
    self.previous = previous
    digest = ContentDigest(bytes: delivery.body.contentDigest)
  }

  /// What identifies the rows; nil where the entry has none that is well-formed.
  var digest: ContentDigest? {
    get { crc32c.isEmpty ? ContentDigest(.sha256, text: sha256) : ContentDigest(.crc32c, text: crc32c) }
    set {
      sha256 = newValue?.kind == .sha256 ? newValue?.text ?? "" : ""
      crc32c = newValue?.kind == .crc32c ? newValue?.text ?? "" : ""
    }
  }

  /// The entry as JSON, without a line feed: members in a fixed order, no white space. Equal entries have equal lines.
  public var line: String {
    let texts: [(String, String)] = [
      ("version", String(version)), ("log", Self.quoted(log)), ("cursor", Self.quoted(cursor)), ("id", Self.quoted(id)),
      ("key", Self.quoted(key)), ("first", String(first)), ("last", String(last)), ("count", String(count)),
      ("bytes", String(bytes)),
      crc32c.isEmpty ? ("sha256", Self.quoted(sha256)) : ("crc32c", Self.quoted(crc32c)), ("stored", String(stored)),
      ("storedSha256", Self.quoted(storedSHA256)), ("closed", Self.quoted(closed)),
      ("previous", Self.quoted(previous)),
    ]
    return "{" + texts.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
  }

  /// SHA-256 of ``line``, in hexadecimal.
  public var hash: String { Self.hash(ofLine: Array(line.utf8)) }

  static func hash(ofLine line: [UInt8]) -> String { Digest.hex(Digest.sha256(line)) }

  /// A JSON string that escapes only what must be escaped (RFC 8259, section 7).
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

  /// Whether two entries describe the same object. Ignores `previous`, `closed` and what is said of the stored bytes: a
  /// cursor that moved back finds its own earlier entries.
  func names(sameObjectAs other: ManifestEntry) -> Bool {
    var other = other
    other.previous = previous
    other.stored = stored
    other.storedSHA256 = storedSHA256
    other.closed = closed
    return self == other
  }
}
