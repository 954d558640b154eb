/// Why a call of the log failed: the code, a message, the location and the cause.
public struct LogError: Error, Sendable, CustomStringConvertible {
  /// What went wrong, for programs.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    private enum Value: String {
      case notALog, futureFormat, readOnlyFormat, locked, damaged, undecidableTail, poisoned, closed, cancelled
      case recordTooLarge, batchTooLarge, emptyBatch, overloaded, noSpace, io, outOfRange, gap
      case invalidName, cursorHeld, fenced, illegalMove, invalidConfiguration, unknownCursor
      case outOfSequence, duplicate, unknownProducer, tooManyProducers, sourceTooLarge
    }
    private let value: Value
    private init(_ value: Value) { self.value = value }

    /// The directory holds no log, or something that is not one.
    public static let notALog = Code(.notALog)
    /// Written by a later version in a way this one must not touch.
    public static let futureFormat = Code(.futureFormat)
    /// Written by a later version; may be read, not written.
    public static let readOnlyFormat = Code(.readOnlyFormat)
    /// Another process writes this log.
    public static let locked = Code(.locked)
    /// Bytes that were acknowledged cannot be read back.
    public static let damaged = Code(.damaged)
    /// Strict recovery found a tail it cannot prove to be unacknowledged.
    public static let undecidableTail = Code(.undecidableTail)
    /// A write or a sync failed. The log refuses appends until it is opened again. Reads continue.
    public static let poisoned = Code(.poisoned)
    /// The log, the reader or the cursor was closed.
    public static let closed = Code(.closed)
    /// The caller cancelled an append that waited, or a read that waited for a thread. Nothing was written.
    public static let cancelled = Code(.cancelled)
    /// A record is longer than `LogConfiguration.recordBytes`.
    public static let recordTooLarge = Code(.recordTooLarge)
    /// A batch is larger than `LogConfiguration.batchBytes`.
    public static let batchTooLarge = Code(.batchTooLarge)
    /// A batch without records.
    public static let emptyBatch = Code(.emptyBatch)
    /// The queue is full and the caller asked not to wait.
    public static let overloaded = Code(.overloaded)
    /// No space for the next segment, or no descriptor to open it with. Nothing was written. Appends work again when
    /// there is.
    public static let noSpace = Code(.noSpace)
    /// The file system failed; the cause says how.
    public static let io = Code(.io)
    /// Offsets that are not, or no longer, in the log.
    public static let outOfRange = Code(.outOfRange)
    /// The records are lost; the message says which.
    public static let gap = Code(.gap)
    /// Not a valid name of a cursor, a producer or a replay.
    public static let invalidName = Code(.invalidName)
    /// Another process holds the cursor.
    public static let cursorHeld = Code(.cursorHeld)
    /// A later holder has taken the cursor, or the producer.
    public static let fenced = Code(.fenced)
    /// A cursor move that breaks the rules.
    public static let illegalMove = Code(.illegalMove)
    /// The configuration has values that the log cannot use; the message says which.
    public static let invalidConfiguration = Code(.invalidConfiguration)
    /// There is no cursor, or no dead letter, of that name.
    public static let unknownCursor = Code(.unknownCursor)
    /// Not the number a producer must append next; the message names it.
    public static let outOfSequence = Code(.outOfSequence)
    /// The producer has already appended this number, and the log no longer remembers its offsets.
    public static let duplicate = Code(.duplicate)
    /// The log may have forgotten what the producer appended; see `Producer.resume(after:)`.
    public static let unknownProducer = Code(.unknownProducer)
    /// All of the producers that the log remembers are in use.
    public static let tooManyProducers = Code(.tooManyProducers)
    /// A source position of more than 64 bytes.
    public static let sourceTooLarge = Code(.sourceTooLarge)

    public var description: String { value.rawValue }
  }

  /// Where it happened, as far as it is known.
  public struct Location: Hashable, Sendable {
    /// The file or directory.
    public var path: String?
    /// The byte in that file.
    public var position: UInt64?
    /// The record.
    public var offset: Offset?
    /// A location; nil where it is not known.
    public init(path: String? = nil, position: UInt64? = nil, offset: Offset? = nil) {
      self.path = path
      self.position = position
      self.offset = offset
    }
  }

  /// Whether a file that should be there is not.
  var isAboutMissingFile: Bool { (cause as? FileSystemError)?.code == .notFound }

  /// What went wrong, for programs.
  public let code: Code
  /// A sentence for an operator, with the remedy where there is one.
  public let message: String
  /// Where it happened, as far as it is known.
  public let location: Location
  /// The error of the file system or another part, where there is one.
  public let cause: (any Error)?

  /// An error of this code.
  public init(_ code: Code, _ message: String, location: Location = Location(), cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.location = location
    self.cause = cause
  }

  public var description: String {
    var text = message
    if let path = location.path { text += " [\(path)\(location.position.map { ", byte \($0)" } ?? "")]" }
    if let offset = location.offset { text += " [offset \(offset)]" }
    if let cause { text += ": \(cause)" }
    return text
  }
}
