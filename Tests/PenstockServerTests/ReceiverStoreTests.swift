import Foundation
import PenstockSinks
import Testing

@testable import PenstockServer
import PenstockSupport

struct ReceiverStoreTests {
  @TemporaryDirectory private var directory: String
  private let now: Int64 = 1_772_323_198
  private var configuration: ReceiverConfiguration { PenstockServerTests.configuration(in: directory) }

  @Test func `a batch is stored once, however often it comes`() async throws {
    let store = try ReceiverStore(configuration)
    for attempt in 1...3 {
      let answer = await store.receive(request("a", #"[{"n":1}, {"n":2}]"#), now: now)
      #expect(answer == ReceiverAnswer(status: 200, text: attempt == 1 ? "stored" : "seen before"))
    }
    #expect(try read(directory + "/rows") == "{\"n\":1}\n{\"n\":2}\n")
    let counters = await store.counters
    #expect(counters.requests == 3)
    #expect(counters.batches == 1)
    #expect(counters.rows == 2)
    #expect(counters.duplicates == 2)
  }

  @Test func `an id with another body is a violation, and stores nothing`() async throws {
    let store = try ReceiverStore(configuration)
    #expect(await store.receive(request("a", #"{"n":1}"#), now: now).status == 200)
    #expect(await store.receive(request("a", #"{"n":2}"#), now: now).status == 409)
    #expect(await store.receive(request("a", #"{"n":1}"#), now: now).status == 200)
    #expect(try read(directory + "/rows") == "{\"n\":1}\n")
    #expect(await store.counters.violations == 1)
    #expect(await store.counters.duplicates == 1)
  }

  @Test func `every request has its line in the ledger`() async throws {
    let store = try ReceiverStore(configuration)
    _ = await store.receive(request("a", #"{"n":1}"#, range: "0-0"), now: now)
    _ = await store.receive(request("a", #"{"n":1}"#, range: "0-0"), now: now)
    _ = await store.receive(request("b", "{", range: nil), now: now)
    _ = await store.receive(request(nil, "{}"), now: now)
    let decoder = JSONDecoder()
    let lines = try read(directory + "/ledger").split(separator: "\n")
    let entries = try lines.map { try decoder.decode(LedgerEntry.self, from: Data($0.utf8)) }
    #expect(entries.map(\.status) == [200, 200, 400, 400])
    #expect(entries.map(\.duplicate) == [false, true, false, false])
    #expect(entries.map(\.stored) == [true, false, false, false])
    #expect(entries.map(\.range) == ["0-0", "0-0", nil, nil])
    #expect(entries.map(\.end) == [8, 8, 8, 8])
    #expect(entries[0].sha256 == Digest.hex(Digest.sha256(Array(#"{"n":1}"#.utf8))))
  }

  @Test func `a receiver that starts again knows what it has seen`() async throws {
    let configuration = PenstockServerTests.configuration(in: directory) { $0.isSynced = true }
    let first = try ReceiverStore(configuration)
    _ = await first.receive(request("a", #"{"n":1}"#), now: now)
    let second = try ReceiverStore(configuration)
    #expect(await second.receive(request("a", #"{"n":1}"#), now: now).text == "seen before")
    #expect(await second.receive(request("a", #"{"n":9}"#), now: now).status == 409)
    #expect(await second.receive(request("b", #"{"n":2}"#), now: now).text == "stored")
    #expect(try read(directory + "/rows") == "{\"n\":1}\n{\"n\":2}\n")
  }

  @Test func `what a kill left half done is cut off, and stored when the batch comes again`() async throws {
    let first = try ReceiverStore(configuration)
    _ = await first.receive(request("a", #"{"n":1}"#), now: now)
    let ledger = try read(directory + "/ledger")
    // Killed after the rows, before the ledger's line was whole.
    try append("{\"n\":2}\n{\"n\"", to: directory + "/rows")
    try append(#"{"duplicate":false,"end":16,"id":"b","#, to: directory + "/ledger")
    let second = try ReceiverStore(configuration)
    #expect(try read(directory + "/rows") == "{\"n\":1}\n")
    #expect(try read(directory + "/ledger") == ledger)
    #expect(await second.receive(request("b", #"[{"n":2},{"n":3}]"#), now: now).text == "stored")
    #expect(try read(directory + "/rows") == "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n")
  }

  @Test func `files that do not belong together are not touched`() async throws {
    let store = try ReceiverStore(configuration)
    _ = await store.receive(request("a", #"{"n":1}"#), now: now)
    try write("{}", to: directory + "/rows")
    #expect(throws: ReceiverError.self) { _ = try ReceiverStore(configuration) }
    try write("no entry\n", to: directory + "/ledger")
    let error = #expect(throws: ReceiverError.self) { _ = try ReceiverStore(configuration) }
    #expect(error?.message.contains("line 1") == true)
    #expect(try read(directory + "/rows") == "{}")
    let nowhere = PenstockServerTests.configuration(in: directory + "/missing")
    #expect(throws: ReceiverError.self) { _ = try ReceiverStore(nowhere) }
  }

  @Test func `without files, batches are known in memory`() async throws {
    let store = try ReceiverStore(ReceiverConfiguration())
    #expect(await store.receive(request("a", "[{}]"), now: now).text == "stored")
    #expect(await store.receive(request("a", "[{}]"), now: now).text == "seen before")
  }

  @Test func `a request without an id, or with one too long, is not readable`() async throws {
    let store = try ReceiverStore(ReceiverConfiguration())
    for id in [nil, "", String(repeating: "x", count: 257)] {
      #expect(await store.receive(request(id, "{}"), now: now).status == 400)
    }
    #expect(await store.receive(request(String(repeating: "x", count: 256), "{}"), now: now).status == 200)
    #expect(await store.counters.malformed == 3)
  }

  @Test func `a signature is demanded where there are secrets`() async throws {
    let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    var configuration = ReceiverConfiguration()
    configuration.secrets = [secret]
    let store = try ReceiverStore(configuration)
    var signed = request("a", "{}")
    #expect(await store.receive(signed, now: now).status == 401)
    signed.timestamp = "\(now)"
    signed.signature = try WebhookSignature(secrets: [secret]).header(id: "a", timestamp: now, body: signed.body)
    #expect(await store.receive(signed, now: now + 301).status == 401)
    #expect(await store.receive(signed, now: now + 300).status == 200)
    signed.body.append(0x20)
    #expect(await store.receive(signed, now: now).status == 401)
    #expect(await store.counters.unauthorized == 3)
    #expect(await store.counters.violations == 0)
    configuration.secrets = [Secret("short")]
    #expect(throws: ReceiverError.self) { _ = try ReceiverStore(configuration) }
  }

  @Test func `a header is demanded where one is set, and never shown`() async throws {
    var configuration = ReceiverConfiguration()
    configuration.requiredHeader = .init("your-api-key", Secret("hunter2"))
    let store = try ReceiverStore(configuration)
    for key in [nil, "", "hunter", "hunter22"] {
      var request = request("a", "{}")
      request.key = key
      let answer = await store.receive(request, now: now)
      #expect(answer.status == 401)
      #expect(!answer.text.contains("hunter2"))
    }
    var right = request("a", "{}")
    right.key = "hunter2"
    #expect(await store.receive(right, now: now).status == 200)
  }

  @Test func `a body that holds rejected text is answered 422 every time, and nothing of it is stored`() async throws {
    var configuration = ReceiverConfiguration()
    configuration.rejected = ["\"a\":13", ""]
    let store = try ReceiverStore(configuration)
    var statuses: [Int] = []
    for body in ["{\"a\":13}", "{\"a\":1}", "[{\"a\":12},{\"a\":13}]", "{\"a\":13}", "{}"] {
      statuses.append(await store.receive(request("id \(statuses.count % 3)", body), now: now).status)
    }
    #expect(statuses == [422, 200, 422, 422, 409])
    let counters = await store.counters
    #expect(counters.rejected == 3 && counters.batches == 1 && counters.rows == 1)
  }

  @Test
  func `failures on purpose come before and after storing, at the rate asked for, the same for a seed`() async throws {
    func run(seed: UInt64) async throws -> (statuses: [Int], counters: ReceiverCounters) {
      var configuration = ReceiverConfiguration()
      (configuration.failureRate, configuration.seed) = (0.5, seed)
      let store = try ReceiverStore(configuration)
      var statuses: [Int] = []
      for number in 0..<400 { statuses.append(await store.receive(request("\(number)", "{}"), now: now).status) }
      return (statuses, await store.counters)
    }
    let (statuses, counters) = try await run(seed: 3)
    let failures = statuses.count { $0 == 500 }
    #expect((150...250).contains(failures))
    #expect(counters.injectedFailures == failures)
    // Those that failed after storing are stored.
    let storedButFailed = counters.batches - (400 - failures)
    #expect((failures / 4...failures * 3 / 4).contains(storedButFailed))
    #expect(try await run(seed: 3).statuses == statuses)
    #expect(try await run(seed: 4).statuses != statuses)
  }

  @Test func `a rate of 0 never fails, one of 1 always does`() {
    var never = SeededChance(rate: 0, seed: 1)
    var always = SeededChance(rate: 1, seed: 1)
    for _ in 0..<1000 {
      #expect(never.next() == nil)
      #expect(always.next() != nil)
    }
  }
}
