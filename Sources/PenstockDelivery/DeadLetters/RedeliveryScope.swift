public import PenstockLog

/// Which dead letters are delivered again.
public enum RedeliveryScope: Sendable, Hashable {
  /// Those behind where the last redelivery to this destination stopped.
  case remaining
  /// Every letter, from the oldest on.
  case all
  /// The one of this number. What is remaining stays as it is.
  case one(Offset)

  /// What the sink is to mark all of it with, as with the id of a replay: a letter that is sent alone has a place of its own, because an
  /// export that began with it could not take those before it any more.
  public var mark: String {
    if case .one(let number) = self { "deadletters.\(number)" } else { "deadletters" }
  }
}
