/// What a delivery does with a batch whose content the destination rejects.
public struct RejectionPolicy: Sendable, Hashable {
  /// What happens to a rejected record.
  public enum Action: String, Sendable, Hashable, CaseIterable {
    /// The delivery halves the batch until one record is left. That record becomes a dead letter; the others are
    /// delivered. Without a dead-letter store this is the same as `halt`.
    case deadLetter
    /// The destination waits for an operator, and nothing is skipped.
    case halt
  }

  /// What happens to a rejected record.
  public var action: Action
  /// This many dead letters in a row, with no batch delivered between them, halt the destination. A destination that
  /// rejects everything is broken, and the log must not end up in dead letters. The cursor keeps the count over
  /// restarts; ``Delivery/retryNow()`` allows as many again. At least 1.
  public var maxInRow: Int

  /// Dead letters, at most 16 in a row.
  public init(_ action: Action = .deadLetter, maxInRow: Int = 16) {
    self.action = action
    self.maxInRow = max(1, maxInRow)
  }
}
