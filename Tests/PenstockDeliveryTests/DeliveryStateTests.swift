import PenstockDelivery
import PenstockLog
import Testing

@Suite("What a delivery does next") struct DeliveryStateTests {
  let now = MonotonicInstant(sinceStart: .seconds(10))
  let retry = RetryPolicy(first: .seconds(2), refusedWait: .seconds(300), giveUpAfter: .seconds(60))
  let intent = DeliveryModel(mode: .service).intent(.zero..<Offset(2))

  /// A delivery that has just begun its first attempt.
  func sending(_ mode: DeliveryState.Mode = .service) throws -> DeliveryState {
    let cursor = try CursorState(startingAt: .zero).acquired().beginning(intent, epoch: 1, durableEnd: Offset(3))
    var state = DeliveryState(cursor, mode: mode, retry: retry)
    try state.handle(.rendered(digest: intent.contentDigest))
    try state.handle(.launched(at: now, records: 1, bytes: 9))
    return state
  }

  func answer(_ state: DeliveryState, _ outcome: DeliveryOutcome) throws -> DeliveryState {
    var state = state
    try state.handle(.answered(intent.id, outcome, at: now, roll: 1 << 63))
    return state
  }

  @Test func `after a failed attempt it backs off, and wakes no sooner than that`() throws {
    var state = try answer(sending(), .retry(reason: "503", after: nil))
    let waiting = DeliveryState.Phase.backingOff(until: now + .seconds(1), DeliveryTrouble(.unavailable, "503"))
    #expect(state.phase == waiting)
    try state.handle(.wake(at: now + .milliseconds(999)))
    #expect(state.phase == waiting)
    try state.handle(.wake(at: now + .seconds(1)))
    #expect(state.phase == .working(.send(intent, attempt: 2)))
  }

  @Test func `refused, it tries again by itself after a long wait`() throws {
    var state = try answer(sending(), .refused(reason: "401"))
    #expect(state.phase == .halted(until: now + .seconds(300), DeliveryTrouble(.refused, "401")))
    try state.handle(.wake(at: now + .seconds(300)))
    #expect(state.phase == .working(.send(intent, attempt: 2)))
  }

  @Test(
    arguments: [DeliveryOutcome.rejected(reason: "422"), .disabled(reason: "410"), .conflict(reason: "another object")])
  func `rejected or in conflict, it waits for an operator`(outcome: DeliveryOutcome) throws {
    var state = try answer(sending(), outcome)
    guard case .halted(nil, _) = state.phase else {
      Issue.record("\(state.phase)")
      return
    }
    #expect(throws: DeliveryState.IllegalEvent.self) { try state.handle(.wake(at: now + .seconds(1_000_000))) }
    try state.handle(.retryNow)
    #expect(state.phase == .working(.send(intent, attempt: 2)))
  }

  @Test func `a rendering that differs from the intent is not sent`() throws {
    let cursor = try CursorState(startingAt: .zero).acquired().beginning(intent, epoch: 1, durableEnd: Offset(3))
    var state = DeliveryState(cursor, mode: .service, retry: retry)
    try state.handle(.rendered(digest: [UInt8](repeating: 7, count: 32)))
    #expect(state.trouble?.kind == .contentChanged)
    try state.handle(.retryNow)
    #expect(state.phase == .working(.reopen(intent)))
  }

  @Test func `running until it has caught up, it ends by what would halt a service`() throws {
    for outcome in [DeliveryOutcome.rejected(reason: ""), .refused(reason: ""), .conflict(reason: "")] {
      let state = try answer(sending(.until(Offset(3))), outcome)
      guard case .ended(.failed) = state.phase else {
        Issue.record("\(outcome) led to \(state.phase)")
        continue
      }
    }
  }

  @Test(arguments: [true, false])
  func `only a delivery that runs until it has caught up gives up`(isService: Bool) throws {
    var state = try answer(sending(isService ? .service : .until(Offset(3))), .retry(reason: "", after: nil))
    try state.handle(.retryNow)
    try state.handle(.launched(at: now, records: 1, bytes: 9))
    try state.handle(.answered(intent.id, .retry(reason: "down", after: nil), at: now + .seconds(61), roll: 0))
    #expect((state.trouble?.kind == .gaveUp) == !isService)
  }

  @Test
  func `several open intents are finished in order, and one that is delivered already is not sent again`() throws {
    let model = DeliveryModel(mode: .service)
    let second = model.intent(Offset(2)..<Offset(3))
    let third = model.intent(Offset(3)..<Offset(5))
    var cursor = CursorState(startingAt: .zero).acquired()
    for intent in [intent, second, third] { cursor = try cursor.beginning(intent, epoch: 1, durableEnd: Offset(9)) }
    cursor = try cursor.completing(second.id, receipt: "", epoch: 1)
    var state = DeliveryState(cursor, mode: .service, retry: retry)
    #expect(state.phase == .working(.reopen(intent)))
    try state.handle(.rendered(digest: intent.contentDigest))
    try state.handle(.launched(at: now, records: 1, bytes: 9))
    try state.handle(.answered(intent.id, .delivered(receipt: ""), at: now, roll: 0))
    try state.handle(.committed(cursor.completing(intent.id, receipt: "", epoch: 1)))
    #expect(state.committed == Offset(3) && state.phase == .working(.reopen(third)))
  }

  @Test func `a full disk delays the cursor's writes and ends nothing`() throws {
    var state = DeliveryState(CursorState(startingAt: .zero).acquired(), mode: .service, retry: retry)
    try state.handle(.accumulated(.zero..<Offset(2), .age))
    try state.handle(.planned(intent))
    try state.handle(.failed(.noSpace, message: "full", at: now, roll: 0))
    try state.handle(.wake(at: now))
    #expect(state.phase == .working(.begin(intent, replacing: nil, rejectionReason: nil)))
  }

  @Test func `its rules apply in the documented order`() {
    #expect(
      DeliveryState.priorities.map(\.name) == [
        "commit", "save", "end", "pause", "suspend", "dead letter", "unfinished", "bisect", "attempt", "reserved",
        "caught up", "ahead", "accumulate", "answers",
      ])
  }

  @Test func `a plan for other records than those accumulated is refused`() throws {
    var state = DeliveryState(CursorState(startingAt: .zero).acquired(), mode: .service, retry: retry)
    #expect(throws: DeliveryState.IllegalEvent.self) { try state.handle(.accumulated(Offset(1)..<Offset(2), .age)) }
    try state.handle(.accumulated(.zero..<Offset(1), .age))
    #expect(throws: DeliveryState.IllegalEvent.self) { try state.handle(.planned(intent)) }
  }
}
