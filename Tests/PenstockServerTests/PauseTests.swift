import HTTPTypes
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockServer

@Suite("Pausing a destination over HTTP", .timeLimit(.minutes(1))) struct PauseTests {
  @TemporaryDirectory private var directory: String
  static let path = "/v1/destinations/shop"

  /// A destination that takes every record by itself.
  static func destination(_ sink: ScriptedSink, _ name: String = "shop") -> ServiceDestination {
    .test(name) { cursor, log in Delivery(from: cursor, source: log, to: sink, policy: BatchPolicy(maxRecords: 1)) }
  }

  static func shop(_ rig: ServiceRig) async throws -> [String: Any] {
    let answer = try await rig.send(.get, "/v1/destinations")
    return try #require((answer.json["destinations"] as? [[String: Any]])?.first)
  }

  /// Asks until the delivery itself says that it heeds the pause.
  static func untilPaused(_ rig: ServiceRig) async throws {
    while try await shop(rig)["state"] as? String != "paused" { await Task.yield() }
  }

  static func reason(_ json: [String: Any]) -> String? { (json["pause"] as? [String: Any])?["reason"] as? String }

  @Test func `a paused destination is sent nothing, over restarts, until it is resumed`() async throws {
    let received = RecordingDestination()
    let first = ScriptedSink(received)
    try await ServiceRig.serve(in: directory, destinations: [Self.destination(first)]) { rig in
      #expect(try await rig.post(#"{"ts":1}"#).status == 200)
      await first.untilDeliveries(1)
      let paused = try await rig.send(.post, Self.path + "/pause", Array(#"{"reason":"bucket moves"}"#.utf8))
      #expect(paused.status == 200 && Self.reason(paused.json) == "bucket moves", "\(paused.text)")
      // The first one stands.
      let again = try await rig.send(.post, Self.path + "/pause")
      #expect(Self.reason(again.json) == "bucket moves")
      #expect(try await rig.post(#"{"ts":2}"#).status == 200)
      try await Self.untilPaused(rig)
      #expect(first.attempts.count == 1)
    }
    let second = ScriptedSink(received)
    try await ServiceRig.serve(in: directory, destinations: [Self.destination(second)]) { rig in
      try await Self.untilPaused(rig)
      #expect(second.attempts.isEmpty)
      #expect(try await Self.reason(Self.shop(rig)) == "bucket moves")
      let resumed = try await rig.send(.post, Self.path + "/resume")
      #expect(resumed.status == 200 && resumed.text.contains(#""pause":null"#), "\(resumed.text)")
      // The state after it, not the one the delivery is about to leave.
      #expect(resumed.json["state"] as? String != "paused", "\(resumed.text)")
      await second.untilDeliveries(1)
      #expect(second.attempts == [Offset(1)..<Offset(2)])
    }
  }

  @Test func `a destination that does not run is paused and resumed as well`() async throws {
    let sink = ScriptedSink()
    try await ServiceRig.run(in: directory, destinations: [Self.destination(sink)]) { rig async throws in
      #expect(try await rig.post(#"{"ts":1}"#).status == 200)
      #expect(try await rig.send(.post, Self.path + "/pause").status == 200)
      #expect(try await rig.send(.post, Self.path + "/retry").status == 409)
      #expect(try await rig.send(.post, Self.path + "/pause", Array("[]".utf8)).status == 400)
      #expect(try await rig.send(.post, "/v1/destinations/other/pause").status == 404)
    }
    try await ServiceRig.serve(in: directory, destinations: [Self.destination(sink)]) { rig in
      try await Self.untilPaused(rig)
      #expect(sink.attempts.isEmpty)
    }
    try await ServiceRig.run(in: directory, destinations: [Self.destination(sink)]) { rig async throws in
      #expect(try await rig.send(.post, Self.path + "/resume").status == 200)
      #expect(try await Self.reason(Self.shop(rig)) == nil)
    }
    let last = ScriptedSink()
    try await ServiceRig.serve(in: directory, destinations: [Self.destination(last)]) { _ in
      await last.untilDeliveries(1)
    }
    #expect(last.attempts == [Offset(0)..<Offset(1)])
  }
}
