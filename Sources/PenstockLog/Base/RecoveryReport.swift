/// What recovery found and did when the log was opened. Machine-readable; the command line prints it.
public struct RecoveryReport: Hashable, Sendable, Codable {
  /// What recovery found at the log's end.
  public enum Outcome: String, Hashable, Sendable, Codable {
    /// There was no log; recovery made an empty one.
    case created
    /// The newest segment ended with a whole block.
    case clean
    /// Recovery cut a commit that a power cut left in pieces, and kept it in quarantine. It was most likely never
    /// acknowledged.
    case torn
    /// The last bytes are no whole block, and nothing proves that they were acknowledged. Recovery cut them and kept
    /// them in quarantine.
    case undecidable
    /// Acknowledged records are lost; see `gaps`. The log serves everything else.
    case damaged
  }
  /// What recovery found at the log's end.
  public var outcome: Outcome
  /// The row of the recovery table that decided.
  public var rule: String
  /// The newest segment's file.
  public var segment: String?
  /// The first position in it without a valid block.
  public var position: UInt64?
  /// Bytes cut off, up to the last that was not zero.
  public var cutBytes: UInt64 = 0
  /// Copies of cut or damaged bytes.
  public var quarantined: [String] = []
  /// The records that are lost.
  public var gaps: [Gap] = []
  /// Files that do not belong to the log. Recovery left them alone.
  public var unknownFiles: [String] = []
  /// Recovery made META again from the segments.
  public var rebuiltMeta = false
  /// One past the newest record.
  public var end = Offset.zero
  /// The number of this opening; each opening raises it.
  public var epoch: UInt32 = 0
  /// Whether recovery read the newest segment from the disk. False where the file system cannot prove that. Then
  /// recovery may have read bytes that an earlier failed write left only in memory.
  public var isDiskProven = true
  /// What recovery did to know the producers again.
  public var producers = Producers()

  /// The state of the producers' sequences after recovery.
  public struct Producers: Hashable, Sendable, Codable {
    /// How many the log knows.
    public var count = 0
    /// Whether every other producer has never appended. Otherwise the log evicted some, or records that may be theirs
    /// are lost.
    public var isComplete = true
    /// Producers that may have appended more than the log knows, because records are lost.
    public var uncertain: [String] = []
    /// The offset of the snapshot that recovery used; nil when there was none.
    public var snapshot: Offset?
    /// Recovery read blocks from here on.
    public var readFrom = Offset.zero
    /// Snapshot files that could not be used.
    public var damagedSnapshots: [String] = []

    init(snapshot: Offset? = nil, readFrom: Offset = .zero) {
      self.snapshot = snapshot
      self.readFrom = readFrom
    }
  }

  /// A report without findings; the caller adds them.
  public init(outcome: Outcome, rule: String) {
    self.outcome = outcome
    self.rule = rule
  }
}
