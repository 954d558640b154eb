import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("A batch that is rejected", .timeLimit(.minutes(4))) struct RejectionTests {
  private let dead = InMemoryDeadLetters()
  let policy = BatchPolicy(maxRecords: 64)

  func offsets(_ numbers: [UInt64]) -> Set<Offset> { Set(numbers.map { Offset($0) }) }

  /// What arrived together with the dead letters is everything, each once.
  func expectEverything(_ rig: DeliveryRig, _ sink: ScriptedSink, _ dead: InMemoryDeadLetters) {
    var seen = sink.destination.distinct.flatMap { Array($0.range.lowerBound.rawValue..<$0.range.upperBound.rawValue) }
    seen += dead.letters.map(\.offset.rawValue)
    #expect(seen.sorted() == Array(0..<rig.source.end.rawValue))
    #expect(rig.cursor.state.committed == rig.source.end && rig.cursor.state.nextFirst == rig.source.end)
    #expect(rig.cursor.state.violations(durableEnd: rig.source.end).isEmpty)
  }

  @Test(arguments: [[0], [63], [17], [31, 32], [0, 1, 2], [5, 40, 60], Array(20..<30)] as [[UInt64]])
  func `is taken apart until each guilty record is alone; they become dead letters and all others arrive, in order`(
    guilty: [UInt64]
  ) async throws {
    let rig = DeliveryRig(records: 70)
    let sink = ScriptedSink(faults: .init(rejects: offsets(guilty)))
    let report = try await rig.delivery(to: sink, policy: policy, deadLetters: dead.box()).run(untilCaughtUpWith: nil)
    #expect(dead.letters.map(\.offset.rawValue) == guilty)
    #expect(dead.letters.allSatisfy { $0.record == Array("record \($0.offset)".utf8) && $0.attempts == 1 })
    #expect(dead.letters.allSatisfy { $0.reason == "422 \($0.offset)" && $0.cursor == "billing" })
    #expect(report.deadLetters == guilty.count && report.records == 70 - guilty.count)
    expectEverything(rig, sink, dead)
    // In order, no range twice, and no more attempts than halving needs.
    let arrived = sink.destination.arrivals.map(\.range.lowerBound)
    #expect(arrived == arrived.sorted())
    #expect(sink.attempts.count <= 2 + guilty.count * 2 * 6 + 1)
    #expect(Set(sink.attempts).count == sink.attempts.count)
  }

  @Test func `with a record that cannot be rendered is sent without it, and it becomes a dead letter`() async throws {
    let rig = DeliveryRig(records: 9)
    let sink = ScriptedSink(faults: .init(rejects: offsets([6]), cannotRender: offsets([0, 4, 5])))
    _ = try await rig.delivery(to: sink, policy: policy, deadLetters: dead.box()).run(untilCaughtUpWith: nil)
    #expect(dead.letters.map(\.offset.rawValue) == [0, 4, 5, 6])
    #expect(dead.letters.map(\.isUnrenderable) == [true, true, true, false])
    #expect(dead.letters[1].reason == "nothing can be made of it" && dead.letters[1].attempts == 0)
    expectEverything(rig, sink, dead)
  }

  @Test func `halts the destination instead, when the policy says so or there is no dead-letter store`() async throws {
    for isPolicy in [true, false] {
      let rig = DeliveryRig(records: 3)
      let dead = InMemoryDeadLetters()
      let delivery = rig.delivery(
        to: ScriptedSink(faults: .init(rejects: offsets([1]))),
        options: DeliveryOptions(rejection: RejectionPolicy(isPolicy ? .halt : .deadLetter)),
        deadLetters: isPolicy ? dead.box() : nil)
      let failure = await #expect(throws: DeliveryFailure.self) { try await delivery.run(untilCaughtUpWith: nil) }
      #expect(failure?.trouble.kind == .rejected && dead.letters.isEmpty && rig.cursor.state.committed == .zero)
    }
  }

  @Test func `by a receiver that rejects everything stops after so many dead letters in a row`() async throws {
    let rig = DeliveryRig(records: 40)
    let all = Set((0..<40).map { Offset.zero + $0 })
    let options = DeliveryOptions(rejection: RejectionPolicy(maxInRow: 5))
    for _ in 1...2 {
      let failure = await #expect(throws: DeliveryFailure.self) {
        try await rig.delivery(to: ScriptedSink(faults: .init(rejects: all)), options: options, deadLetters: dead.box())
          .run(untilCaughtUpWith: nil)
      }
      #expect(failure?.trouble.kind == .rejectsEverything)
      #expect(dead.letters.count == 5 && rig.cursor.state.committed == Offset(5))
    }
    // A person's word allows as many again.
    let rejecting = ScriptedSink(faults: .init(rejects: all))
    let (service, run) = rig.delivery(to: rejecting, options: options, deadLetters: dead.box()).started()
    #expect(await service.waitForProgress { $0.trouble?.kind == .rejectsEverything })
    service.retryNow()
    #expect(await service.waitForProgress { $0.trouble?.kind == .rejectsEverything && $0.deadLetters == 5 })
    try await stop(service, run)
    // A receiver that was mended gets what is left, the record that was held back first.
    let mended = ScriptedSink()
    _ = try await rig.delivery(to: mended, options: options, deadLetters: dead.box()).run(untilCaughtUpWith: nil)
    #expect(mended.attempts.first?.lowerBound == Offset(10) && rig.cursor.state.consecutiveDeadLetters == 0)
    expectEverything(rig, mended, dead)
  }

  @Test func `waits when the dead letters are full: the record is neither dropped nor passed`() async throws {
    let rig = DeliveryRig(records: 3)
    dead.failNext(with: LogError(.noSpace, "full"), LogError(.noSpace, "full"))
    let sink = ScriptedSink(faults: .init(rejects: offsets([1])))
    let (delivery, run) = rig.delivery(to: sink, retry: RetryPolicy(refusedWait: .seconds(60)), deadLetters: dead.box())
      .started()
    for _ in 1...2 {
      let due = await rig.clock.sleeper()
      #expect(await delivery.progress.trouble?.kind == .deadLettersFailed)
      #expect(rig.cursor.state.committed == Offset(1) && rig.cursor.state.inFlight.first?.rejectionReason != nil)
      rig.clock.advance(to: due)
    }
    #expect(await rig.cursor.wait { $0.committed == Offset(3) })
    try await stop(delivery, run)
    expectEverything(rig, sink, dead)
  }

  @Test
  func `and dies at any step of that loses nothing, and neither writes nor sends a dead letter twice`() async throws {
    func lives(_ steps: [Int]) async throws -> Int {
      let rig = DeliveryRig(records: 6)
      let destination = RecordingDestination()
      let dead = InMemoryDeadLetters()
      var rejectionReason: Set<Offset> = []
      let counts = try await eachLife(dyingAt: steps) { number, crash in
        let sink = ScriptedSink(
          destination, lineEnding: number % 2 == 0 ? "\n" : "\r\n", script: [.loseAnswer],
          faults: .init(rejects: offsets([1, 4]), cannotRender: offsets([3]), crash: crash))
        let delivery = rig.delivery(
          to: sink, policy: BatchPolicy(maxRecords: 4 + number % 2), retry: RetryPolicy(first: .zero, cap: .zero),
          deadLetters: dead.box(crash: crash), crash: crash)
        _ = try await live(until: crash) { try await delivery.run(untilCaughtUpWith: nil) }.get()
        // A record that becomes a dead letter is not sent again.
        #expect(
          rejectionReason.allSatisfy { offset in !sink.attempts.contains { $0.contains(offset) } }, "died at \(steps)")
        for case .replaced(_, let intent, .some) in rig.cursor.history { rejectionReason.insert(intent.first) }
      }
      #expect(dead.letters.map(\.offset.rawValue) == [1, 3, 4], "died at \(steps)")
      let arrived = destination.distinct.flatMap { Array($0.range.lowerBound.rawValue..<$0.range.upperBound.rawValue) }
      #expect(arrived.sorted() == [0, 2, 5], "died at \(steps)")
      #expect(destination.content.filter { $0 != UInt8(ascii: "\r") } == Array("record 0\nrecord 2\nrecord 5\n".utf8))
      #expect(rig.cursor.state.committed == Offset(6))
      return counts[0]
    }
    let whole = try await lives([])
    var lifetimes = 0
    for first in 1...whole {
      for second in [1, 3, 6, 10, 1000] {
        _ = try await lives([first, second])
        lifetimes += 1
      }
    }
    print("delivery crash points, split and dead letters: \(whole) steps, \(lifetimes) pairs of deaths")
    #expect(whole > 40)
  }
}
