import PenstockDelivery
import PenstockLog
import Testing

/// A delivery, its cursor and its destination as a model, small enough to be walked through whole.
///
/// The log has three records. A batch takes one or two of them. The configuration of the sink may change at a crash. Every
/// event a phase may meet is tried in every state that can be reached, and so are the events it may not meet.
struct DeliveryModel: Hashable {
  struct Content: Hashable {
    let first: Offset, end: Offset
    let digest: [UInt8], plan: [UInt8]
  }

  var state: DeliveryState
  var cursor: CursorState
  /// What the destination was ever sent, by id.
  var sent: [DeliveryID: Content] = [:]
  /// What it holds, in order.
  var taken: [DeliveryID] = []
  /// Digests rendered in this process, by id.
  var rendered: [DeliveryID: [UInt8]] = [:]
  /// The delivery whose newest attempt, in this process, was answered with success.
  var confirmed: DeliveryID?
  var configuration: UInt8 = 1
  var crashes = 0

  static let end = Offset(3)
  static let now = Moment(sinceStart: .zero)
  static let retry = RetryPolicy(first: .zero, cap: .zero, refusedWait: .zero)

  init(mode: DeliveryState.Mode) {
    cursor = CursorState(startingAt: .zero).acquired()
    state = DeliveryState(cursor, mode: mode, retry: Self.retry)
  }

  static func content(_ first: Offset, _ end: Offset, plan: [UInt8]) -> [UInt8] {
    [plan[0], UInt8(first.rawValue), UInt8(end.rawValue)] + [UInt8](repeating: 0, count: 29)
  }

  func intent(_ range: Range<Offset>) -> Intent {
    let digest = Self.content(range.lowerBound, range.upperBound, plan: [configuration])
    return Intent(
      id: DeliveryID("\(digest.prefix(3))"), first: range.lowerBound, end: range.upperBound, contentDigest: digest,
      plan: [configuration], createdAt: Timestamp(nanoseconds: 0))
  }

  /// The process dies and another one takes the cursor, perhaps with another configuration.
  func crashed() -> [DeliveryModel] {
    guard crashes < 2 else { return [] }
    return [configuration, 3 - configuration].map { configuration in
      var next = self
      next.crashes += 1
      next.configuration = configuration
      next.cursor = cursor.acquired()
      next.rendered = [:]
      next.confirmed = nil
      next.state = DeliveryState(next.cursor, mode: state.mode, retry: Self.retry)
      return next
    }
  }
}

extension DeliveryModel {
  static func failed(_ code: LogError.Code) -> DeliveryState.Event {
    .failed(code, message: "no", at: now, roll: 0)
  }

  /// The model after `change` and `event`; records what is wrong.
  func step(
    _ event: DeliveryState.Event, _ violations: inout [String], change: (inout DeliveryModel) -> Void = { _ in }
  ) -> DeliveryModel {
    var next = self
    change(&next)
    let wasStopping = state.isStopping
    do {
      try next.state.handle(event)
    } catch {
      violations.append("\(event) was refused in \(state.phase)")
    }
    if wasStopping || event == .stop, case .working(let work) = next.state.phase, next.state.phase != state.phase {
      if case .commit = work {} else { violations.append("a stopped delivery began \(work)") }
    }
    return next
  }

  /// Every model that can come next.
  func successors(_ violations: inout [String]) -> [DeliveryModel] {
    var next: [DeliveryModel] = []
    switch state.phase {
    case .ended: return crashed()
    case .backingOff, .halted(_, .some, _):
      next.append(step(.wake(at: Self.now), &violations))
      next.append(step(.resume, &violations))
    case .halted: next.append(step(.resume, &violations))
    case .working(let work): next += working(work, &violations)
    }
    next.append(step(.stop, &violations))
    return next + crashed()
  }

  private func working(_ work: DeliveryState.Work, _ violations: inout [String]) -> [DeliveryModel] {
    switch work {
    case .gather(let first):
      var next = [step(.sourceClosed, &violations), step(Self.failed(.gap), &violations)]
      for count in 1...2 where first + count <= Self.end {
        next.append(step(.gathered(first..<first + count, .records), &violations))
      }
      return next
    case .plan(let range, _):
      let intent = intent(range)
      return [
        step(.planned(intent), &violations) { $0.rendered[intent.id] = intent.contentDigest },
        step(.unrenderable(SinkError("no")), &violations), step(Self.failed(.io), &violations),
      ]
    case .begin(let intent): return beginning(intent, &violations)
    case .reopen(let intent):
      let digest = Self.content(intent.first, intent.end, plan: intent.plan)
      let wrong = Self.content(intent.first, intent.end, plan: [9])
      return [
        step(.rendered(digest: digest), &violations) { $0.rendered[intent.id] = digest },
        step(.rendered(digest: wrong), &violations) { $0.rendered[intent.id] = wrong },
        step(.unrenderable(SinkError("no")), &violations), step(Self.failed(.damaged), &violations),
      ]
    case .send(let intent, _): return sending(intent, &violations)
    case .commit(let intent, _): return committing(intent, &violations)
    }
  }

  private func beginning(_ intent: Intent, _ violations: inout [String]) -> [DeliveryModel] {
    guard let begun = try? cursor.beginning(intent, epoch: cursor.epoch, durableEnd: Self.end) else {
      violations.append("the cursor refuses \(intent.id)")
      return []
    }
    var durable = self
    durable.cursor = begun
    return [
      step(.begun, &violations) { $0.cursor = begun }, step(Self.failed(.noSpace), &violations),
      step(Self.failed(.poisoned), &violations), step(Self.failed(.fenced), &violations),
    ] + durable.crashed()
  }

