import Foundation
import HTTPTypes
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

struct APIKeyStoreTests {
  @TemporaryDirectory private var directory: String

  @Test func `a key that is revoked while the file is read again stays revoked`() async throws {
    let disk = HookedFileSystem(SimulatedFileSystem())
    let store = try APIKeyStore("/keys.json", fileSystem: disk, clock: SystemWallClock(), randomness: .system)
    let (key, token) = try store.create(.init(name: "ops", role: .companyAdmin))
    try #require(store.identify(token) != nil)
    let (isFirst, revoked) = (AsyncCondition(true), AsyncCondition(false))
    // The reload has read the file and not taken it up yet: now the revocation comes, and gets as far as it may.
    disk.onCall { verb, path in
      guard verb == .close, path == "/keys.json" else { return }
      guard
        isFirst.update({ first in
          first
            ? {
              first = false; return true
            }() : false
        })
      else { return }
      Thread.detachNewThread {
        try? store.revoke(key.id)
        revoked.update { $0 = true }
      }
      for _ in 0..<20_000 where !revoked.value { sched_yield() }
    }
    try store.reload()
    _ = await revoked.wait { $0 }
    #expect(store.identify(token) == nil, "the reload put back what it had read before")
    #expect(store.keys.first?.isRevoked == true)
  }

  @Test func `a rate is a thousandth to a thousand million a second, by whatever way it comes`() async throws {
    for rate in [0.0, -1, 0.000_999, 1.1e9, .infinity, .nan] {
      #expect(
        APIKey.Request(name: "a", role: .viewer, limit: .init(requestsPerSecond: rate)).complaint != nil, "\(rate)")
    }
    for rate in [0.001, 1, 1e9] {
      #expect(
        APIKey.Request(name: "a", role: .viewer, limit: .init(requestsPerSecond: rate)).complaint == nil, "\(rate)")
    }
    // A file may say anything: it is waited as long as with the lowest, and no longer.
    for rate in [0.0, 1e-300, -1] {
      let limit = APIKey.RateLimit(requestsPerSecond: rate, burst: 1)
      var bucket = RateBucket(limit, at: 0)
      #expect(bucket.take(limit, at: 0) == nil)
      let wait = bucket.take(limit, at: 0)
      #expect(try #require(wait) <= 1_000_000_000_000, "\(rate)")
    }
    let path = directory + "/keys.json"
    let admin = try APIKeyStore(path).create(.init(name: "ops", role: .companyAdmin)).token
    try await ServiceRig.run(in: directory, { $0.keysFile = path }) { rig async throws in
      for (rate, status) in [("0.0005", 400), ("0", 400), ("0.001", 201)] {
        let body = #"{"name":"slow","role":"producer","requestsPerSecond":\#(rate)}"#
        #expect(try await rig.send(.post, "/v1/keys", Array(body.utf8), token: admin).status == status, "\(rate)")
      }
    }
  }
}

