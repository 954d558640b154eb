import PenstockDelivery
import PenstockLog
import Testing

@Suite("Every sequence of events") struct DeliveryStateExhaustiveTests {
  struct World: CustomTestStringConvertible, Sendable {
    var mode: DeliveryState.Mode
    var maxInFlight = 1
    var writesDeadLetters = false
    var crashes = 2
    var pauses = 0
    var depth = 16
    var wanted: Set<UInt64> = [0, 1, 2]
    var recordsEveryRange = false
    var isSingle = false
    var plansAhead = false
    var testDescription: String {
      "\(mode), \(maxInFlight) in flight\(writesDeadLetters ? ", dead letters" : ""), \(crashes) crashes, "
        + "\(pauses) pauses, wants \(wanted.sorted())\(recordsEveryRange ? ", every range recorded" : "")"
        + "\(isSingle ? ", event by event" : "")\(plansAhead ? ", planned ahead" : "")"
    }
  }

  static let worlds = [
    World(mode: .service, depth: 14), World(mode: .until(DeliveryModel.end)),
    World(mode: .service, writesDeadLetters: true, crashes: 1, depth: 15),
    World(mode: .until(DeliveryModel.end), writesDeadLetters: true, crashes: 1, depth: 18),
    World(mode: .service, maxInFlight: 2, crashes: 1, depth: 13),
    World(mode: .until(DeliveryModel.end), maxInFlight: 2, writesDeadLetters: true, crashes: 1, depth: 15),
    World(mode: .service, writesDeadLetters: true, crashes: 1, pauses: 2, depth: 13),
    World(mode: .until(DeliveryModel.end), writesDeadLetters: true, crashes: 1, pauses: 1, depth: 15),
    World(mode: .service, maxInFlight: 2, crashes: 0, pauses: 1, depth: 15),
    World(mode: .service, writesDeadLetters: true, crashes: 1, pauses: 1, depth: 14, wanted: [1]),
    World(mode: .until(DeliveryModel.end), writesDeadLetters: true, crashes: 1, pauses: 1, depth: 17, wanted: [1]),
    World(mode: .service, maxInFlight: 2, writesDeadLetters: true, crashes: 1, depth: 15, wanted: [0, 2]),
    World(
      mode: .until(DeliveryModel.end), writesDeadLetters: true, crashes: 1, depth: 18, wanted: [1],
      recordsEveryRange: true),
    World(mode: .service, crashes: 1, depth: 15, plansAhead: true),
    World(mode: .until(DeliveryModel.end), writesDeadLetters: true, crashes: 1, pauses: 1, depth: 14, plansAhead: true),
    World(mode: .service, maxInFlight: 2, writesDeadLetters: true, crashes: 1, depth: 13, plansAhead: true),
    World(
      mode: .service, writesDeadLetters: true, crashes: 0, pauses: 1, depth: 16, wanted: [0, 2], plansAhead: true),
    World(mode: .service, crashes: 1, depth: 17, isSingle: true),
    World(mode: .service, writesDeadLetters: true, crashes: 1, depth: 16, isSingle: true),
    World(mode: .until(DeliveryModel.end), maxInFlight: 2, crashes: 1, depth: 16, isSingle: true),
    World(
      mode: .until(DeliveryModel.end), maxInFlight: 3, writesDeadLetters: true, crashes: 1, depth: 15, isSingle: true),
    World(
      mode: .service, maxInFlight: 2, writesDeadLetters: true, crashes: 1, pauses: 1, depth: 13, wanted: [0, 2],
      isSingle: true),
  ]

  @Test(arguments: worlds)
  func `keeps the invariants: intent before attempt, one content an id, commit after success, nothing skipped or stuck`(
    world: World
  ) {
    let start = DeliveryModel(
      mode: world.mode, maxInFlight: world.maxInFlight, writesDeadLetters: world.writesDeadLetters,
      maxCrashes: world.crashes, pauses: world.pauses, wanted: world.wanted,
      recordsEveryRange: world.recordsEveryRange, isSingle: world.isSingle, plansAhead: world.plansAhead)
    var frontier: Set<DeliveryModel> = [start]
    var seen = frontier
    var (moves, finished, inFlight, deadLettered, paused, ahead) = (0, 0, 0, 0, 0, 0)
    for _ in 1...world.depth {
      var next: Set<DeliveryModel> = []
      for model in frontier {
        var violations: [String] = []
        let successors = model.successors(&violations)
        #expect(violations.isEmpty, "\(violations) in \(model.state.phase) with \(model.state.open)")
        guard violations.isEmpty else { return }
        moves += successors.count
        if model.cursor.committed == DeliveryModel.end { finished += 1 }
        if model.ahead != nil { ahead += 1 }
        inFlight = max(inFlight, model.state.open.reduce(0) { $0 + $1.inFlight })
        deadLettered = max(deadLettered, model.letters.count)
        paused += model.state.phase == .paused || model.state.phase == .ended(.paused) ? 1 : 0
        for successor in successors where seen.insert(successor).inserted { next.insert(successor) }
      }
      frontier = next
    }
    print("delivery states \(world.testDescription): \(seen.count) states, \(moves) moves, \(finished) at the end")
    // Figures below these mean that the walk no longer goes where it should.
    #expect(seen.count > 9_000 && moves > 20_000 && finished > 5)
    #expect(inFlight == world.maxInFlight && (deadLettered > 0) == world.writesDeadLetters)
    #expect((paused > 100) == (world.pauses > 0))
    #expect((ahead > 100) == (world.wanted.count < 3 && !world.recordsEveryRange))
  }

  @Test func `an event that a phase does not take is refused and changes nothing`() throws {
    let cursor = CursorState(startingAt: .zero).acquired()
    let model = DeliveryModel(mode: .service)
    let intent = model.intent(.zero..<Offset(2))
    let began = try cursor.beginning(intent, epoch: 1, durableEnd: Offset(3))
    func state(_ cursor: CursorState, _ events: DeliveryState.Event...) throws -> DeliveryState {
      var state = DeliveryState(cursor, mode: .service, retry: RetryPolicy())
      for event in events { try state.handle(event) }
      return state
    }
    let accumulated = DeliveryState.Event.accumulated(.zero..<Offset(2), .age)
    let launched = DeliveryState.Event.launched(at: DeliveryModel.now, records: 1, bytes: 1)
    let delivered = DeliveryState.Event.answered(intent.id, .delivered(receipt: ""), at: DeliveryModel.now, roll: 0)
    let rendered = DeliveryState.Event.rendered(digest: intent.contentDigest)
    let events = [
      accumulated, .sourceClosed, .planned(intent), rendered, .unrenderable(SinkError("")), .begun(began), delivered,
      .committed(cursor), DeliveryModel.failed(.io), .wake(at: DeliveryModel.now), launched,
      .wroteDeadLetter(receipt: ""), .saved, .halved(.zero..<Offset(1)), .isolated(intent), .indivisible,
      .unsendable(SinkError("")), .settled(cursor),
    ]
    let table: [(DeliveryState, taken: Set<Int>)] = [
      (try state(cursor), [0, 1, 8, 9]), (try state(cursor, accumulated), [2, 4, 8]),
      (try state(cursor, accumulated, .planned(intent)), [5, 8]), (try state(began), [3, 4, 8]),
      (try state(began, rendered), [8, 10]), (try state(began, rendered, launched), [6]),
      (try state(began, rendered, launched, delivered), [7, 8]),
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
