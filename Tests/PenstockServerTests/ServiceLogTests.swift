import HTTPTypes
import Logging
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

@Suite("The service's log", .timeLimit(.minutes(1)))
struct ServiceLogTests {
  /// Lines as a service writes them.
  final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }

    var logger: Logger {
      Logger(label: "penstock") { [self] label in
        JSONLogHandler(label: label, clock: ManualClock()) { line in self.lines.withLock { $0.append(line) } }
      }
    }
  }

  @Test("a line is one JSON object, with the metadata of logger, provider and line, of which the nearest counts")
  func format() {
    let lines = Lines()
    var logger = lines.logger
    logger.info("hello")
    logger[metadataKey: "a"] = "of the logger"
    logger[metadataKey: "b"] = "of the logger"
    logger.handler.metadataProvider = .init { ["b": "provided", "c": "provided"] }
    logger.error(
      "two\nlines, \"quoted\"",
      metadata: ["c": "of the line", "n": .stringConvertible(7), "d": ["x": ["y", "z"]]])
    let start = #"{"time":"2026-01-01T00:00:00.000Z","level":""#
    #expect(
      lines.all == [
        start + #"info","label":"penstock","message":"hello"}"#,
        start + #"error","label":"penstock","message":"two\nlines, \"quoted\"","metadata":"#
          + #"{"a":"of the logger","b":"provided","c":"of the line","d":{"x":["y","z"]},"n":"7"}}"#,
      ])
  }

  @Test("what a request asked for names it, also behind its answer")
  func afterwards() async {
    let lines = Lines()
    lines.logger.ofRequest.info("nobody asked")
    await RequestID.$current.withValue("17") { Task { lines.logger.ofRequest.info("asked") } }.value
    #expect(lines.all.count == 2 && lines.all[0].hasSuffix(#""nobody asked"}"#))
    #expect(lines.all[1].hasSuffix(#""message":"asked","metadata":{"requestId":"17"}}"#))
  }

  @Test("a request that could not be answered is told with its id, and why")
  func failure() async throws {
    try await withTemporaryDirectory { directory in
      // Where its dead letters should be.
      try write("no directory", to: directory + "/letters")
      let destination = RedeliveryTests.destination(directory) { _ in ScriptedSink() }
      let lines = Lines()
      try await ServiceRig.run(in: directory, destinations: [destination], logger: lines.logger) { rig in
        let answer = try await rig.send(.get, RedeliveryTests.path + "/deadletters")
        let field = try #require(HTTPField.Name("X-Request-Id"))
        let id = try #require(answer.headers[field])
        #expect(answer.status == 500 && !answer.text.contains(directory), "\(answer.text)")
        let told = lines.all.filter { $0.contains(#""requestId":"\#(id)""#) }
        #expect(told.count == 1 && told[0].contains(#""route":"getDeadLetters""#), "\(lines.all)")
        #expect(told.first?.contains(directory) == true)
      }
    }
  }

  @Test("both notes of a change have the request's id")
  func audit() async throws {
    try await withTemporaryDirectory { directory in
      var ids: [String] = []
      let field = try #require(HTTPField.Name("X-Request-Id"))
      let asked = Mutex<[String]>([])
      try await ServiceRig.run(in: directory) { rig in
        for _ in 0..<2 {
          let answer = try await rig.send(.post, "/v1/keys", Array("{}".utf8))
          asked.withLock { $0.append(answer.headers[field] ?? "none") }
        }
      }
      ids = asked.withLock { $0 }
      #expect(Set(ids).count == 2)
      let audit = try await LogReader.open(at: directory + "/log.audit")
      defer { audit.close() }
      var notes: [String] = []
      for try await record in audit.records() { notes.append(record.text) }
      #expect(notes.count == 4)
      for (index, note) in notes.enumerated() where notes.count == 4 {
        #expect(note.contains(#""requestId":"\#(ids[index / 2])""#), "\(note)")
      }
    }
  }
}
