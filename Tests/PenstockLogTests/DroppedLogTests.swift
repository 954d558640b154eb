@testable import PenstockLog
import PenstockTestKit
import Testing

/// A log that is let go of without being closed.
@Suite(.timeLimit(.minutes(1))) struct DroppedLogTests {
  private func isClosed(_ notice: LogObserverEvent) -> Bool { if case .closed = notice { true } else { false } }

  private func observed() -> (TestLog, LogEnvironment, EventRecorder) {
    let (test, recorder) = (TestLog(), EventRecorder())
    var environment = test.environment()
    environment.observer = recorder
    return (test, environment, recorder)
  }

  /// Appends and returns, holding on to nothing.
  private func use(_ test: TestLog, _ environment: LogEnvironment) async throws {
    let log = try await test.open(with: environment)
    try await log.append("kept", durability: .accepted)
  }

  @Test func `it is closed in order, in the background, and can be opened again`() async throws {
    let (test, environment, recorder) = observed()
    try await use(test, environment)
    await recorder.wait(for: isClosed)
    let again = try await test.open()
    #expect(again.recovery.outcome == .clean && again.end == Offset(1))
    #expect(again.recovery.position.map { $0 > 0 } == true)
    try await again.close()
  }

  private func cursor(_ test: TestLog, _ environment: LogEnvironment) async throws -> Cursor {
    let log = try await test.open(with: environment)
    try await log.append("kept")
    return try await log.cursor(named: "c")
  }

  private func producer(_ test: TestLog, _ environment: LogEnvironment) async throws -> Producer {
    try await test.open(with: environment).producer(named: "p")
  }

  private func records(_ test: TestLog, _ environment: LogEnvironment) async throws -> Records {
    let log = try await test.open(with: environment)
    try await log.append("kept")
    return log.records(tailing: true)
  }

  @Test func `a cursor keeps its log open`() async throws {
    let (test, environment, recorder) = observed()
    do {
      let cursor = try await cursor(test, environment)
      try await cursor.commit(try #require(try await cursor.next()))
      #expect(cursor.state.committed == Offset(1) && !recorder.notices.contains(where: isClosed))
    }
    await recorder.wait(for: isClosed)
  }

  @Test func `a producer keeps its log open`() async throws {
    let (test, environment, recorder) = observed()
    do {
      let producer = try await producer(test, environment)
      for sequence in 1...3 { try await producer.append(batch([record(sequence)]), sequence: UInt64(sequence)) }
      #expect(!recorder.notices.contains(where: isClosed))
    }
    await recorder.wait(for: isClosed)
  }

  @Test func `who reads on keeps the log open`() async throws {
    let (test, environment, recorder) = observed()
    do {
      var reading = try await records(test, environment).makeAsyncIterator()
      #expect(try await reading.next()?.text == "kept")
      #expect(!recorder.notices.contains(where: isClosed))
    }
    await recorder.wait(for: isClosed)
  }

  @Test func `a log that was closed is not closed again`() async throws {
    let (test, environment, recorder) = observed()
    do {
      let log = try await test.open(with: environment)
      try await log.close()
    }
    #expect(recorder.notices.count(where: isClosed) == 1)
  }
}
