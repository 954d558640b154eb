import PenstockLog

/// The events of an open batch that are sent one by one. A pure value.
///
/// ```
/// ready       to be sent          launched → in flight
///                                 cannot be rendered → rejected
/// in flight   under way           delivered → confirmed
///                                 retry, refused, disabled, conflict → ready
///                                 rejected → rejected; without a dead-letter store: ready
/// confirmed   not durable yet     settled → settled
/// rejected    not sent again      condemned (durable) → its dead letter is written → lettered
///                                 too many in a row, or a pause before it is condemned → ready
/// lettered    not durable yet     settled → settled
/// settled     durable
/// ```
package struct EventAttempts: Hashable, Sendable {
  package enum Step: Hashable, Sendable {
    case ready
    /// `round`: see ``Circuit/round``.
    case inFlight(round: Int)
    case confirmed(receipt: String)
    case rejected(reason: String)
    case lettered(receipt: String)
    case settled
  }
  package struct Event: Hashable, Sendable {
    package var step = Step.ready
    /// Attempts in this process.
    package var attempts = 0
  }

  package internal(set) var events: [Event]
  /// The event that is condemned in the cursor.
  package private(set) var condemned: Int?

  init(_ durable: SettledEvents) {
    events = [Event](repeating: Event(), count: durable.count)
    adopt(durable)
  }

  /// Takes over what is durable.
  mutating func adopt(_ durable: SettledEvents) {
    for index in events.indices where durable.contains(index) { events[index].step = .settled }
    condemned = durable.condemned?.event
    guard let condemned = durable.condemned, case .ready = events[condemned.event].step else { return }
    events[condemned.event].step = .rejected(reason: condemned.reason)
  }

  package var inFlight: Int { events.count { if case .inFlight = $0.step { true } else { false } } }

  /// Events that wait for their dead letters.
  var rejected: Int { events.count { if case .rejected = $0.step { true } else { false } } }

  /// Whether no attempt at an event has failed.
  var isSmooth: Bool {
    events.allSatisfy { event in
      switch event.step {
      case .ready: event.attempts == 0
      case .inFlight: event.attempts == 1
      case .confirmed, .lettered, .settled: true
      case .rejected: false
      }
    }
  }

  /// The lowest event that is not settled; nil when all are.
  var front: Int? { events.firstIndex { $0.step != .settled } }

  /// The lowest event to send. While at least `mostRejected` events are rejected, only an event before all of them is
  /// sent: it holds up their dead letters.
  func next(mostRejected: Int) -> Int? {
    var rejected = 0
    for (index, event) in events.enumerated() {
      switch event.step {
      case .ready: return rejected > 0 && rejected >= mostRejected ? nil : index
      case .rejected: rejected += 1
      case .inFlight, .confirmed, .lettered, .settled: break
      }
    }
    return nil
  }

  /// What the next write of the cursor may store; nil when there is nothing.
  var unsettled: (numbers: [Int], receipt: String)? {
    var (numbers, newest) = ([Int](), "")
    for (index, event) in events.enumerated() {
      switch event.step {
      case .confirmed(let receipt), .lettered(let receipt):
        numbers.append(index)
        newest = receipt
      case .ready, .inFlight, .rejected, .settled: break
      }
    }
    return numbers.isEmpty ? nil : (numbers, newest)
  }

  /// Whether the next write settles the last event, or one whose dead letter is written.
  var mustSettle: Bool {
    events.contains { if case .lettered = $0.step { true } else { false } }
      || events.allSatisfy {
        switch $0.step {
        case .confirmed, .settled: true
        case .ready, .inFlight, .rejected, .lettered: false
        }
      }
  }

  /// Lets rejected events be sent again, unless that is durably excluded.
  mutating func forgetRejections() {
    for index in events.indices where index != condemned {
      if case .rejected = events[index].step { events[index].step = .ready }
    }
  }
}
