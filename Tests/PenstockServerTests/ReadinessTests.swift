import Foundation
import Logging
import PenstockDelivery
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockLog
@testable import PenstockServer

@Suite("Readiness", .timeLimit(.minutes(1))) struct ReadinessTests {
  @TemporaryDirectory private var directory: String
  static let second: Int64 = 1_000_000_000

  static func committed() -> LogObserverEvent {
    .committed(.init(appends: 1, offsets: .zero..<Offset(1), latency: .zero, queuedBytes: 0, queueLimit: 1))
  }

  @Test func `a disk is full from an append that found no room to one that finds some, or to room for a segment`() {
    var room = FullDiskDetector()
    func isFull(_ free: UInt64?, at second: Int64) -> Bool {
      room.isFull(freeBytes: free, needed: 100, at: second * Self.second)
    }
    // However little is free: the segment that is open may have room.
    #expect(!isFull(0, at: 0) && !isFull(nil, at: 0))
    room.note(.failed(appends: 1, .overloaded), at: 0)
    room.note(.failed(appends: 1, .poisoned), at: 0)
    #expect(!isFull(0, at: 1))
    for notice in [LogObserverEvent.failed(appends: 1, .noSpace), .parked] {
      room.note(notice, at: 10 * Self.second)
      #expect(isFull(0, at: 10) && isFull(1000, at: 14), "room that may not be taken counts")
      #expect(isFull(99, at: 1000) && isFull(nil, at: 1000))
      #expect(!isFull(100, at: 15) && !isFull(1000, at: 1000))
      room.note(.synced(duration: .zero), at: 11 * Self.second)
      #expect(isFull(0, at: 1000))
      room.note(Self.committed(), at: 12 * Self.second)
      #expect(!isFull(0, at: 12))
    }
  }

  @Test func `what a directory's file system says is asked of the system`() async throws {
    let there = StorageState.of(directory)
    #expect(!there.isMissing && !there.isReadOnly && there.freeBytes != nil)
    #expect(StorageState.of(directory + "/none").isMissing)
  }

  @Test func `a file system that claims more bytes than a number holds has room, and ends no process`() {
    #expect(StorageState.bytes(of: 3, each: 4096) == 12_288)
    let most = UInt64.max / 4096
    #expect(StorageState.bytes(of: most, each: 4096) == most * 4096)
    for blocks in [most + 1, .max] { #expect(StorageState.bytes(of: blocks, each: 4096) == .max) }
  }

  @Test func `a service is not ready while no append can succeed, and is again when there is room`() async throws {
    let (disk, pace) = (SimulatedFileSystem(), AuditTests.Pace())
    let counted = ServiceMetrics(pace: pace)
    var environment = ConnectionTimeoutTests.environment(disk)
    environment.observer = ServiceLogObserver(metrics: counted)
    let log = try await Log.open(at: "/log", configuration: KeyedLife.configuration(), environment: environment)
    let keyed = try await IdempotentAppender.open(
      log, journal: "/keys", options: IdempotencyOptions(capacity: 100, window: 3600, producers: 1),
      environment: ConnectionTimeoutTests.environment(SimulatedFileSystem(), salt: 2))
    let storage = Mutex(StorageState(freeBytes: 0))
    let admin = SegmentSizeCacheTests.admin(log, keyed: keyed, metrics: counted) { _ in storage.withLock { $0 } }
    try await log.append("one")
    #expect(admin.whyNotReady == nil)
    disk.capacityBytes = 0
    // Until the open segment is used up.
    let failure = await #expect(throws: LogError.self) {
      while true { try await log.append(SegmentSizeCacheTests.rows(10)) }
    }
    #expect(failure?.code == .noSpace)
    #expect(admin.whyNotReady == "the log's disk is full")
    pace.advance(seconds: 3600)
    #expect(admin.whyNotReady == "the log's disk is full", "nobody has made room")
    // Nothing is sent to who is not ready, so no append can show that there is room again.
    storage.withLock { $0.freeBytes = 1 << 30 }
    #expect(admin.whyNotReady == nil)
    await #expect(throws: LogError.self) { try await log.append(SegmentSizeCacheTests.rows(10)) }
    #expect(admin.whyNotReady == "the log's disk is full")
    disk.capacityBytes = nil
    try await log.append(SegmentSizeCacheTests.rows(10))
    #expect(admin.whyNotReady == nil)
    // What no append has met yet.
    storage.withLock { $0 = StorageState(isReadOnly: true, freeBytes: 1 << 30) }
    #expect(admin.whyNotReady == "the log's file system is read-only")
    storage.withLock { $0 = StorageState(isMissing: true) }
    #expect(admin.whyNotReady == "the log's directory is gone")
    storage.withLock { $0 = StorageState(freeBytes: 1 << 30) }
    disk.fail(fromIO: disk.ioCount + 1, .readOnlyFileSystem)
    await #expect(throws: LogError.self) { try await log.append("two") }
    #expect(admin.whyNotReady == "a write failed; restart the service to recover the log")
    try await keyed.close()
    try? await log.close()
  }
}
