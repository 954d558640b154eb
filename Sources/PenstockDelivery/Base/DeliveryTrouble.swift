public import PenstockLog

/// What keeps a delivery from going on, in a word and in words.
public struct DeliveryTrouble: Sendable, Hashable, CustomStringConvertible {
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// The destination cannot be reached, or is not able to take the batch at present.
    case unavailable
    /// The destination refuses us; see ``DeliveryOutcome/refused(reason:)``.
    case refused
    /// The destination wants nothing more; see ``DeliveryOutcome/disabled(reason:)``.
    case disabled
    /// The destination says the content is wrong; see ``DeliveryOutcome/rejected(reason:)``.
    case rejected
    /// So many records in a row were rejected that the receiver itself must be suspected; see
    /// ``RejectionPolicy/maxInRow``.
    case rejectsEverything
    /// A record's dead letter cannot be kept: no room, or no place for dead letters was given. The record is not skipped.
    case deadLettersFailed
    /// Something else stands where the batch should be; see ``DeliveryOutcome/conflict(reason:)``.
    case conflict
    /// The sink cannot plan or render the batch.
    case unrenderable
    /// The open batch was rendered again and came out different from what its intent says, so it must not be sent: the
    /// destination may hold the first rendering under the same name.
    case contentChanged
    /// The log cannot give the records: damaged, lost, or trimmed away.
    case unreadable
    /// Another holder has taken the cursor.
    case fenced
    /// The cursor cannot be written.
    case cursorFailed
    /// Failures lasted longer than ``RetryPolicy/giveUpAfter``.
    case gaveUp
    /// The cursor is of one log, and the records are of another. Nothing was sent.
    case wrongLog
    /// A part of the program broke its contract; nothing was sent or committed by it.
    case defect
  }

  public let kind: Kind
  public let message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var description: String { "\(kind.rawValue): \(message)" }
}

/// Why a delivery ended before its time. The cursor stands where it stood: an open batch is finished by the next run.
public struct DeliveryFailure: Error, Sendable, CustomStringConvertible {
  public let trouble: DeliveryTrouble
  public let cursor: String
  /// The sink's own words for itself.
  public let destination: String
  /// The records of the batch in question, where there is one.
  public let range: Range<Offset>?
  public let cause: (any Error)?

  package init(
    _ trouble: DeliveryTrouble, cursor: String, destination: String, range: Range<Offset>?, cause: (any Error)?
  ) {
    self.trouble = trouble
    self.cursor = cursor
    self.destination = destination
    self.range = range
    self.cause = cause
  }

  public var description: String {
    let batch = range.map { ", records \($0.lowerBound)..<\($0.upperBound)" } ?? ""
    return "delivery of cursor \(cursor) to \(destination)\(batch): \(trouble)"
  }
}
