/// What must hold in every history of a log, whatever crashes: by number, as `docs/internals/testing.md` has them.
public enum Invariant: String, Sendable, Hashable, CaseIterable {
  /// I1: an acknowledged record is there after any crash, once, at the offset that was returned.
  case acknowledgedIsKept = "I1"
  /// I2: an offset has one content, always.
  case offsetHasOneContent = "I2"
  /// I3: no gap but a reported one.
  case noSilentGap = "I3"
  /// I4: a producer's appends stand in its order.
  case orderOfProducers = "I4"
  /// I5: what a reader has seen is durable.
  case readIsDurable = "I5"
  /// I6: a batch is there whole or not at all.
  case batchIsWhole = "I6"
  /// I7: a cursor is at or below the durable end, where its last move or a move under way put it. It does not move
  /// back.
  case cursorIsExact = "I7"
  /// I8: a delivery id has one content. Nothing is sent before its intent, and nothing is committed before it is
  /// delivered. A consumer processes each record once, before it passes it.
  case deliveryIsExact = "I8"
  /// I9: recovering again changes nothing.
  case recoveryIsIdempotent = "I9"
  /// I10: all that is lost is reported, no honest crash is called damage, and nothing wrong is served.
  case damageIsReported = "I10"
  /// I11: the log becomes shorter only by retention.
  case nothingVanishes = "I11"
  /// I12: files and bytes stay within what was configured.
  case resourcesAreBounded = "I12"
  /// What is asked for on a healthy machine works: no honest crash keeps a log from opening or from being written.
  case honestWorkSucceeds = "I0"
}

/// A breach of an ``Invariant``.
public struct Violation: Error, Sendable, Hashable, CustomStringConvertible {
  /// The broken invariant.
  public let invariant: Invariant
  /// What is wrong.
  public let message: String
  /// The number of the event at which it showed, from 1; 0 when it was not found in a history.
  public let event: Int

  /// Makes a violation from its parts.
  public init(_ invariant: Invariant, _ message: String, event: Int = 0) {
    self.invariant = invariant
    self.message = message
    self.event = event
  }

  public var description: String { "\(invariant.rawValue) (\(invariant)): \(message)" }
}
