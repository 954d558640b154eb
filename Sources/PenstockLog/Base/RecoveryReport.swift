/// What opening a log found and did. Machine-readable; the command line prints it.
public struct RecoveryReport: Hashable, Sendable, Codable {
  public enum Outcome: String, Hashable, Sendable, Codable {
    /// There was no log; an empty one was made.
    case created
    /// The newest segment ended as it should.
    case clean
    /// A commit that a power cut left in pieces was cut off, and kept in quarantine. It was most likely never acknowledged.
    case torn
    /// The last bytes are no whole block, and nothing says that they were acknowledged: cut off, and kept in quarantine.
    case undecidable
    /// Acknowledged records are lost; see `gaps`. Everything else is served.
    case damaged
  }
  public var outcome: Outcome
  /// The row of the recovery table that decided.
  public var rule: String
  /// The newest segment's file.
  public var segment: String?
  /// The first position in it at which no valid block stood.
  public var position: UInt64?
  /// Bytes cut off, up to the last that was not zero.
  public var cutBytes: UInt64 = 0
  /// Copies of cut or damaged bytes.
  public var quarantined: [String] = []
  public var gaps: [Gap] = []
  /// Files that are none of the log's. They were left alone.
  public var unknownFiles: [String] = []
  /// META had to be made again from the segments.
  public var rebuiltMeta = false
  /// One past the newest record.
  public var end = Offset.zero
  public var epoch: UInt32 = 0
  /// Whether the newest segment was read from the disk. False where the file system cannot prove that: then what an earlier
  /// failed write left in memory may have been taken for written.
  public var isDiskProven = true
  public var producers = Producers()

  /// What became of the producers' sequences.
  public struct Producers: Hashable, Sendable, Codable {
    /// How many are known.
    public var count = 0
    /// Whether every other has never appended. Otherwise some were evicted, or records that may have been theirs are lost.
    public var isComplete = true
    /// Producers that may have appended more than is known, because records are lost.
    public var uncertain: [String] = []
    /// The offset at which the snapshot was made that was used; nil when there was none.
    public var snapshot: Offset?
    /// From here on blocks were looked at.
    public var readFrom = Offset.zero
    /// Snapshot files that could not be used.
    public var damagedSnapshots: [String] = []

    init(snapshot: Offset? = nil, readFrom: Offset = .zero) {
      self.snapshot = snapshot
      self.readFrom = readFrom
    }
  }

  public init(outcome: Outcome, rule: String) {
    self.outcome = outcome
    self.rule = rule
  }
}
