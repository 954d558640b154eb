import Foundation
import HTTPTypes
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

@Suite("What is damaged next to the log", .timeLimit(.minutes(2))) struct DamageTests {
  private let received = RecordingDestination()
  @TemporaryDirectory private var directory: String

  /// A service that has taken a few requests with keys, and noted a few changes, and has ended.
  static func used(in directory: String, keys: Int = 8) async throws {
    try await ServiceRig.run(in: directory) { rig async throws in
      for number in 0..<keys { try await #expect(send(number, to: rig).status == 200) }
      for _ in 0..<3 { _ = try await rig.send(.post, "/v1/destinations/none/pause", []) }
    }
  }

  static func send(_ number: Int, to rig: ServiceRig, token: String? = nil) async throws -> ServiceRig.Answer {
    try await rig.send(
      .post, "/v1/events", Array(#"{"n":\#(number)}"#.utf8), token: token, [("Idempotency-Key", "key \(number)")])
  }

  static func files(in directory: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: directory).filter { $0.hasSuffix(".seg") || $0 == "META" }
      .map { directory + "/" + $0 }.sorted()
  }

  static func flip(_ path: String, at position: Int) throws {
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    try #require(position < bytes.count)
    bytes[position] ^= 0x10
    try bytes.write(to: URL(fileURLWithPath: path))
  }

  static func damaged(_ rig: ServiceRig) async throws -> [String] {
    let listed = try await rig.send(.get, "/v1/status").json["damaged"] as? [[String: Any]]
    return try #require(listed).compactMap { $0["part"] as? String }
  }

  @Test(arguments: [8192 + 20, 8192 + 100, 8192 + 3 * 4096 + 20, 8192 + 3 * 4096 + 100])
  func `a flipped bit in the journal of keys costs keys, and no start, no event and no delivery`(
    position: Int
  ) async throws {
    try await Self.used(in: directory)
    let segment = try #require(try Self.files(in: directory + "/log.keys").first { $0.hasSuffix(".seg") })
    // Blocks are pages, after the segment's header of two.
    try Self.flip(segment, at: position)
    let sink = ScriptedSink()
    try await ServiceRig.serve(in: directory, destinations: [PauseTests.destination(sink)]) { rig async throws in
      var again = 0
      for number in 0..<8 {
        let answer = try await Self.send(number, to: rig)
        #expect(answer.status == 200, "\(answer.text)")
        if !answer.text.contains("duplicate") { again += 1 }
      }
      // A block at the most: every other key is known, and the newest ones are known to their producers as well.
      #expect(again < 4, "\(again) keys were lost")
      #expect(try await Self.send(100, to: rig).status == 200)
      #expect(try await rig.send(.get, "/readyz").status == 200)
      #expect(try await Self.damaged(rig) == ["idempotencyKeys"])
      #expect(try await rig.send(.get, "/metrics").text.contains("penstock_damaged{part=\"idempotencyKeys\"} 1\n"))
      await sink.untilDeliveries(9 + again)
    }
  }

  @Test func `a journal that cannot be opened at all for damage is moved aside, and its bytes are kept`() async throws {
    try await Self.used(in: directory, keys: 1)
    let journal = directory + "/log.keys"
    for file in try Self.files(in: journal) { try Data("nonsense".utf8).write(to: URL(fileURLWithPath: file)) }
    try await ServiceRig.run(in: directory) { rig async throws in
      #expect(try await Self.damaged(rig) == ["idempotencyKeys"])
      #expect(try await Self.send(7, to: rig).status == 200)
      #expect(try await Self.send(7, to: rig).text.contains("duplicate"))
      #expect(try await rig.send(.get, "/readyz").status == 200)
    }
    #expect(FileManager.default.fileExists(atPath: journal + ".damaged-1/META"))
    // Nothing is wrong with the new one.
    try await ServiceRig.run(in: directory) { rig async throws in
      #expect(try await Self.damaged(rig) == [])
      #expect(try await Self.send(7, to: rig).text.contains("duplicate"))
    }
  }

  @Test func `a journal that is only out of reach refuses keys until it is there, and nothing else`() async throws {
    let (disk, keys) = (SimulatedFileSystem(), SimulatedFileSystem())
    let before = try await KeyedLife(disk, keys: keys, life: 0, producers: 1)
    for number in 0..<3 { _ = try await before.append(number).get() }
    try await before.close()
    let kept = keys.processKill()
    // Rights that are missing are no damage: everything may be there.
    kept.fail(fromIO: kept.ioCount + 1, .permissionDenied)
    let told = Mutex<[LogError.Code?]>([])
    let after = try await KeyedLife(
      disk.processKill(), keys: kept, life: 2, producers: 1, retryInterval: .milliseconds(1)
    ) { trouble in told.withLock { $0.append(trouble?.code) } }
    let refused = await after.append(1)
    guard case .failure(.journalUnavailable) = refused else {
      Issue.record("a key was taken although nobody knows whether it came before: \(refused)")
      return
    }
    #expect(after.appender.trouble != nil && after.appender.damage == nil)
    kept.clearFaults()
    while after.appender.trouble != nil { await Task.yield() }
    for number in 0..<3 { #expect(try await after.isKnown(number)) }
    #expect(told.withLock { $0.first != .some(nil) && $0.last == .some(nil) })
    try await after.close()
  }

  @Test(arguments: [false, true])
  func `a damaged audit log keeps no service from starting, and takes entries again`(isGone: Bool) async throws {
    try await Self.used(in: directory)
    let files = try Self.files(in: directory + "/log.audit")
    if isGone {
      for file in files { try Data("nonsense".utf8).write(to: URL(fileURLWithPath: file)) }
    } else {
      try Self.flip(try #require(files.first { $0.hasSuffix(".seg") }), at: 8192 + 20)
    }
    try await ServiceRig.run(in: directory) { rig async throws in
      #expect(try await Self.damaged(rig) == ["audit"])
      #expect(try await rig.post("{}").status == 200)
      #expect(try await rig.send(.post, "/v1/destinations/none/pause", []).status == 404, "a change is not even tried")
      #expect(try await rig.send(.get, "/readyz").status == 200)
    }
  }

  @Test func `an audit that is out of reach refuses changes, and takes and delivers events`() async throws {
    let disk = SimulatedFileSystem()
    disk.fail(fromIO: 1, .permissionDenied)
    let audit = await AuditLog.open(at: "/audit", environment: ConnectionTimeoutTests.environment(disk))
    #expect(try #require(audit.damage).contains("/audit cannot be opened"))
    await #expect(throws: LogError.self) { try await audit.note(nil, "pause", target: "x", outcome: "asked") }
    try await audit.close()
  }

  @Test func `keys that cannot be read admit no request until they can, and events are still delivered`() async throws {
    let path = directory + "/keys.json"
    let token = try APIKeyStore(path).create(.init(name: "ops", role: .companyAdmin)).token
    let good = try read(path)
    try await ServiceRig.run(in: directory, { $0.keysFile = path }) { rig async throws in
      #expect(try await Self.send(0, to: rig, token: token).status == 200)
    }
    try write(String(good.dropFirst(3)), to: path)
    let sink = ScriptedSink(received)
    try await ServiceRig.serve(in: directory, { $0.keysFile = path }, destinations: [PauseTests.destination(sink)]) {
      rig async throws in
      let refused = try await Self.send(1, to: rig, token: token)
      #expect(refused.status == 503 && refused.code == "keys_unreadable" && refused.headers[.retryAfter] == "30")
      #expect(try await rig.send(.get, "/v1/status").status == 503)
      #expect(try await rig.send(.get, "/healthz").status == 200)
      let ready = try await rig.send(.get, "/readyz")
      #expect(ready.status == 503 && ready.text.contains("the file of API keys cannot be read"))
      let words = try #require(rig.service.damage().first { $0.part == .accessKeys }).message
      #expect(words.contains("penstock keys create --file \(path)"), "the way out is not named: \(words)")
      while received.arrivals.isEmpty { await Task.yield() }
      #expect(throws: KeyStoreError.self) { try rig.service.reload(ServiceLimits()) }
      #expect(try await Self.send(1, to: rig, token: token).status == 503)
      try write(good, to: path)
      try rig.service.reload(ServiceLimits())
      #expect(try await Self.send(1, to: rig, token: token).status == 200)
      #expect(try await rig.send(.get, "/readyz").status == 200)
    }
  }

  @Test func `one destination whose dead letters are damaged holds up no other, and no start`() async throws {
    try await RedeliveryTests.writeDeadLetter(["a"], in: directory)
    for file in try Self.files(in: directory + "/letters/shop") {
      try Data("nonsense".utf8).write(to: URL(fileURLWithPath: file))
    }
    // What its records are rejected with has no place to go.
    let bad = ServiceDestination.test(deadLetters: directory + "/letters") { cursor, log in
      Delivery(
        from: cursor, source: log, to: ScriptedSink(faults: .init(rejects: [.zero])),
        policy: BatchPolicy(maxRecords: 1),
        deadLetters: DeadLetterLog(in: directory + "/letters", cursor: "shop"))
    }
    let good = PauseTests.destination(ScriptedSink(received), "other")
    try await ServiceRig.serve(in: directory, destinations: [bad, good]) { rig async throws in
      #expect(try await rig.post("{}").status == 200)
      while received.arrivals.isEmpty { await Task.yield() }
      #expect(try await rig.send(.get, "/readyz").status == 200)
      let listed = try await rig.send(.get, "/v1/destinations/shop/deadletters")
      #expect(listed.status >= 400, "\(listed.text)")
      // It waits for a person, or has ended with words; the record stays.
      while true {
        let all = try await rig.send(.get, "/v1/destinations").json["destinations"] as? [[String: Any]]
        let shop = try #require(all?.first { $0["name"] as? String == "shop" })
        if shop["trouble"] is [String: Any] || shop["failure"] is String { break }
        await Task.yield()
      }
    }
  }
}
