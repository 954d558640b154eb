/// What becomes of a batch that the destination rejects because of its content.
public struct RejectionPolicy: Sendable, Hashable {
  public enum Action: String, Sendable, Hashable, CaseIterable {
    /// The batch is halved until the record to blame stands alone; that record becomes a dead letter, the others are
    /// delivered. Needs a place for dead letters; without one it is as `halt`.
    case deadLetter
    /// The destination waits for a person, and nothing is skipped.
    case halt
  }

  public var action: Action
  /// So many dead letters in a row, with no batch delivered between them, halt the destination: a receiver that rejects
  /// everything is broken, and its log must not be emptied into dead letters. The count is kept in the cursor, so a restart
  /// does not begin it anew; a person's "go on" does. At least 1.
  public var maxInRow: Int

  /// Dead letters, at most 16 in a row.
  public init(_ action: Action = .deadLetter, maxInRow: Int = 16) {
    self.action = action
    self.maxInRow = max(1, maxInRow)
  }
}
