public import PenstockLog

/// What happens to a log, as an observer sees it: the input of a ``HistoryChecker``.
///
/// A record is identified by a digest (`digest(_:)`). All records of one history must differ. Otherwise a checker
/// cannot know which append a record found after a crash belongs to.
public enum History {
  /// One event.
  public enum Event: Sendable, Hashable {
    /// An append was called. `id` is the caller's own and used once.
    case appending(id: UInt64, records: [UInt64], producer: ProducerStep? = nil)
    /// It returned: durable, at these offsets.
    case acknowledged(id: UInt64, offsets: Range<Offset>)
    /// It was refused: nothing of it is or will be in the log.
    case refused(id: UInt64)
    /// A reader was shown these records, the first at `first`.
    case read(first: Offset, records: [UInt64])
    /// Retention is about to move the log's beginning to one of these places, or leaves it.
    case trimming(to: [Offset])
    /// The log begins here, durably.
    case trimmed(first: Offset)
    /// The disk is about to lose or change bytes of these records, beyond what a power cut does; nil: of any.
    case damaged(Range<Offset>?)
    /// The process or the machine went down.
    case crashed
    /// The log was opened again and read to its end.
    case recovered(Recovered)
    /// It was opened once more with nothing done in between; a digest of its segments' bytes.
    case recoveredAgain(image: UInt64)
    /// A cursor is about to be moved to one of these states (nil: it is not there).
    case cursorMoving(String, to: [CursorState?])
    /// The cursor's durable state.
    case cursorMoved(String, CursorState?)
    /// Where it was found.
    case cursorFound(String, CursorState?)
    /// From now on commits of this cursor are held against `received` and
    /// `deadLettered`.
    case destination(cursor: String)
    /// An attempt began.
    case sending(cursor: String, Delivered)
    /// The destination took it, whether or not it could say so.
    case received(cursor: String, Delivered)
    /// A record became a dead letter.
    case deadLettered(cursor: String, Offset)
    /// A consumer has done for a record what it does for it; with a key, doing it again changes nothing.
    case processed(consumer: String, Offset, key: String?)
    /// It will not look at the records below again.
    case passed(consumer: String, upTo: Offset)
    /// What the log takes: bytes and number of its files.
    case resources(bytes: Int, files: Int)
    /// Something failed that should not have.
    case failed(String)
  }

  /// A producer's append, and which it is.
  public struct ProducerStep: Sendable, Hashable {
    /// The producer.
    public var name: String
    /// 1 for the first.
    public var sequence: UInt64
    /// Makes a step from its parts.
    public init(_ name: String, _ sequence: UInt64) {
      self.name = name
      self.sequence = sequence
    }
  }

  /// A batch on its way.
  public struct Delivered: Sendable, Hashable {
    /// The batch's id.
    public var id: DeliveryID
    /// Its records.
    public var range: Range<Offset>
    /// Of everything that was sent.
    public var digest: UInt64
    /// Makes a batch from its parts.
    public init(_ id: DeliveryID, _ range: Range<Offset>, digest: UInt64) {
      self.id = id
      self.range = range
      self.digest = digest
    }
  }

  /// What an opening found.
  public struct Recovered: Sendable, Hashable {
    /// Readable records in a row.
    public struct Piece: Sendable, Hashable {
      /// The first record's offset.
      public var first: Offset
      /// The records' digests.
      public var records: [UInt64]
      /// Makes a piece from its parts.
      public init(first: Offset, records: [UInt64]) {
        self.first = first
        self.records = records
      }
    }
    /// Where the log begins and ends.
    public var first, end: Offset
    /// Whether the recovery reports damage.
    public var reportsDamage: Bool
    /// Everything that can be read, in order.
    public var pieces: [Piece]
    /// Everything that is said to be lost.
    public var gaps: [Range<Offset>]
    /// A digest of the segments' bytes; nil if it was not taken.
    public var image: UInt64?

    /// Makes a finding from its parts.
    public init(
      first: Offset, end: Offset, reportsDamage: Bool, pieces: [Piece], gaps: [Range<Offset>], image: UInt64? = nil
    ) {
      self.first = first
      self.end = end
      self.reportsDamage = reportsDamage
      self.pieces = pieces
      self.gaps = gaps
      self.image = image
    }
  }

  /// A digest of a record: equal in every process.
  public static func digest(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var hash = TraceHash()
    hash.mix(bytes)
    return hash.value
  }

  /// A digest of these bytes, for comparing records.
  public static func digest(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { digest($0) } }

  /// The digests of a batch's records, in order.
  package static func digests(of batch: Batch) -> [UInt64] {
    var digests: [UInt64] = []
    digests.reserveCapacity(batch.count)
    batch.forEachRecord { digests.append(digest(Array($0.bytes))) }
    return digests
  }
}
