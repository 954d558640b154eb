import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("Redelivery of dead letters", .timeLimit(.minutes(3))) struct RedeliveryTests {
  private let sink = ScriptedSink()
  let disk = SimulatedFileSystem()

  var letters: DeadLetters { DeadLetters(in: "/dead", environment: DeadLetterLogTests.environment(disk, salt: 2)) }

  func writeDeadLetters(_ numbers: Range<Int>) async throws {
    let box = DeadLetterLog(in: "/dead", cursor: "billing", environment: DeadLetterLogTests.environment(disk))
    for number in numbers {
      _ = try await box.writeDeadLetter(DeadLetterLogTests.letter(UInt64(number), "letter \(number)"))
    }
    try await box.close()
  }

  func redelivery(
    _ scope: RedeliveryScope = .remaining, to sink: ScriptedSink, named name: String = "billing"
  ) -> Redelivery {
    let options = DeliveryOptions(policy: BatchPolicy(maxRecords: 2))
    return Redelivery(RedeliverySettings(scope, of: "billing", to: name, options: options), in: letters, to: sink)
  }

  @Test func `runs once; a second run throws and sends nothing`() async throws {
    try await writeDeadLetters(0..<1)
    let redelivery = self.redelivery(to: ScriptedSink())
    _ = try await redelivery.run()
    await #expect(throws: DeliveryFailure.self) { try await redelivery.run() }
    #expect(await redelivery.report.delivered == 1)
  }

  @Test
  func `continues where it ended, for each destination by itself, and reports what is rejected again`() async throws {
    try await writeDeadLetters(0..<5)
    #expect(try await letters.pending(.remaining, of: "billing", to: "billing") == Offset(0)..<Offset(5))
    #expect(try await letters.redelivered(of: "billing", to: "billing") == nil)
    let picky = ScriptedSink(faults: .init(rejects: [Offset(3)]))
    let report = try await redelivery(to: picky).run()
    #expect(report.delivered == 4 && report.ending == .caughtUp && report.attempts >= 4)
    #expect(report.rejected.map(\.number) == [Offset(3)] && report.rejected[0].reason.contains("422"))
    #expect(picky.destination.content == Array("letter 0\nletter 1\nletter 2\nletter 4\n".utf8) && picky.closings == 1)
    #expect(try await letters.redelivered(of: "billing", to: "billing") == Offset(5))
    #expect(try await letters.pending(.remaining, of: "billing", to: "billing").isEmpty)
    let idle = ScriptedSink()
    let nothing = try await redelivery(to: idle).run()
    #expect(nothing.attempts == 0 && nothing.delivered == 0 && nothing.ending == .caughtUp)
    try await writeDeadLetters(5..<7)
    #expect(try await redelivery(to: idle).run().delivered == 2)
    #expect(idle.destination.content == Array("letter 5\nletter 6\n".utf8))
    #expect(try await letters.pending(.remaining, of: "billing", to: "other") == Offset(0)..<Offset(7))
    #expect(try await letters.count(of: "billing") == 7, "letters are not removed")
  }

  @Test func `of one letter leaves what remains as it is, and sends the same id again`() async throws {
    try await writeDeadLetters(0..<4)
    let first = ScriptedSink()
    #expect(try await redelivery(.one(Offset(2)), to: first).run().delivered == 1)
    #expect(first.destination.content == Array("letter 2\n".utf8))
    #expect(try await letters.redelivered(of: "billing", to: "billing") == nil)
    // A receiver that has it knows it again: the recording destination takes an id once.
    let again = ScriptedSink(first.destination)
    #expect(try await redelivery(.one(Offset(2)), to: again).run().delivered == 1)
    #expect(first.destination.content == Array("letter 2\n".utf8) && first.destination.violations.isEmpty)
    let picky = ScriptedSink(faults: .init(rejects: [Offset(1)]))
    let report = try await redelivery(.one(Offset(1)), to: picky).run()
    #expect(report.delivered == 0 && report.rejected.map(\.number) == [Offset(1)])
    #expect(try await letters.pending(.remaining, of: "billing", to: "billing") == Offset(0)..<Offset(4))
  }

  @Test func `of all begins at the oldest`() async throws {
    try await writeDeadLetters(0..<3)
    _ = try await redelivery(to: ScriptedSink()).run()
    #expect(try await letters.pending(.all, of: "billing", to: "billing") == Offset(0)..<Offset(3))
    #expect(try await redelivery(.all, to: sink).run().delivered == 3)
    #expect(sink.destination.content == Array("letter 0\nletter 1\nletter 2\n".utf8))
  }

  @Test func `that is stopped continues with the same batch`() async throws {
    try await writeDeadLetters(0..<4)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let first = redelivery(to: sink)
    let running = Task { try await first.run() }
    await sink.untilDeliveries(1)
    first.stop()
    sink.release()
    #expect(try await outcome(of: running).ending == .stopped)
    let rest = ScriptedSink(sink.destination)
    #expect(try await redelivery(to: rest).run().ending == .caughtUp)
    #expect(sink.destination.content == Array("letter 0\nletter 1\nletter 2\nletter 3\n".utf8))
    #expect(sink.destination.violations.isEmpty)
    // Before it is run as well.
    let early = redelivery(.all, to: ScriptedSink())
    early.stop()
    #expect(try await early.run().ending == .stopped)
  }

  @Test func `of letters that are not there is refused, with the sink closed`() async throws {
    await #expect { try await redelivery(to: sink).run() } throws: { ($0 as? LogError)?.code == .unknownCursor }
    try await writeDeadLetters(0..<2)
    let other = ScriptedSink()
    await #expect { try await redelivery(.one(Offset(2)), to: other).run() } throws: {
      ($0 as? LogError)?.code == .unknownCursor
    }
    #expect(sink.closings == 1 && other.closings == 1 && other.attempts.isEmpty)
    #expect(try await letters.pending(.one(Offset(2)), of: "billing", to: "x").isEmpty)
    #expect(try await letters.pending(.all, of: "nobody", to: "x").isEmpty)
  }
}
