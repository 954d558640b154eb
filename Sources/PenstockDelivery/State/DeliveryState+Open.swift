package import PenstockLog

extension DeliveryState {
  /// An intent that is open in the cursor and not committed.
  package struct OpenDelivery: Hashable, Sendable {
    package enum Step: Hashable, Sendable {
      case unrendered, ready
      /// `round`: see ``Circuit/round``.
      case inFlight(round: Int)
      case delivered(receipt: String)
      case rejected(reason: String)
      case deadLetter(reason: String)
    }
    package let intent: Intent
    package var step: Step
    /// Attempts in this process.
    package var attempts = 0
    /// Its events, where they are sent one by one.
    package var events: EventAttempts?

    /// Attempts under way.
    package var inFlight: Int {
      if let events { return events.inFlight }
      if case .inFlight = step { return 1 }
      return 0
    }
    package var isInFlight: Bool { inFlight > 0 }
    /// Whether no attempt at it has failed.
    package var isSmooth: Bool {
      if let events { return events.isSmooth }
      return switch step {
      case .inFlight: attempts == 1
      case .delivered: true
      case .ready, .unrendered: attempts == 0
      case .rejected, .deadLetter: false
      }
    }
  }

  /// Keeps the delivery from attempting anything.
  package struct Suspension: Hashable, Sendable {
    package var trouble: DeliveryTrouble
    package var until: MonotonicInstant?
    package var needsOperator: Bool
  }
}
