public import PenstockLog

/// Which dead letters a redelivery sends.
public enum RedeliveryScope: Sendable, Hashable {
  /// The letters after the position of the last redelivery to this destination.
  case remaining
  /// Every letter, from the oldest on.
  case all
  /// The letter with this number. The position of `remaining` does not change.
  case one(Offset)

  /// Marks everything that the sink sends, as a replay's id does. A letter sent alone has a mark of its own: an export
  /// that began with it could not take earlier letters afterwards.
  public var mark: String {
    if case .one(let number) = self { "deadletters.\(number)" } else { "deadletters" }
  }
}