@Suite("The journal of idempotency keys", .timeLimit(.minutes(1))) struct IdempotencyJournalTests {
  @Test func `has room for as many keys as are to be remembered, each sent by itself`() async throws {
    let disk = SimulatedFileSystem()
    let journal = try await IdempotencyJournal.open(
      at: "/keys", window: 3600, newest: 100, environment: ConnectionTimeoutTests.environment(disk)
    ) { _, _ in }
    let keys = 3000
    for number in 0..<keys { try await journal.note(IdempotencyKeyTableTests.append(UInt64(number)), at: 0) }
    try await journal.close()
    let reader = try await LogReader.open(at: "/keys", environment: ConnectionTimeoutTests.environment(disk))
    defer { reader.close() }
    let segments = reader.view.set.segments
    let newest = try #require(segments.last)
    try #require(segments.count > 1)
    // Without the newest, which is filled ahead.
    let bytes = segments.dropLast().reduce(0) { $0 + (disk.contents($1.path)?.count ?? 0) }
    let perKey = Double(bytes) / Double(newest.name.baseOffset.rawValue)
    #expect(perKey > 1000, "it takes next to nothing: what is measured here?")
    for capacity in [1, 1000, 100_000, 1_000_000, 10_000_000] {
      let kept = try #require(IdempotencyJournal.configuration(window: 3600, capacity: capacity).retention.maxBytes)
      #expect(Double(kept) >= perKey * Double(capacity), "\(capacity) keys")
    }
    for window: Int64 in [60, 86_400] {
      #expect(IdempotencyJournal.configuration(window: window, capacity: 1).retention.maxAge == .seconds(window))
    }
  }

  /// A journal of some keys, and how many I/Os and reads an opening of it makes.
  static func kept(keys: UInt64 = 3) async throws -> (disk: SimulatedFileSystem, ios: Int, reads: Int) {
    let disk = SimulatedFileSystem()
    let journal = try await IdempotencyJournal.open(
      at: "/keys", window: 3600, newest: 100, environment: ConnectionTimeoutTests.environment(disk)
    ) { _, _ in }
    for number in 0..<keys { try await journal.note(IdempotencyKeyTableTests.append(number), at: 0) }
    try await journal.close()
    let (kept, opened) = (disk.processKill(), disk.processKill())
    _ = try await read(opened)
    return (kept, opened.ioCount, opened.readCount)
  }

  /// Opens it and closes it again; says which keys it had.
  static func read(_ disk: SimulatedFileSystem) async throws -> (keys: Set<Hash128>, damage: String?) {
    let keys = Mutex<Set<Hash128>>([])
    let journal = try await IdempotencyJournal.open(
      at: "/keys", window: 3600, newest: 100, environment: ConnectionTimeoutTests.environment(disk, salt: 9)
    ) { append, _ in keys.withLock { _ = $0.insert(append.key) } }
    // What fails after the opening is no part of this.
    try? await journal.close()
    return (keys.withLock { $0 }, journal.damage)
  }

  /// Whether the opening was refused. Then the next one must succeed; either way all keys are there.
  static func expectAll(_ disk: SimulatedFileSystem, _ fault: String) async throws -> Bool {
    let all = Set((0..<3).map { IdempotencyKeyTableTests.append($0).key })
    var isRefused = false
    var found = try? await read(disk)
    if found == nil {
      isRefused = true
      disk.clearFaults()
      found = try await read(disk)
    }
    #expect(found?.keys == all && found?.damage == nil, "\(fault): \(found?.damage ?? "")")
    #expect(!disk.filePaths.contains { $0.contains("damaged") }, "\(fault): moved aside")
    return isRefused
  }

  @Test func `one error of a write or a sync at an opening moves nothing aside, and no key is lost`() async throws {
    let (kept, ios, _) = try await Self.kept()
    var refused = 0
    for io in 1...ios {
      let disk = kept.processKill()
      disk.fail(atIO: io, .inputOutput)
      if try await Self.expectAll(disk, "I/O \(io) of \(ios)") { refused += 1 }
    }
    #expect(refused > 0)
  }

  @Test(arguments: [(FileSystemError.Code.inputOutput, 1), (.tooManyOpenFiles, 1), (.tooManyOpenFiles, 2)])
  func `errors of reads that pass lose no entry, and those that say nothing of the entries refuse the opening`(
    _ code: FileSystemError.Code, inARow: Int
  ) async throws {
    let (kept, _, reads) = try await Self.kept()
    var refused = 0
    for read in 1...reads {
      let disk = kept.processKill()
      for number in 0..<inARow { disk.fail(atRead: read + number, code) }
      if try await Self.expectAll(disk, "\(code) at read \(read) of \(reads), \(inARow) times") { refused += 1 }
    }
    // An opening reads again what it could not read, and so does a look for a record.
    #expect(code == .inputOutput || refused > 0)
  }

  @Test func `a directory that the disk cannot read at all is moved aside, and keys are taken again`() async throws {
    let (disk, _, _) = try await Self.kept()
    for path in disk.filePaths where !path.hasSuffix(".seg") {
      let bytes = disk.contents(path)?.count ?? 0
      for position in stride(from: 0, to: bytes, by: 512) { disk.makeUnreadable(path, at: position) }
    }
    let found = try await Self.read(disk)
    #expect(found.keys.isEmpty && found.damage?.contains("/keys.damaged-1") == true)
    #expect(disk.filePaths.contains { $0.hasPrefix("/keys.damaged-1/data/") })
    #expect(try await Self.read(disk).damage == nil)
  }
}