  private func sending(_ intent: Intent, _ violations: inout [String]) -> [DeliveryModel] {
    if cursor.inFlight.first?.intent != intent { violations.append("\(intent.id) is sent and is not the open intent") }
    if rendered[intent.id] != intent.contentDigest { violations.append("\(intent.id) is sent with another content") }
    let content = Content(
      first: intent.first, end: intent.end, digest: rendered[intent.id] ?? [], plan: intent.plan)
    if let before = sent[intent.id], before != content { violations.append("\(intent.id) has two contents") }
    var sent = self
    sent.sent[intent.id] = content
    var taken = sent
    if !taken.taken.contains(intent.id) {
      let expected = taken.taken.last.flatMap { taken.sent[$0]?.end } ?? .zero
      if intent.first != expected { violations.append("\(intent.id) arrives at \(expected)") }
      taken.taken.append(intent.id)
    }
    let at = Self.now
    func answered(_ outcome: DeliveryOutcome) -> DeliveryState.Event { .answered(outcome, at: at, roll: 0) }
    return [
      taken.step(answered(.delivered(receipt: "")), &violations) { $0.confirmed = intent.id },
      taken.step(answered(.retry(reason: "lost", after: nil)), &violations),
      sent.step(answered(.retry(reason: "down", after: nil)), &violations),
      sent.step(answered(.refused(reason: "")), &violations), sent.step(answered(.rejected(reason: "")), &violations),
      sent.step(answered(.conflict(reason: "")), &violations),
    ] + taken.crashed() + sent.crashed()
  }

  private func committing(_ intent: Intent, _ violations: inout [String]) -> [DeliveryModel] {
    if confirmed != intent.id { violations.append("\(intent.id) is committed without a successful attempt") }
    if !taken.contains(intent.id) { violations.append("\(intent.id) is committed and not delivered") }
    guard let next = try? cursor.completing(intent.id, receipt: "", epoch: cursor.epoch) else {
      violations.append("the cursor refuses to commit \(intent.id)")
      return []
    }
    if !next.violations(durableEnd: Self.end).isEmpty { violations.append("the cursor is broken: \(next)") }
    let stale = step(.committed(cursor), &violations)
    if stale.state.trouble?.kind != .defect { violations.append("a commit that moved nothing was believed") }
    var durable = self
    durable.cursor = next
    return [
      step(.committed(next), &violations) { $0.cursor = next }, step(Self.failed(.noSpace), &violations),
      step(Self.failed(.fenced), &violations), stale,
    ] + durable.crashed()
  }
}

@Suite("Every sequence of events")
struct DeliveryStateExhaustiveTests {
  static let depth = 16

  @Test(
    "keeps the invariants: intent before attempt, one content for an id, commit after success, nothing skipped",
    arguments: [DeliveryState.Mode.service, .until(DeliveryModel.end)])
  func allSequences(mode: DeliveryState.Mode) {
    var frontier: Set<DeliveryModel> = [DeliveryModel(mode: mode)]
    var seen = frontier
    var moves = 0
    var finished = 0
    for _ in 1...Self.depth {
      var next: Set<DeliveryModel> = []
      for model in frontier {
        var violations: [String] = []
        let successors = model.successors(&violations)
        #expect(violations.isEmpty, "\(violations) in \(model.state.phase)")
        guard violations.isEmpty else { return }
        moves += successors.count
        if model.cursor.committed == DeliveryModel.end { finished += 1 }
        for successor in successors where seen.insert(successor).inserted { next.insert(successor) }
      }
      frontier = next
    }
    // Figures below these mean that the walk no longer goes where it should.
    #expect(seen.count > 10_000 && moves > 50_000 && finished > 100)
  }

  @Test("an event that a phase does not take is refused and changes nothing")
  func illegalEvents() throws {
    let cursor = CursorState(startingAt: .zero).acquired()
    let model = DeliveryModel(mode: .service)
    let intent = model.intent(.zero..<Offset(2))
    let began = try cursor.beginning(intent, epoch: 1, durableEnd: Offset(3))
    func state(_ cursor: CursorState, _ events: DeliveryState.Event...) throws -> DeliveryState {
      var state = DeliveryState(cursor, mode: .service, retry: RetryPolicy())
      for event in events { try state.handle(event) }
      return state
    }
    let gathered = DeliveryState.Event.gathered(.zero..<Offset(2), .age)
    let delivered = DeliveryState.Event.answered(.delivered(receipt: ""), at: DeliveryModel.now, roll: 0)
    let rendered = DeliveryState.Event.rendered(digest: intent.contentDigest)
    let events = [
      gathered, .sourceClosed, .planned(intent), rendered, .unrenderable(SinkError("")), .begun, delivered,
      .committed(cursor), DeliveryModel.failed(.io), .wake(at: DeliveryModel.now),
    ]
    let table: [(DeliveryState, taken: Set<Int>)] = [
      (try state(cursor), [0, 1, 8]), (try state(cursor, gathered), [2, 4, 8]),
      (try state(cursor, gathered, .planned(intent)), [5, 8]), (try state(began), [3, 4, 8]),
      (try state(began, rendered), [6, 8]), (try state(began, rendered, delivered), [7, 8]),
      (try state(began, .unrenderable(SinkError(""))), []), (try state(cursor, .stop), []),
    ]
    for (state, taken) in table {
      for (index, event) in events.enumerated() {
        var next = state
        let isTaken: Bool
        do throws(DeliveryState.IllegalEvent) {
          try next.handle(event)
          isTaken = true
        } catch {
          isTaken = false
          #expect(next == state && error.event == event)
        }
        #expect(isTaken == taken.contains(index), "\(event) in \(state.phase)")
      }
    }
  }
}
