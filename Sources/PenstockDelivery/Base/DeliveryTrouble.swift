public import PenstockLog

/// What stops a delivery from making progress: a kind for programs, and a message.
public struct DeliveryTrouble: Sendable, Hashable, CustomStringConvertible {
  /// What kind of trouble, for programs. The raw values are stable.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// The destination cannot be reached, or cannot take the batch at present.
    case unavailable
    /// The destination refuses the sender; see ``DeliveryOutcome/refused(reason:)``.
    case refused
    /// The destination wants no more deliveries; see ``DeliveryOutcome/disabled(reason:)``.
    case disabled
    /// The destination says that the content is wrong; see ``DeliveryOutcome/rejected(reason:)``.
    case rejected
    /// The destination rejected so many records in a row that it is itself suspect; see ``RejectionPolicy/maxInRow``.
    case rejectsEverything
    /// A dead letter cannot be written: no space, or no dead-letter store. The record is not skipped.
    case deadLettersFailed
    /// The destination holds something else in the batch's place; see ``DeliveryOutcome/conflict(reason:)``.
    case conflict
    /// The sink cannot plan or render the batch.
    case unrenderable
    /// The open batch was rendered again, and its digest differs from its intent's. It must not be sent: the
    /// destination may hold the first rendering under the same name.
    case contentChanged
    /// The log cannot return the records: they are damaged, lost, or trimmed away.
    case unreadable
    /// Another holder has taken the cursor.
    case fenced
    /// The cursor cannot be written.
    case cursorFailed
    /// Failures lasted longer than ``RetryPolicy/giveUpAfter``.
    case gaveUp
    /// The cursor belongs to one log, and the records come from another. Nothing was sent.
    case wrongLog
    /// A component broke its contract, or the delivery was run twice. Nothing was sent or committed because of it.
    case defect
  }

  /// The kind, for programs.
  public let kind: Kind
  /// The explanation, for operators.
  public let message: String

  /// Trouble of a kind, with its explanation.
  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var description: String { "\(kind.rawValue): \(message)" }
}

/// Why a delivery ended early. The cursor has not moved: the next run finishes an open batch first.
public struct DeliveryFailure: Error, Sendable, CustomStringConvertible {
  /// What stopped the delivery.
  public let trouble: DeliveryTrouble
  /// The cursor's name.
  public let cursor: String
  /// The sink's description of the destination.
  public let destination: String
  /// The records of the batch in question, where there is one.
  public let range: Range<Offset>?
  /// The error of the log, the sink or the dead-letter store, where there is one.
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
