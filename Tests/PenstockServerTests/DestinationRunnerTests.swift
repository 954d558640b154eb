import Dispatch
import HTTPTypes
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

@Suite("A destination that cannot run", .timeLimit(.minutes(1))) struct DestinationRunnerTests {
  @TemporaryDirectory private var directory: String

  @Test func `a seek is refused while another process holds the cursor, and is not made later`() async throws {
    let first = try await Log.open(at: directory + "/log")
    try await first.append("{}")
    let held = try await first.cursor(named: "shop")
    try await held.seek(to: .offset(Offset(1)))
    try await first.close()
    let reader = try await LogReader.open(at: directory + "/log")
    let elsewhere = try await reader.cursor(named: "shop")
    let sink = ScriptedSink(RecordingDestination())
    try await ServiceRig.serve(in: directory, destinations: [PauseTests.destination(sink)]) { rig in
      let answer = try await rig.send(.post, PauseTests.path + "/seek", Array(#"{"to":"beginning"}"#.utf8))
      #expect(answer.status == 409, "\(answer.text)")
    }
    #expect(sink.attempts.isEmpty)
    withExtendedLifetime(elsewhere) {}
    reader.close()
    let last = try await LogReader.open(at: directory + "/log")
    #expect(try await last.cursor(named: "shop").state.committed == Offset(1))
    last.close()
  }

  @Test func `a pause that arrives while the delivery starts is heeded`() async throws {
    let disk = HookedFileSystem(SimulatedFileSystem())
    let log = try await Log.open(at: "/log", environment: ConnectionTimeoutTests.environment(disk))
    let (hasCursor, mayRun, waitsForRecords) = (AsyncCondition(false), AsyncCondition(false), AsyncCondition(false))
    let mayPause = DispatchSemaphore(value: 0)
    let sink = ScriptedSink()
    let destination = ServiceDestination.test { cursor, log in
      hasCursor.update { $0 = true }
      _ = await mayRun.wait { $0 }
      let source = WatchedSource(base: log) { waitsForRecords.update { $0 = true } }
      return Delivery(from: cursor, source: source, to: sink)
    }
    let runner = DestinationRunner(
      destination, log, EventRouter(of: log), retention: RetentionPolicy(), logger: ConnectionTimeoutTests.quiet)
    disk.onCall { verb, path in
      guard verb == .create, path.hasSuffix(".paused") else { return }
      // The delivery looks for a pause first, and only then the pause is on disk.
      mayRun.update { $0 = true }
      mayPause.wait()
    }
    let running = Task { await runner.run() }
    _ = await hasCursor.wait { $0 }
    let pausing = Task { try await runner.pause(reason: "") }
    _ = await waitsForRecords.wait { $0 }
    disk.onCall(nil)
    mayPause.signal()
    try await pausing.value
    try await untilIt(runner, is: .paused)
    runner.stop()
    await running.value
    try await log.close()
  }

  /// Ends with an error when the test's time is over.
  private func untilIt(_ runner: DestinationRunner, is activity: DeliveryProgress.Activity) async throws {
    while await runner.progress?.activity != activity {
      try Task.checkCancellation()
      await Task.yield()
    }
  }

  @Test func `a seek says where the cursor was when it was moved, and not when it was last shown`() async throws {
    let sink = ScriptedSink(RecordingDestination())
    try await ServiceRig.serve(in: directory, destinations: [PauseTests.destination(sink)]) { rig in
      func seek(_ place: String) async throws -> ServiceRig.Answer {
        try await rig.send(.post, PauseTests.path + "/seek", Array(#"{"to":"\#(place)"}"#.utf8))
      }
      for _ in 0..<3 { #expect(try await rig.post("{}").status == 200) }
      while try await PauseTests.shop(rig)["committed"] as? Int != 3 { await Task.yield() }
      let looked = try await PauseTests.shop(rig)["committed"] as? Int
      for _ in 0..<4 { #expect(try await rig.post("{}").status == 200) }
      while try await PauseTests.shop(rig)["committed"] as? Int != 7 { await Task.yield() }
      #expect(try await rig.send(.post, PauseTests.path + "/pause").status == 200)
      let back = try await seek("1")
      #expect(back.status == 200 && back.json["formerCommitted"] as? Int == 7 && looked == 3, "\(back.text)")
      #expect(back.json["name"] as? String == "shop")
      // As Undo does it.
      #expect(try await seek("7").json["formerCommitted"] as? Int == 1)
      #expect(try await seek("8").json["formerCommitted"] == nil)
      #expect(try await seek("beginning").json["formerCommitted"] as? Int == 7)
    }
  }

  @Test
  func `a batch in flight refuses a seek that does not give it up; so a dead destination can be passed`() async throws {
    let sink = ScriptedSink(last: .answer(.retry(reason: "down", after: .seconds(3600))))
    try await ServiceRig.serve(in: directory, destinations: [PauseTests.destination(sink)]) { rig in
      func seek(_ body: String) async throws -> ServiceRig.Answer {
        try await rig.send(.post, PauseTests.path + "/seek", Array(body.utf8))
      }
      for _ in 0..<3 { #expect(try await rig.post("{}").status == 200) }
      await sink.untilDeliveries(1)
      #expect(try await rig.send(.post, PauseTests.path + "/pause").status == 200)
      let refused = try await seek(#"{"to":"end"}"#)
      #expect(refused.status == 409 && refused.text.contains("give it up as you move"), "\(refused.text)")
      #expect(try await seek(#"{"to":"end","giveUpBatch":false}"#).status == 409)
      let moved = try await seek(#"{"to":"end","giveUpBatch":true}"#)
      #expect(moved.status == 200 && moved.json["formerCommitted"] as? Int == 0, "\(moved.text)")
      #expect(try await PauseTests.shop(rig)["committed"] as? Int == 3)
    }
  }

  @Test func `a delivery that ends by itself is a failure, and is not begun again at once`() async throws {
    let made = Mutex<[ContinuousClock.Instant]>([])
    let destination = ServiceDestination.test { cursor, log in
      made.withLock { $0.append(.now) }
      let delivery = Delivery(from: cursor, source: log, to: ScriptedSink(RecordingDestination()))
      delivery.stop()
      return delivery
    }
    try await ServiceRig.serve(in: directory, destinations: [destination]) { rig in
      while try await PauseTests.shop(rig)["failure"] as? String == nil { await Task.yield() }
      for _ in 0..<100 { _ = try await PauseTests.shop(rig) }
      // On a busy machine the hundred looks take longer than the ten seconds after which it is begun again.
      let times = made.withLock { $0 }
      #expect(!times.isEmpty && zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= .seconds(9) })
    }
  }
}

struct ProducerQuotaTests {
  @Test func `a key uses so many names, and another when one has not been used for a window`() {
    var quota = ProducerQuota()
    for number in 0..<ProducerQuota.names { #expect(quota.wait("a", "p\(number)", at: Int64(number)) == nil) }
    #expect(quota.wait("a", "new", at: 300) == ProducerQuota.window - 300)
    #expect(quota.wait("b", "new", at: 300) == nil)
    #expect(quota.wait("a", "p0", at: 300) == nil)
    #expect(quota.wait("a", "new", at: ProducerQuota.window) == 1)
    #expect(quota.wait("a", "new", at: ProducerQuota.window + 1) == nil)
    #expect(quota.wait("a", "p1", at: ProducerQuota.window + 1) != nil)
    #expect(quota.wait("a", "p0", at: ProducerQuota.window + 1) == nil)
  }
}

/// Tells the test when the delivery begins to wait for records.
private struct WatchedSource: RecordSource {
  let base: Log
  let isWaiting: @Sendable () -> Void

  var logID: String { base.logID }
  var durableEnd: Offset { get async { base.durableEnd } }

  func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    try await base.records(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
  }

  func records(in range: Range<Offset>) async throws(LogError) -> Batch { try await base.records(in: range) }

  func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    isWaiting()
    return await base.waitForRecords(past: offset, timeout: timeout)
  }
}
