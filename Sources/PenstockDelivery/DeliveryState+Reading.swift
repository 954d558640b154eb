package import PenstockLog

// What people and logs want to know of a state.

extension DeliveryState {
  /// The work under way or waiting.
  private var work: Work? {
    switch phase {
    case .working(let work), .backingOff(let work, _, _), .halted(let work, _, _): work
    case .ended: nil
    }
  }

  /// The batch in flight, once it has a name.
  package var intent: Intent? {
    switch work {
    case .begin(let intent), .reopen(let intent), .send(let intent, _), .commit(let intent, _): intent
    case .gather, .plan, nil: nil
    }
  }

  /// The records the work is about.
  package var range: Range<Offset>? {
    if case .plan(let range, _) = work { return range }
    return intent.map { $0.first..<$0.end }
  }

  /// What is in the way, while the delivery waits or when it has ended by it.
  package var trouble: DeliveryTrouble? {
    switch phase {
    case .backingOff(_, _, let trouble), .halted(_, _, let trouble), .ended(.failed(let trouble)): trouble
    case .working, .ended: nil
    }
  }

  package var activity: DeliveryProgress.Activity {
    switch phase {
    case .backingOff: .backingOff
    case .halted: .halted
    case .ended: .ended
    case .working(.gather): .gathering
    case .working(.plan), .working(.begin), .working(.reopen): .preparing
    case .working(.send): .sending
    case .working(.commit): .committing
    }
  }
}
