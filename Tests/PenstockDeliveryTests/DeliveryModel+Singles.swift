import PenstockDelivery
import PenstockLog

/// The part of the model in which each event is sent by itself.
extension DeliveryModel {
  /// The event under its own id, which the batch around it does not change.
  private func single(_ intent: Intent, _ event: Int) -> (id: DeliveryID, content: Content) {
    let offset = events(intent.first..<intent.end)[event]
    let content = Content(
      first: offset, end: offset + 1, digest: Self.content(offset, offset + 1, plan: intent.plan), plan: intent.plan)
    return (DeliveryID("event \(offset) \(intent.plan)"), content)
  }

  func hasTrouble(_ delivery: DeliveryState.OpenDelivery) -> Bool {
    delivery.events?.events.contains { event in
      switch event.step {
      case .ready: event.attempts > 0
      case .inFlight: event.attempts > 1
      case .rejected: true
      case .confirmed, .lettered, .settled: false
      }
    } ?? false
  }

  func sendingSingle(
    _ intent: Intent, _ event: Int, attempt: Int, _ violations: inout [String]
  ) -> [DeliveryModel] {
    let open = cursor.inFlight.first { $0.intent == intent }
    if open?.isDelivered != false || open?.events?.contains(event) != false || open?.events?.condemned?.event == event {
      violations.append("event \(event) of \(intent.id) must not be sent")
    }
    if rendered[intent.id] != intent.contentDigest { violations.append("\(intent.id) is sent with another content") }
    let (id, content) = single(intent, event)
    if let before = sent[id], before != content { violations.append("\(id) has two contents") }
    if attempt == 1, !unrenderable.contains(id), let newestFirst, content.first < newestFirst {
      violations.append("first attempts out of order")
    }
    let sendable = step(.launched(at: Self.now, records: 1, bytes: 1), &violations) {
      $0.sent[id] = content
      if attempt == 1 { $0.newestFirst = content.first }
    }
    // Whether an event can be rendered is the same in every attempt; here only the middle one may not.
    guard content.first == Offset(1), sent[id] == nil else { return [sendable] }
    let unsendable = step(.unsendable(SinkError("no", offset: content.first)), &violations) {
      $0.unrenderable.insert(id)
    }
    return unrenderable.contains(id) ? [unsendable] : [sendable, unsendable]
  }

  func singleAnswers(
    _ delivery: DeliveryState.OpenDelivery, _ violations: inout [String]
  ) -> [DeliveryModel] {
    var next: [DeliveryModel] = []
    for (event, attempt) in (delivery.events?.events ?? []).enumerated() {
      guard case .inFlight = attempt.step else { continue }
      let (id, _) = single(delivery.intent, event)
      var taken = self
      taken.taken.insert(id)
      func answered(_ outcome: DeliveryOutcome) -> DeliveryState.Event {
        .answered(delivery.intent.id, event: event, outcome, at: Self.now, roll: 0)
      }
      next += [
        taken.step(answered(.delivered(receipt: "")), &violations) { $0.confirmed.insert(id) },
        taken.step(answered(.retry(reason: "lost", after: nil)), &violations),
        step(answered(.refused(reason: "")), &violations),
      ]
      // A destination that took an event answers the same id with success.
      if !self.taken.contains(id) { next.append(step(answered(.rejected(reason: "")), &violations)) }
      next += taken.crashed()
    }
    return next
  }

  func settling(_ intent: Intent, _ move: EventMove, _ violations: inout [String]) -> [DeliveryModel] {
    if case .settled(let numbers, _) = move {
      let condemned = cursor.inFlight.first { $0.intent == intent }?.events?.condemned?.event
      for number in numbers {
        let (id, content) = single(intent, number)
        if number == condemned {
          if letters.last != content.first { violations.append("\(id) is settled before its dead letter") }
        } else if !confirmed.contains(id) || !taken.contains(id) {
          violations.append("\(id) is settled and not delivered")
        }
      }
    }
    guard let next = try? seen.settling(intent.id, move, epoch: seen.epoch) else {
      violations.append("the cursor refuses \(move) of \(intent.id)")
      return []
    }
    let broken = next.violations(durableEnd: Self.end)
    if !broken.isEmpty { violations.append("the cursor is broken: \(broken)") }
    if next.committed > cursor.committed { checkPassed(next, &violations) }
    let stale = step(.settled(cursor), &violations)
    if stale.state.trouble?.kind != .defect { violations.append("a move that changed nothing was believed") }
    var durable = self
    durable.cursor = next
    return [
      step(.settled(next), &violations) { $0.cursor = next }, step(Self.failed(.noSpace), &violations),
      step(Self.failed(.fenced), &violations), stale,
    ] + durable.crashed()
  }

  func afterSingleDeadLetter(_ intent: Intent, _ event: Int, _ violations: inout [String]) -> [DeliveryModel] {
    let open = cursor.inFlight.first
    let (_, content) = single(intent, event)
    if open?.intent != intent || open?.events?.condemned?.event != event || cursor.committed != intent.first {
      violations.append("event \(event) of \(intent.id) becomes a dead letter and is not condemned")
    }
    var deadLettered = self
    if letters.last != content.first { deadLettered.letters.append(content.first) }
    return [deadLettered.step(.wroteDeadLetter(receipt: ""), &violations), step(Self.failed(.noSpace), &violations)]
      + deadLettered.crashed()
  }
}
