@testable import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("A destination that takes one event in a request", .timeLimit(.minutes(4))) struct SingleDeliveryTests {
  private let dead = InMemoryDeadLetters()

  private func single(_ sink: ScriptedSink, unrenderable: Set<Offset> = []) -> SelectingSink {
    SelectingSink(sink: sink, selection: .all, sendsSingleEvents: true, unrenderable: unrenderable)
  }

  private func options(_ maxInFlight: Int, maxInRow: Int = 100) -> DeliveryOptions {
    DeliveryOptions(maxInFlight: maxInFlight, rejection: RejectionPolicy(maxInRow: maxInRow))
  }

  private func offsets(_ numbers: some Sequence<UInt64>) -> Set<Offset> { Set(numbers.map { Offset($0) }) }

  /// What a receiver that remembers ids holds.
  private func held(_ destination: RecordingDestination) -> [UInt64] {
    destination.distinct.map(\.range.lowerBound.rawValue).sorted()
  }

  private func contradictions(_ destination: RecordingDestination) -> [String] {
    destination.violations.filter { $0.contains("two contents") }
  }

  @Test func `has as many in flight as it may have, whatever order the answers come in`() async throws {
    let rig = DeliveryRig(records: 700)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let (delivery, run) = rig.delivery(to: single(sink), options: options(64)).started()
    await sink.untilDeliveries(64)
    #expect(rig.cursor.state.inFlight.first?.intent.singleEvents == 256 && sink.attempts.count == 64)
    sink.release()
    #expect(await rig.cursor.wait { $0.committed == rig.source.end && $0.inFlight.isEmpty })
    let report = try await stop(delivery, run)
    #expect(held(sink.destination) == Array(0..<700) && sink.attempts.count == 700)
    #expect(report.events == 700 && report.records == 700 && report.batches == 3)
    let begun = rig.cursor.history.compactMap { if case .begun(let intent) = $0 { intent.singleEvents } else { nil } }
    #expect(begun == [256, 256, 188])
  }

  @Test func `gets them in order, the next one after the answer, when it takes one at a time`() async throws {
    let rig = DeliveryRig(records: 300)
    let sink = ScriptedSink(script: [.accept, .answer(.retry(reason: "busy", after: nil)), .loseAnswer])
    let retry = RetryPolicy(first: .zero, cap: .zero)
    _ = try await rig.delivery(to: single(sink), retry: retry, options: options(1)).run(untilCaughtUpWith: nil)
    #expect(sink.attempts.map(\.lowerBound.rawValue) == [0, 1, 1, 1] + Array(2..<300))
    #expect(sink.destination.content == rig.content && sink.destination.violations.isEmpty)
  }

  @Test(arguments: [1, 7], [[0], [69], [31, 32], [5, 40, 60], Array(20..<30)] as [[UInt64]])
  func `loses its rejected events alone, which become dead letters in order`(
    maxInFlight: Int, guilty: [UInt64]
  ) async throws {
    let rig = DeliveryRig(records: 70)
    let sink = ScriptedSink(faults: .init(rejects: offsets(guilty)))
    let report = try await rig.delivery(to: single(sink), options: options(maxInFlight), deadLetters: dead.box())
      .run(untilCaughtUpWith: nil)
    #expect(dead.letters.map(\.offset.rawValue) == guilty)
    #expect(dead.letters.allSatisfy { $0.record == Array("record \($0.offset)".utf8) && $0.attempts == 1 })
    #expect(dead.letters.allSatisfy { $0.reason == "422 \($0.offset)" && !$0.isUnrenderable })
    #expect(held(sink.destination) == (0..<70).filter { !guilty.contains($0) } && sink.attempts.count == 70)
    #expect(report.deadLetters == guilty.count && report.events == 70 - guilty.count && report.records == report.events)
    #expect(rig.cursor.state.committed == rig.source.end && rig.cursor.state.inFlight.isEmpty)
  }

  @Test func `never gets an event that cannot be rendered`() async throws {
    let rig = DeliveryRig(records: 9)
    let sink = ScriptedSink(faults: .init(rejects: offsets([6])))
    _ = try await rig.delivery(
      to: single(sink, unrenderable: offsets([0, 4])), options: options(3), deadLetters: dead.box()
    ).run(untilCaughtUpWith: nil)
    #expect(dead.letters.map(\.offset.rawValue) == [0, 4, 6])
    #expect(dead.letters.map(\.isUnrenderable) == [true, true, false] && dead.letters.map(\.attempts) == [0, 0, 1])
    #expect(held(sink.destination) == [1, 2, 3, 5, 7, 8] && !sink.attempts.contains { $0.lowerBound == Offset(4) })
  }

  @Test func `halts for such an event, or a rejected one, where nothing keeps dead letters`() async throws {
    for unrenderable in [true, false] {
      let rig = DeliveryRig(records: 3)
      let sink = ScriptedSink(faults: .init(rejects: unrenderable ? [] : offsets([1])))
      let failure = await #expect(throws: DeliveryFailure.self) {
        try await rig.delivery(
          to: single(sink, unrenderable: unrenderable ? offsets([1]) : []), options: options(1)
        ).run(untilCaughtUpWith: nil)
      }
      #expect(failure?.trouble.kind == (unrenderable ? .unrenderable : .rejected))
      #expect(held(sink.destination) == (unrenderable ? [] : [0]) && rig.cursor.state.committed == .zero)
    }
  }

  @Test func `that rejects everything gets little more than it may reject in a row`() async throws {
    let rig = DeliveryRig(records: 200)
    let sink = ScriptedSink(faults: .init(rejects: offsets(0..<200)))
    let failure = await #expect(throws: DeliveryFailure.self) {
      try await rig.delivery(to: single(sink), options: options(8, maxInRow: 5), deadLetters: dead.box())
        .run(untilCaughtUpWith: nil)
    }
    #expect(failure?.trouble.kind == .rejectsEverything && dead.letters.map(\.offset.rawValue) == [0, 1, 2, 3, 4])
    #expect(sink.attempts.count <= 5 + 8)
    // A receiver that was mended gets all others, those too that were rejected and are no dead letters.
    let mended = ScriptedSink(sink.destination)
    _ = try await rig.delivery(to: single(mended), options: options(8, maxInRow: 5), deadLetters: dead.box())
      .run(untilCaughtUpWith: nil)
    #expect(held(sink.destination) == Array(5..<200) && rig.cursor.state.consecutiveDeadLetters == 0)
  }

  @Test func `sees an event under the same id whatever batch it is in`() async throws {
    var ids: [[DeliveryID]] = []
    for ends in [[40], [7, 19, 40]] as [[UInt64]] {
      let rig = DeliveryRig(records: 40)
      let sink = ScriptedSink()
      for end in ends {
        _ = try await rig.delivery(to: single(sink), options: options(1)).run(untilCaughtUpWith: Offset(end))
      }
      #expect(rig.cursor.history.count { if case .begun = $0 { true } else { false } } == ends.count)
      ids.append(sink.destination.arrivals.map(\.id))
    }
    #expect(ids[0] == ids[1] && Set(ids[0]).count == 40)
  }

  @Test func `after a death gets again what is not settled, and nothing that is`() async throws {
    let rig = DeliveryRig(records: 20)
    let destination = RecordingDestination()
    let crash = CrashSwitch(at: nil)
    let first = ScriptedSink(destination, script: [.accept, .accept, .accept], last: .hang)
    let (_, run) = rig.delivery(to: single(first), options: options(4), crash: crash).started()
    #expect(await rig.cursor.wait { $0.inFlight.first?.events?.settled == 3 })
    await first.untilDeliveries(7)
    try await kill(run)
    let second = ScriptedSink(destination)
    _ = try await rig.delivery(to: single(second), options: options(4)).run(untilCaughtUpWith: nil)
    #expect(Set(second.attempts.map(\.lowerBound.rawValue)) == Set(3..<20) && second.attempts.count == 17)
    #expect(held(destination) == Array(0..<20) && contradictions(destination).isEmpty)
  }

  @Test(arguments: [1, 3]) func `a death at any step loses nothing, and every event keeps its id and bytes`(
    maxInFlight: Int
  ) async throws {
    func lives(_ steps: [Int]) async throws -> [Int] {
      let rig = DeliveryRig(records: 7)
      let (destination, dead) = (RecordingDestination(), InMemoryDeadLetters())
      let counts = try await eachLife(dyingAt: steps) { number, crash in
        let faults = ScriptedSink.Faults(rejects: offsets([0, 3, 4]), crash: crash)
        let sink = ScriptedSink(destination, lineEnding: number == 0 ? "\n" : "\r\n", faults: faults)
        let result = await live(until: crash) {
          try await rig.delivery(
            to: single(sink), options: options(maxInFlight), deadLetters: dead.box(crash: crash), crash: crash
          ).run(untilCaughtUpWith: nil)
        }
        if number == steps.count { _ = try result.get() }
      }
      #expect(held(destination) == [1, 2, 5, 6], "dying at \(steps)")
      #expect(dead.letters.map(\.offset.rawValue) == [0, 3, 4], "dying at \(steps)")
      #expect(contradictions(destination).isEmpty && rig.cursor.state.committed == rig.source.end, "dying at \(steps)")
      return counts
    }
    let steps = try await lives([])[0]
    #expect(steps > 20)
    for first in 0..<steps {
      _ = try await lives([first])
      for second in 0..<6 { _ = try await lives([first, second]) }
    }
  }

  @Test func `paused finishes what is in flight, settles it, and continues where it was`() async throws {
    let rig = DeliveryRig(records: 50)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let (delivery, run) = rig.delivery(to: single(sink), options: options(5)).started()
    await sink.untilDeliveries(5)
    try await delivery.pause(reason: "a test")
    sink.release()
    #expect(await delivery.waitForProgress { $0.activity == .paused })
    #expect(rig.cursor.state.inFlight.first?.events?.settled == sink.destination.distinct.count)
    try await delivery.resume()
    #expect(await rig.cursor.wait { $0.committed == rig.source.end })
    try await stop(delivery, run)
    #expect(held(sink.destination) == Array(0..<50) && sink.destination.arrivals.count == 50)
  }

  @Test func `whose records retention removes meanwhile ignores the answers and continues`() async throws {
    let rig = DeliveryRig(records: 10)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let (delivery, run) = rig.delivery(to: single(sink), options: options(4)).started()
    await sink.untilDeliveries(4)
    rig.cursor.pass(upTo: Offset(10))
    sink.release()
    #expect(await delivery.waitForProgress { $0.activity == .halted })
    rig.cursor.acknowledgeLoss()
    rig.source.append("after")
    delivery.retryNow()
    #expect(await rig.cursor.wait { $0.committed == Offset(11) })
    try await stop(delivery, run)
    #expect(sink.destination.distinct.last?.range == Offset(10)..<Offset(11))
  }

  @Test func `is the only one that may have more than four in flight`() async throws {
    let rig = DeliveryRig(records: 30)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let (delivery, run) = rig.delivery(to: sink, policy: BatchPolicy(maxRecords: 1), options: options(64)).started()
    await sink.untilDeliveries(4)
    #expect(rig.cursor.state.inFlight.count == 4)
    sink.release()
    #expect(await rig.cursor.wait { $0.committed == rig.source.end })
    try await stop(delivery, run)
    #expect(options(100_000).maxInFlight == 256 && held(sink.destination) == Array(0..<30))
  }
  @Test func `is one in a replay, too, which wraps its sink`() {
    let sink = UnownedSink(sink: single(ScriptedSink()))
    #expect(sink.sendsSingleEvents && sink.plansAhead && !sink.recordsEveryRange)
  }
}
