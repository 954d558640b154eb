import HTTPTypes
import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

@Suite("Dead letters over HTTP", .timeLimit(.minutes(1))) struct RedeliveryTests {
  private let received = RecordingDestination()
  @TemporaryDirectory private var directory: String
  static let path = "/v1/destinations/shop"

  /// A destination whose dead letters lie in `directory`, and that takes them again as `again` is told.
  static func destination(_ directory: String, _ again: @escaping @Sendable (_ mark: String) -> any Sink)
    -> ServiceDestination
  {
    .test(deadLetters: directory + "/letters", replaying: { again($0) })
  }

  static func writeDeadLetter(_ records: [String], in directory: String) async throws {
    let box = DeadLetterLog(in: directory + "/letters", cursor: "shop")
    for (number, record) in records.enumerated() {
      _ = try await box.writeDeadLetter(
        DeadLetter(
          logID: "00112233445566778899aabbccddeeff", cursor: "shop", offset: Offset(UInt64(number * 10)),
          appendTime: Timestamp(nanoseconds: 5), deadLetteredAt: Timestamp(nanoseconds: 7),
          deliveryID: DeliveryID("d\(number)"), isUnrenderable: false, attempts: 1, destination: "webhook",
          reason: "422: no", record: Array(record.utf8)))
    }
    try await box.close()
  }

  static func redeliver(_ rig: ServiceRig, _ body: String = "{}") async throws -> ServiceRig.Answer {
    try await rig.send(.post, path + "/redeliver", Array(body.utf8))
  }

  /// Asks until the redelivery is over.
  static func ended(_ rig: ServiceRig) async throws -> [String: Any] {
    while true {
      let listed = try await rig.send(.get, path + "/deadletters").json
      if let one = listed["redelivery"] as? [String: Any], one["state"] as? String != "running" { return one }
      await Task.yield()
    }
  }

  @Test func `are counted, sent again from where the last time ended, one alone, and all`() async throws {
    try await Self.writeDeadLetter(["a", "b", "c"], in: directory)
    let sinks = Mutex<[ScriptedSink]>([])
    let marks = Mutex<[String]>([])
    let destination = Self.destination(directory) { mark in
      marks.withLock { $0.append(mark) }
      // The first time the second letter is refused again.
      let isFirst = sinks.withLock { $0.isEmpty }
      let sink = ScriptedSink(received, faults: .init(rejects: isFirst ? [Offset(1)] : []))
      sinks.withLock { $0.append(sink) }
      return sink
    }
    try await ServiceRig.run(in: directory, destinations: [destination]) { rig in
      let listed = try await rig.send(.get, Self.path + "/deadletters")
      #expect(listed.json["count"] as? Int == 3 && listed.text.contains(#""redeliveredUpTo":null,"redelivery":null"#))
      let one = try await rig.send(.get, Self.path + "/deadletters/1").json
      #expect(one["record"] as? String == "b" && one["offset"] as? Int == 10 && one["kind"] as? String == "rejected")
      for number in ["3", "x", "-1", "99999999999999999999"] {
        #expect(try await rig.send(.get, Self.path + "/deadletters/\(number)").status == 404, "\(number)")
      }
      #expect(
        try await Self.redeliver(rig, #"{"dryRun":true}"#).text
          == #"{"destination":"shop","letters":3,"first":0}"# + "\n")
      #expect(sinks.withLock { $0.isEmpty }, "a dry run made a sink")
      #expect(try await Self.redeliver(rig).status == 202)
      let first = try await Self.ended(rig)
      #expect(first["state"] as? String == "finished" && first["delivered"] as? Int == 2, "\(first)")
      let reasons = try #require(first["reasons"] as? [[String: Any]])
      #expect(first["rejected"] as? Int == 1 && reasons.first?["number"] as? Int == 1)
      // All three were passed.
      #expect(try await rig.send(.get, Self.path + "/deadletters").json["redeliveredUpTo"] as? Int == 3)
      #expect(try await Self.redeliver(rig, #"{"dryRun":true}"#).json["letters"] as? Int == 0)
      #expect(try await Self.redeliver(rig).status == 409)
      #expect(try await Self.redeliver(rig, #"{"letter":1,"dryRun":true}"#).json["letters"] as? Int == 1)
      #expect(try await Self.redeliver(rig, #"{"letter":1}"#).status == 202)
      let second = try await Self.ended(rig)
      #expect(second["letters"] as? Int == 1 && second["delivered"] as? Int == 1 && second["rejected"] as? Int == 0)
      #expect(sinks.withLock { $0.last?.attempts } == [Offset(1)..<Offset(2)])
      #expect(try await Self.redeliver(rig, #"{"all":true,"dryRun":true}"#).json["letters"] as? Int == 3)
      #expect(try await Self.redeliver(rig, #"{"all":true}"#).status == 202)
      #expect(try await Self.ended(rig)["delivered"] as? Int == 3)
      #expect(marks.withLock { $0 } == ["deadletters", "deadletters.1", "deadletters"])
      for (body, status) in [
        (#"{"letter":3}"#, 404), (#"{"letter":-1}"#, 400), (#"{"letter":1,"all":true}"#, 400), ("[]", 400),
      ] {
        #expect(try await Self.redeliver(rig, body).status == status, "\(body)")
      }
      #expect(try await rig.send(.post, "/v1/destinations/other/redeliver").status == 404)
    }
  }

  @Test func `are sent by one redelivery at a time, which the service's end lets finish`() async throws {
    try await Self.writeDeadLetter(["a", "b"], in: directory)
    let sink = ScriptedSink(received, last: .acceptWhenReleased)
    let host = RedeliveryRunner(logger: ConnectionTimeoutTests.quiet)
    let destination = Self.destination(directory) { _ in sink }
    let letters = try #require(destination.letters)
    #expect(try host.start(.remaining, of: letters, to: destination, letters: 2))
    await sink.untilDeliveries(1)
    #expect(await host.state("shop")?.report.ending == nil)
    #expect(try !host.start(.one(Offset(0)), of: letters, to: destination, letters: 1))
    let stopping = Task { await host.stop() }
    sink.release()
    await stopping.value
    #expect(received.content == Array("a\nb\n".utf8))
    #expect(try !host.start(.remaining, of: letters, to: destination, letters: 2), "it began after the end")
  }

  private struct Page: Equatable {
    var numbers: [Int]
    var next: Int?
  }

  private static func page(_ rig: ServiceRig, _ query: String) async throws -> Page {
    let answer = try await rig.send(.get, path + "/deadletters" + query)
    let letters = try #require(answer.json["deadLetters"] as? [[String: Any]])
    #expect(answer.json["count"] as? Int == 7 && answer.json["next"] != nil)
    return Page(numbers: letters.compactMap { $0["number"] as? Int }, next: answer.json["next"] as? Int)
  }

  @Test func `come in pages of bounded size, each of which says where the next begins`() async throws {
    let (long, longer) = (String(repeating: "x", count: 3 << 19), String(repeating: "x", count: 5 << 20))
    try await Self.writeDeadLetter(["a", long, long, long, longer, "b", "c"], in: directory)
    let destination = Self.destination(directory) { _ in ScriptedSink() }
    try await ServiceRig.run(in: directory, destinations: [destination]) { rig in
      func page(_ query: String) async throws -> Page { try await Self.page(rig, query) }
      var pages: [[Int]] = []
      var from: Int? = 0
      while let number = from {
        let page = try await page("?from=\(number)&limit=1000")
        pages.append(page.numbers)
        from = page.next
      }
      #expect(pages == [[0, 1, 2], [3], [4], [5, 6]])
      #expect(try await page("?limit=2") == Page(numbers: [0, 1], next: 2))
      #expect(try await page("?from=5&limit=2") == Page(numbers: [5, 6], next: nil))
      #expect(try await page("?from=7") == Page(numbers: [], next: nil))
    }
  }

  @Test func `of a destination that keeps none are none, and a sink that cannot be made is reported`() async throws {
    try await Self.writeDeadLetter(["a"], in: directory)
    let broken = ServiceDestination.test(
      deadLetters: directory + "/letters", replaying: { _ in throw SinkError("no certificate") })
    try await ServiceRig.run(in: directory, destinations: [.test("none", kind: "directory"), broken]) { rig in
      #expect(try await rig.send(.get, "/v1/destinations/none/deadletters").json["count"] as? Int == 0)
      #expect(try await rig.send(.get, "/v1/destinations/none/deadletters/0").status == 404)
      #expect(try await rig.send(.post, "/v1/destinations/none/redeliver").status == 409)
      let counted = try await rig.send(.post, "/v1/destinations/none/redeliver", Array(#"{"dryRun":true}"#.utf8))
      #expect(counted.json["letters"] as? Int == 0)
      let answer = try await Self.redeliver(rig)
      #expect(answer.status == 409 && answer.text.contains("no certificate"), "\(answer.text)")
    }
  }

  @Test func `whose bytes are no text come as base64`() throws {
    let letter = DeadLetter(
      logID: "", cursor: "shop", offset: .zero, appendTime: Timestamp(nanoseconds: 0),
      deadLetteredAt: Timestamp(nanoseconds: 0), deliveryID: DeliveryID("d"), isUnrenderable: true, attempts: 0,
      destination: "", reason: "", record: [0xFF, 0x00])
    let text = DeadLetters.Numbered(number: .zero, letter: letter).json.text
    #expect(
      text.hasSuffix(
        #""kind":"unrenderable","attempts":0,"destination":"","reason":"","bytes":2,"recordBase64":"/wA="}"#))
  }
}
