import HTTPTypes
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

@Suite("A destination that cannot run", .timeLimit(.minutes(1)))
struct DestinationHostTests {
  @Test("a seek is refused while another process holds the cursor, and is not made later")
  func seekOfAHeldCursor() async throws {
    try await withTemporaryDirectory { directory in
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
  }

  @Test("a delivery that ends by itself is told as a failure, and is not begun again at once")
  func endsByItself() async throws {
    try await withTemporaryDirectory { directory in
      let made = Mutex(0)
      let destination = ServiceDestination(
        name: "shop", kind: "webhook",
        makeDelivery: { cursor, log in
          made.withLock { $0 += 1 }
          let delivery = Delivery(from: cursor, source: log, to: ScriptedSink(RecordingDestination()))
          delivery.stop()
          return delivery
        },
        makeReplaySink: { _ in ScriptedSink(RecordingDestination()) })
      try await ServiceRig.serve(in: directory, destinations: [destination]) { rig in
        while try await PauseTests.shop(rig)["failure"] as? String == nil { await Task.yield() }
        for _ in 0..<100 { _ = try await PauseTests.shop(rig) }
        #expect(made.withLock { $0 } == 1)
      }
    }
  }
}

struct ProducerQuotaTests {
  @Test("a key uses so many names, and another when one has not been used for a window")
  func names() {
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
