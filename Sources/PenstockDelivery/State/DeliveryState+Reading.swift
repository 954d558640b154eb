package import PenstockLog

// What operators and logs show of a state.

extension DeliveryState {
  /// The oldest batch in flight, once it has a name.
  package var intent: Intent? {
    if let oldest = open.first { return oldest.intent }
    if case .working(.begin(let intent, _, _)) = phase { return intent }
    return nil
  }

  /// The records that the current work is about.
  package var range: Range<Offset>? {
    if case .working(.plan(let range, _, _, _)) = phase { return range }
    return intent.map { $0.first..<$0.end }
  }

  /// The trouble, while the delivery waits because of it or when it has ended by it.
  package var trouble: DeliveryTrouble? {
    switch phase {
    case .backingOff(_, let trouble), .halted(_, let trouble), .ended(.failed(let trouble)): trouble
    case .working, .sending, .pacing, .paused, .ended: nil
    }
  }

  /// Whether nothing is gathered for an unknown time.
  package var isWaitingLong: Bool {
    switch phase {
    case .backingOff, .halted, .paused, .ended: true
    case .working, .sending, .pacing: false
    }
  }

  /// When the phase ends by itself; nil when it does not.
  package var deadline: MonotonicInstant? {
    switch phase {
    case .backingOff(let until, _), .pacing(let until): until
    case .halted(let until, _): until
    case .working, .sending, .paused, .ended: nil
    }
  }

  package var activity: DeliveryProgress.Activity {
    switch phase {
    case .backingOff: .backingOff
    case .halted: .halted
    case .paused: .paused
    case .ended: .ended
    case .sending: .sending
    case .pacing: .pacing
    case .working(.accumulate): isInFlight ? .sending : .gathering
    case .working(.plan), .working(.begin), .working(.reopen), .working(.bisect): .preparing
    case .working(.send): .sending
    case .working(.commit), .working(.settle), .working(.writeDeadLetter), .working(.save): .committing
    }
  }
}
