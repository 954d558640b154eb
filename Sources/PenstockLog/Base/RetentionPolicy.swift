/// What a log keeps. Retention removes whole segments from its beginning, never the newest one.
///
/// Age and size only remove records that every cursor has passed; a cursor that does not move keeps everything after
/// it. The hard cap is for operators who prefer losing records to a full disk. It removes records that a cursor has not
/// read, and each such cursor gets a gap with exactly what it lost.
public struct RetentionPolicy: Hashable, Sendable {
  /// Removes records this much older than the newest record. Default nil: keeps any age. Age is measured on append
  /// times, which never fall. So a clock that jumps while nothing is appended removes nothing, and an idle log keeps
  /// its records.
  public var maxAge: Duration?
  /// Keeps the segments' files at or below so many bytes, including zeros filled ahead in the newest one. Default nil:
  /// any size. At least `segmentBytes`.
  public var maxBytes: Int?
  /// Keeps the files at or below so many bytes, even where a cursor has not read the records. The cursor's next read
  /// then throws a ``Gap`` (reason `.trimmed`) that the consumer must acknowledge. Default nil: never. At least
  /// `segmentBytes` and `maxBytes`.
  public var hardCapBytes: Int?

  /// Keeps everything by default.
  public init(maxAge: Duration? = nil, maxBytes: Int? = nil, hardCapBytes: Int? = nil) {
    self.maxAge = maxAge
    self.maxBytes = maxBytes
    self.hardCapBytes = hardCapBytes
  }

  var keepsEverything: Bool { maxAge == nil && maxBytes == nil && hardCapBytes == nil }

  /// `maxAge` in nanoseconds; saturates after 292 years.
  var maxAgeNanoseconds: Int64? {
    maxAge.map { age in
      let (seconds, attoseconds) = age.components
      let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
      let (sum, isLate) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
      return overflow || isLate ? .max : sum
    }
  }

  /// Throws `.invalidConfiguration`, naming the setting and its range.
  func validate(segmentBytes: Int) throws(LogError) {
    if let maxAge, maxAge <= .zero {
      throw LogError(.invalidConfiguration, "retention.maxAge is \(maxAge); it must be longer than nothing")
    }
    if let maxBytes, maxBytes < segmentBytes {
      throw LogError(
        .invalidConfiguration,
        "retention.maxBytes is \(maxBytes); it must be at least segmentBytes (\(segmentBytes)), because the newest "
          + "segment is never removed")
    }
    let least = max(segmentBytes, maxBytes ?? 0)
    if let hardCapBytes, hardCapBytes < least {
      throw LogError(
        .invalidConfiguration,
        "retention.hardCapBytes is \(hardCapBytes); it must be at least segmentBytes and retention.maxBytes (\(least))")
    }
  }
}

// The age in seconds, as operators write it, not as `Duration`'s pair of integers.
extension RetentionPolicy: Codable {
  private enum Key: String, CodingKey {
    case maxAgeSeconds, maxBytes, hardCapBytes
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    maxAge = try values.decodeIfPresent(Double.self, forKey: .maxAgeSeconds).map { .seconds($0) }
    maxBytes = try values.decodeIfPresent(Int.self, forKey: .maxBytes)
    hardCapBytes = try values.decodeIfPresent(Int.self, forKey: .hardCapBytes)
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Key.self)
    try values.encodeIfPresent(maxAge.map { $0 / .seconds(1) }, forKey: .maxAgeSeconds)
    try values.encodeIfPresent(maxBytes, forKey: .maxBytes)
    try values.encodeIfPresent(hardCapBytes, forKey: .hardCapBytes)
  }
}

/// What a run of retention did, and what kept it from removing more.
public struct RetentionReport: Hashable, Sendable, Codable {
  /// Something that keeps records which the policy would remove.
  public struct Hold: Hashable, Sendable, Codable {
    /// Why the records stay.
    public enum Reason: String, Hashable, Sendable, Codable {
      /// The cursor has not passed them, and only the hard cap would remove them.
      case notPassed
      /// The hard cap would remove them, but another process holds the cursor, so its loss could not be stored.
      case heldElsewhere
      /// The cursor's position cannot be read. While its file is damaged, only the hard cap removes anything. For any
      /// other error retention removes nothing.
      case unreadable
      /// No durable snapshot covers their producers, so recovery would need them. The log tries to write a snapshot
      /// with every segment, and when the disk is full.
      case neededForProducers
    }
    /// Nil where the reason is not a cursor.
    public var cursor: String?
    /// Why the records stay.
    public var reason: Reason
    /// The first record it holds; nil where that is not known.
    public var offset: Offset?
    /// The explanation, as a sentence.
    public var message: String

    /// A hold with these values.
    public init(cursor: String?, reason: Reason, offset: Offset?, message: String) {
      self.cursor = cursor
      self.reason = reason
      self.offset = offset
      self.message = message
    }
  }

  /// What a cursor lost to the hard cap.
  public struct Loss: Hashable, Sendable, Codable {
    /// The cursor's name.
    public var cursor: String
    /// The records that it lost.
    public var gap: Gap

    /// A loss with these values.
    public init(cursor: String, gap: Gap) {
      self.cursor = cursor
      self.gap = gap
    }
  }

  /// The log's first record before the run.
  public var firstBefore: Offset
  /// The log's first record after the run.
  public var first: Offset
  /// Segments removed.
  public var droppedSegments = 0
  /// The removed files' size, in bytes.
  public var droppedBytes: UInt64 = 0
  /// The files of the segments that are left, in bytes.
  public var bytes: UInt64 = 0
  /// Cursors that lost records to the hard cap in this run.
  public var losses: [Loss] = []
  /// What kept the run from removing more.
  public var holds: [Hold] = []

  /// The report of a run that removed nothing.
  public init(first: Offset) {
    firstBefore = first
    self.first = first
  }
}
