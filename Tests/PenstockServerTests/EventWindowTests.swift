import Foundation
import HTTPTypes
import PenstockDelivery
import PenstockLog
import PenstockSinks
import PenstockTestKit
import Testing

@testable import PenstockServer

@Suite("A window of event times over HTTP", .timeLimit(.minutes(3))) struct EventWindowTests {
  @TemporaryDirectory private var directory: String

  /// A line as it is sent, and its time in milliseconds since 1970.
  private struct Event {
    let line: String
    let time: Int?
  }

  private static func events(_ count: Int, _ random: inout SplitMix64) -> [Event] {
    var events: [Event] = []
    for number in 0..<count {
      var time: Int? = 1_700_000_000_000 + number * 1000 - random.below(90_000)
      switch random.below(40) {
      case 0: time = 4_000_000_000_000
      case 1: time = 5_000
      case 2, 3: time = events.last?.time
      case 4: time = nil
      default: break
      }
      let ts = time.map { "\($0 / 1000).\(String($0 % 1000 + 1000).dropFirst())" } ?? "null"
      events.append(Event(line: "{\"n\":\(number),\"ts\":\(ts)}", time: time))
    }
    return events
  }

  @Test func `its pages together are what a scan selects, whatever their size`() async throws {
    try await ServiceRig.run { rig in
      var random = SplitMix64(seed: 5)
      let events = Self.events(1_500, &random)
      var sent = 0
      while sent < events.count {
        let end = min(events.count, sent + 1 + random.below(60))
        #expect(try await rig.post("[" + events[sent..<end].map(\.line).joined(separator: ",") + "]").status == 200)
        sent = end
      }
      var lengths: Set<Int> = []
      for number in 0..<200 {
        let bounds = (0..<2).map { _ in (events[random.below(events.count)].time ?? 0) + random.below(3) - 1 }
        let (from, until) = (max(0, bounds.min() ?? 0), max(0, bounds.max() ?? 0))
        let untimed = random.below(2) == 0 ? "skip" : "include"
        let rows = events.filter { event in event.time.map { from <= $0 && $0 < until } ?? (untimed == "include") }
        lengths.insert(rows.count)
        func place(_ time: Int) -> String { "event:@\(time / 1000).\(String(time % 1000 + 1000).dropFirst())" }
        let query = "/v1/events?from=\(place(from))&to=\(place(until))&untimed=\(untimed)"
        let limit = 100 + random.below(2_000)
        var (text, page, looks) = ("", "", 0)
        while true {
          let answer = try await rig.send(.get, query + "&limit=\(limit)" + page)
          #expect(answer.status == 200, "\(answer.text)")
          text += answer.text
          let (first, end) = (answer.header("Penstock-First"), answer.header("Penstock-End"))
          looks += 1
          guard let first, let end, first != end, looks < 50 else { break }
          page = "&page=\(end)"
        }
        #expect(text == rows.map { $0.line + "\n" }.joined(), "window \(number): \(query), limit \(limit)")
      }
      #expect(lengths.count > 50, "the windows are no good: \(lengths)")
    }
  }

  @Test func `is counted by a dry run as a replay delivers it, and as a scan selects`() async throws {
    let destination = ServiceDestination.test(
      kind: "file",
      delivering: { cursor, log in Delivery(from: cursor, source: log, to: ScriptedSink(RecordingDestination())) },
      replaying: { id in try FileSink(path: "\(directory)/\(id)") })
    try await ServiceRig.serve(in: directory, destinations: [destination]) { rig in
      var random = SplitMix64(seed: 6)
      let events = Self.events(800, &random)
      #expect(try await rig.post("[" + events.map(\.line).joined(separator: ",") + "]").status == 200)
      for number in 0..<20 {
        let from = events[random.below(700)].time ?? 0
        let until = from + 1 + random.below(300_000)
        let rows = events.filter { event in event.time.map { from <= $0 && $0 < until } ?? false }
        let window = """
          "from":"event:@\(from / 1000).\(String(from % 1000 + 1000).dropFirst())",\
          "to":"event:@\(until / 1000).\(String(until % 1000 + 1000).dropFirst())"
          """
        func begin(_ more: String) async throws -> ServiceRig.Answer {
          try await rig.send(.post, "/v1/replays", Array(#"{"destination":"shop",\#(more)}"#.utf8))
        }
        let dry = try await begin(#""dryRun":true,\#(window)"#)
        #expect(dry.status == 200 && dry.json["events"] as? Int == rows.count, "\(window): \(dry.text)")
        #expect(dry.json["untimed"] as? Int ?? 0 <= events.filter { $0.time == nil }.count)
        #expect(try await begin(#""id":"w\#(number)",\#(window)"#).status == 202)
        var state = "running"
        while state == "running" || state == "stopped" {
          let answer = try await rig.send(.get, "/v1/replays/w\(number)")
          state = answer.status == 404 ? "running" : answer.json["state"] as? String ?? answer.text
          await Task.yield()
        }
        #expect(state == "finished")
        let file = FileManager.default.contents(atPath: "\(directory)/w\(number)") ?? Data()
        #expect(String(decoding: file, as: UTF8.self) == rows.map { $0.line + "\n" }.joined(), "\(window)")
      }
      let shown = try await rig.send(.get, "/v1/replays/w3")
      #expect((shown.json["eventWindow"] as? [String: Any])?["untimed"] as? String == "skip", "\(shown.text)")
    }
  }

  @Test func `is refused where it is of times that do not exist, or asks what no window asks`() async throws {
    try await ServiceRig.run { rig in
      for query in [
        "from=2026-02-30", "to=event:2026-11-29T25:00:00Z", "from=event:2026-11-29T00:61:00Z", "from=event:1",
        "untimed=maybe", "from=event:now&untimed=maybe", "page=x", "page=-1",
      ] {
        let answer = try await rig.send(.get, "/v1/events?" + query)
        #expect(answer.status == 400 && answer.code == "bad_request", "\(query): \(answer.status)")
      }
      for query in [
        "from=-24h", "from=yesterday&to=today", "from=event:2026-11-29", "from=event:-1h&untimed=append-time",
      ] {
        #expect(try await rig.send(.get, "/v1/events?" + query).status == 200, "\(query)")
      }
    }
  }
}

extension ServiceRig.Answer {
  fileprivate func header(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }
}
