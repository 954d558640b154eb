import HTTPTypes
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

@Suite("What is audited", .timeLimit(.minutes(1))) struct AuditTests {
  @TemporaryDirectory private var directory: String

  /// A clock that never jumps, but when a test moves it.
  final class Pace: MonotonicClock {
    let nanoseconds = Atomic<Int64>(0)
    func now() -> Int64 { nanoseconds.load(ordering: .relaxed) }
    func sleep(nanoseconds: Int64) {}
    func advance(seconds: Int64) { nanoseconds.add(seconds * 1_000_000_000, ordering: .relaxed) }
  }

  static func key(_ seed: UInt8) throws -> APIKey {
    var keySet = APIKeySet()
    return try keySet.create(
      .init(name: "eye \(seed)", role: .viewer, appID: "shop"), at: 0, random: KeyRingTests.random(seed)
    ).key
  }

  static func notes(in path: String) async throws -> [String] {
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    var notes: [String] = []
    for try await record in reader.records() { notes.append(record.text) }
    return notes
  }

  @Test
  func `the first refusals of a key are entries, then one every ten minutes, and none is lost from the count`() throws {
    let (one, two) = (try Self.key(1), try Self.key(2))
    var sampler = RefusalSampler()
    let (second, burst) = (Int64(1_000_000_000), Int(RefusalSampler.limit.burst))
    var noted = 0
    for _ in 0..<100 where sampler.note(one, at: 0) { noted += 1 }
    #expect(noted == burst)
    let isOther = sampler.note(two, at: 0)
    #expect(isOther, "another key is held up by it")
    #expect(sampler.takeDue(at: 599 * second).isEmpty)
    #expect(sampler.takeDue(at: 601 * second) == [.init(key: one, count: 90)])
    #expect(sampler.takeDue(at: 1000 * second).isEmpty, "there is nothing to tell")
    for _ in 0..<5 { _ = sampler.note(one, at: 1000 * second) }
    #expect(sampler.takeDue(at: 1000 * second).isEmpty)
    #expect(sampler.takeAll() == [.init(key: one, count: 5)])
    #expect(sampler.takeAll().isEmpty)
  }

  @Test func `a key that asks without end for a year makes fewer entries than push anything out`() throws {
    let key = try Self.key(1)
    var (sampler, entries, refusals, told) = (RefusalSampler(), 0, 0, 0)
    for second in stride(from: Int64(0), to: 365 * 86_400, by: 120) {
      let now = second * 1_000_000_000
      for one in sampler.takeDue(at: now) { (entries, told) = (entries + 1, told + one.count) }
      refusals += 1
      if sampler.note(key, at: now) { (entries, told) = (entries + 1, told + 1) }
    }
    told += sampler.takeAll().reduce(0) { $0 + $1.count }
    #expect(told == refusals)
    #expect(entries * 4096 < 256 << 20, "\(entries) entries")
  }

  @Test func `changes are always noted; before them and at the end comes what was counted`() async throws {
    let (path, pace, key) = (directory + "/audit", Pace(), try Self.key(1))
    let audit = await AuditLog.open(at: path, pace: pace)
    for _ in 0..<1000 {
      await audit.noteRefusal(of: key, .pause, target: "shop", status: 403, ConnectionTimeoutTests.quiet)
    }
    for _ in 0..<30 { try await audit.note(key, "postKey", target: "", outcome: "asked") }
    pace.advance(seconds: 601)
    try await audit.note(key, "deleteKey", target: "", outcome: "asked")
    await audit.noteRefusal(of: key, .seek, target: "shop", status: 403, ConnectionTimeoutTests.quiet)
    try await audit.close()
    let notes = try await Self.notes(in: path)
    #expect(notes.prefix(10).allSatisfy { $0.hasSuffix(#""outcome":"forbidden","detail":{"status":403}}"#) })
    #expect(notes.dropFirst(10).prefix(30).allSatisfy { $0.contains(#""action":"postKey""#) })
    let rest = Array(notes.dropFirst(40))
    try #require(rest.count == 3, "\(notes)")
    #expect(
      rest[0].contains(#""key":"\#(key.id)","name":"eye 1""#) && rest[0].contains(#""action":"refusals""#)
        && rest[0].hasSuffix(#""outcome":"forbidden","detail":{"count":990}}"#))
    #expect(rest[1].contains(#""action":"deleteKey""#))
    #expect(rest[2].hasSuffix(#""detail":{"count":1}}"#))
  }

  @Test func `a key that is refused again and again leaves a few entries, and their count`() async throws {
    let path = directory + "/keys.json"
    let token = try APIKeyStore(path).create(.init(name: "eye", role: .viewer, appID: "shop")).token
    try await ServiceRig.run(in: directory, { $0.keysFile = path }) { rig async throws in
      for _ in 0..<100 { #expect(try await rig.send(.get, "/v1/replays", token: token).status == 403) }
    }
    let notes = try await Self.notes(in: directory + "/log.audit")
    #expect(notes.count == 11, "\(notes.count) entries")
    #expect(notes.last?.hasSuffix(#""detail":{"count":90}}"#) == true, "\(notes.last ?? "")")
  }
}
