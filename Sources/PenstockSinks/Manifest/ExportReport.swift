/// What a verification of an export found.
public struct ExportReport: Sendable, Hashable, Codable {
  /// What was looked at: each includes the one before.
  public enum Depth: String, Sendable, Hashable, Codable, CaseIterable {
    /// Names and sizes of all objects, and all of the manifest.
    case listing
    /// What the store keeps beside each object (one request each); in a directory, the same as `listing`.
    case metadata
    /// Every object's content: all of it is read.
    case content
  }

  public struct Finding: Sendable, Hashable, Codable, CustomStringConvertible {
    public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
      /// The manifest has an entry for an object that is not there.
      case missingObject
      /// An object has another size, or other metadata, than its entry says.
      case alteredObject
      /// An object's content has another SHA-256 or length than its entry says, or cannot be decompressed.
      case wrongContent
      /// Something lies among the objects that no entry names, and that is not the newest, unfinished delivery.
      case foreignObject
      /// An entry is not as it was written: it, or the one before it, was changed.
      case editedEntry
      /// Something in the manifest's folder is no entry.
      case unreadableEntry
      /// An entry that must have been there is not.
      case missingEntry
      /// Records are in two objects.
      case overlap
      /// Records are in no object.
      case gap
    }

    public var kind: Kind
    /// The object or entry it is about, where there is one.
    public var key: String?
    /// The first record it is about.
    public var first: UInt64?
    /// One past the last record it is about.
    public var end: UInt64?
    /// In words, without the key.
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
  public var cursor: String
  public var depth: Depth
  /// Whether there is a manifest; without one, only names and sizes can be looked at.
  public var hasManifest = false
  /// The first record of the export; nil when it has none.
  public var first: UInt64?
  /// One past the last record of the export.
  public var end: UInt64?
  public var objects = 0
  /// Rows, as the manifest says.
  public var rows = 0
  /// As stored.
  public var bytes = 0
  /// The newest object when its entry is not written yet: a delivery that is under way, or was cut off. Not a finding.
  public var pending: String?
  /// In the order of the records.
  public var findings: [Finding] = []

  /// Batches of which the filter left no row, and which therefore have no object.
  public var batchesWithoutRows = 0

  /// Records `first ..< end`, no gap, no overlap, every hash right, as far as ``depth`` reaches.
  public var isSound: Bool { findings.isEmpty }

  init(log: String, cursor: String, depth: Depth) {
    self.log = log
    self.cursor = cursor
    self.depth = depth
  }

  /// For people: one line for the whole, and one for each finding.
  public var lines: [String] {
    let range = first.flatMap { first in end.map { "records \(first) to \($0 - 1)" } } ?? "no records"
    let proof = hasManifest ? "by manifest and \(depth.rawValue)" : "by their names alone, there is no manifest"
    var lines = ["\(range) in \(objects) objects, \(bytes) bytes, \(proof): \(isSound ? "sound" : "NOT sound")"]
    if let pending { lines.append("  under way: \(pending)") }
    return lines + findings.map { "  \($0.kind.rawValue): \($0)" }
  }
}
