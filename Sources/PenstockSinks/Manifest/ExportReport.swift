/// The result of an export verification.
public struct ExportReport: Sendable, Hashable, Codable {
  /// What was checked. Each depth includes the previous one.
  public enum Depth: String, Sendable, Hashable, Codable, CaseIterable {
    /// Names and sizes of all objects, and the whole manifest.
    case listing
    /// The metadata of each object (one request each). For a directory, the same as `listing`.
    case metadata
    /// The complete content of every object.
    case content
  }

  /// A difference between what the export should hold and what it holds.
  public struct Finding: Sendable, Hashable, Codable, CustomStringConvertible {
    /// What kind of difference.
    public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
      /// The manifest has an entry for an object that does not exist.
      case missingObject
      /// An object's size or metadata differs from its entry.
      case alteredObject
      /// An object's SHA-256 or length differs from its entry, or it cannot be decompressed.
      case wrongContent
      /// An object has no entry, and is not the newest, unfinished delivery.
      case foreignObject
      /// An entry, or the one before it, was changed after it was written.
      case editedEntry
      /// The manifest's folder has an object that is not a valid entry.
      case unreadableEntry
      /// An entry was deleted.
      case missingEntry
      /// Records are in two objects.
      case overlap
      /// Records are in no object.
      case gap
    }

    /// What kind of difference.
    public var kind: Kind
    /// The key of the object or entry, if there is one.
    public var key: String?
    /// The offset of the first affected record.
    public var first: UInt64?
    /// The offset after the last affected record.
    public var end: UInt64?
    /// The message, without the key.
    public var detail: String

    init(_ kind: Kind, key: String? = nil, _ range: Range<UInt64>? = nil, _ detail: String) {
      self.kind = kind
      self.key = key
      first = range?.lowerBound
      end = range?.upperBound
      self.detail = detail
    }

    public var description: String { key.map { "\($0): \(detail)" } ?? detail }
  }

  /// The log's UUID, as 32 hexadecimal digits.
  public var log: String
  /// The cursor's name.
  public var cursor: String
  /// What was checked.
  public var depth: Depth
  /// Whether there is a manifest. Without one, only names and sizes are checked.
  public var hasManifest = false
  /// The offset of the first exported record; nil if there is none.
  public var first: UInt64?
  /// The offset after the last exported record.
  public var end: UInt64?
  /// The number of objects.
  public var objects = 0
  /// The number of rows in the manifest.
  public var rows = 0
  /// The size of all objects as stored, in bytes.
  public var bytes = 0
  /// The newest object, if its entry is not written yet: its delivery is unfinished. Not a finding.
  public var pending: String?
  /// Sorted by record.
  public var findings: [Finding] = []

  /// The number of batches without rows, which have no object.
  public var batchesWithoutRows = 0

  /// Whether there are no findings: the records `first ..< end` have no gap and no overlap, and every check of
  /// ``depth`` passed.
  public var isSound: Bool { findings.isEmpty }

  init(log: String, cursor: String, depth: Depth) {
    self.log = log
    self.cursor = cursor
    self.depth = depth
  }

  /// The report as text: one summary line, a line for ``pending``, and one line per finding.
  public var lines: [String] {
    let range = first.flatMap { first in end.map { "records \(first) to \($0 - 1)" } } ?? "no records"
    let proof =
      hasManifest ? "checked by manifest and \(depth.rawValue)" : "checked only by their names, without a manifest"
    var lines = ["\(range) in \(objects) objects, \(bytes) bytes, \(proof): \(isSound ? "sound" : "NOT sound")"]
    if let pending { lines.append("  unfinished: \(pending)") }
    return lines + findings.map { "  \($0.kind.rawValue): \($0)" }
  }
}
