/// Lost records. The log reports them instead of skipping them: the reader decides whether to continue after them.
///
/// A read that meets a gap throws a ``LogError`` of code `.gap` whose `cause` is this value. Reading from `end` works.
public struct Gap: Error, Hashable, Sendable, Codable, CustomStringConvertible {
  /// Why records are missing.
  public enum Reason: String, Hashable, Sendable, Codable {
    /// Acknowledged bytes no longer validate.
    case damaged
    /// The disk cannot read the bytes now. It may read them again later.
    case unreadable
    /// A whole segment file is gone.
    case missing
    /// Retention removed the records before this reader read them.
    case trimmed
  }
  /// The lost records are `first ..< end`.
  public let first: Offset
  /// One past the last missing record.
  public let end: Offset
  /// Why they are missing.
  public let reason: Reason
  /// The file that held them, where it is known.
  public let path: String?

  /// A gap with these values.
  public init(first: Offset, end: Offset, reason: Reason, path: String? = nil) {
    self.first = first
    self.end = end
    self.reason = reason
    self.path = path
  }

  /// The part from `offset` on, where the gap begins earlier.
  func starting(at offset: Offset) -> Gap {
    Gap(first: min(max(first, offset), end), end: end, reason: reason, path: path)
  }

  public var description: String {
    "records \(first) up to \(end) (\(end - first)) are lost: \(reason.rawValue)\(path.map { " in \($0)" } ?? "")"
  }
}

extension LogError {
  /// A read met a gap.
  package init(_ gap: Gap) {
    self.init(
      .gap, "the log has a gap; to skip it, read from offset \(gap.end)",
      location: Location(path: gap.path, offset: gap.first),
      cause: gap)
  }

  /// The gap, when the error reports one.
  public var gap: Gap? { cause as? Gap }
}
