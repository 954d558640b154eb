@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// Blocks that are compressed ahead of the one that writes, and what may go wrong with them under way.
@Suite(.timeLimit(.minutes(1))) struct EncodersTests {
  /// A record that fills a block of its own and does not compress.
  private static func large(_ number: Int) -> [UInt8] {
    var random = SplitMix64(seed: UInt64(number))
    return record(number) + [0] + (0..<5_000).map { _ in UInt8(truncatingIfNeeded: random.next() | 0x10) }
  }

  @Test(arguments: [0, 1, 3]) func `many who append at once find their records at their offsets`(
    encoders: Int
  ) async throws {
    var test = TestLog()
    test.configuration.encoders = encoders
    test.configuration.queueBytes = 40_000
    let log = try await test.open()
    let told = try await withThrowingTaskGroup(of: [(Offset, [UInt8])].self) { group in
      for task in 0..<6 {
        group.addTask {
          var told: [(Offset, [UInt8])] = []
          for step in 0..<25 {
            let number = task * 100 + step
            let record = (task + step) % 3 == 0 ? record(number) : Self.large(number)
            told.append((try await log.append(batch([record])).offsets.lowerBound, record))
          }
          return told
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    let found = try Reading(log.view)
    #expect(found.gaps.isEmpty && found.records.count == 150 && told.count == 150)
    for (offset, record) in told where found.records[offset] != record { Issue.record("offset \(offset)") }
    #expect(try Reading(test.afterPowerCut().openWriter().view) == found)
    try await log.close()
  }

  @Test func `blocks that wait behind one that is being written follow in order, and closing writes them`() async throws
  {
    let (test, log, gate) = try await TestLog.gated { $0.encoders = 3 }
    gate.close(for: ".seg")
    let first = Task { try await log.append("first") }
    await gate.arrival()
    for number in 0..<20 { try log.appendWithoutWaiting(batch([Self.large(number)])) }
    #expect(log.end == .zero)
    gate.open()
    try await log.close()
    _ = try await first.value
    let found = try Reading(test.killed().openWriter().view)
    #expect(found.gaps.isEmpty && found.inOrder == [Array("first".utf8)] + (0..<20).map(Self.large))
  }

  @Test(arguments: [2, 3, 5, 9]) func `a failure with blocks under way tells all who wait, and keeps only whole blocks`(
    io: Int
  ) async throws {
    var test = TestLog()
    test.configuration.encoders = 2
    test.configuration.segmentBytes = 1 << 20
    let log = try await test.open()
    test.disk.fail(atIO: test.disk.ioCount + io)
    let codes: [(number: Int, code: LogError.Code?)] = await withTaskGroup(of: (Int, LogError.Code?).self) { group in
      for number in 0..<12 {
        group.addTask {
          (number, await code { try await log.append(batch([Self.large(number)])) })
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(codes.count == 12 && codes.contains { $0.code == .poisoned })
    #expect(codes.allSatisfy { $0.code == nil || $0.code == .poisoned })
    #expect(await code { try await log.close() } == .poisoned)
    let found = try Reading(test.killed().openWriter().view)
    #expect(found.gaps.isEmpty)
    for (number, code) in codes where code == nil && !found.inOrder.contains(Self.large(number)) {
      Issue.record("\(number) was acknowledged")
    }
  }

  @Test func `blocks that find no room on the disk wait for it, in order`() async throws {
    var test = TestLog()
    test.configuration.whenFull = .wait
    test.configuration.encoders = 2
    let ticks = Ticks()
    let log = try await test.open(waitingFor: ticks)
    test.disk.capacityBytes = 0
    let numbers = 0..<30
    for number in numbers { try log.appendWithoutWaiting(batch([Self.large(number)])) }
    await ticks.arrival()
    ticks.tick()
    await ticks.arrival()
    test.disk.capacityBytes = nil
    ticks.tick()
    try await log.sync()
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder == numbers.map(Self.large))
    try await log.close()
  }

  @Test func `blocks behind one that finds no room are refused, those before it are there`() async throws {
    let (test, log) = try await TestLog.opened { $0.encoders = 2 }
    test.disk.capacityBytes = 0
    let codes: [(number: Int, code: LogError.Code?)] = await withTaskGroup(of: (Int, LogError.Code?).self) { group in
      for number in 0..<30 {
        group.addTask {
          (number, await code { try await log.append(batch([Self.large(number)])) })
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(codes.allSatisfy { $0.code == nil || $0.code == .noSpace } && codes.contains { $0.code == .noSpace })
    test.disk.capacityBytes = nil
    let found = try Reading(log.view).inOrder
    let isExact = Set(found) == Set(codes.filter { $0.code == nil }.map { Self.large($0.number) })
    #expect(isExact, "what was acknowledged is there, and nothing else")
    try await log.append("goes on")
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder == found + [Array("goes on".utf8)])
    try await log.close()
  }

  // MARK: Syncing and closing

  @Test func `a sync is answered although the queue never empties`() async throws {
    var test = TestLog()
    test.configuration.durability = .kernel
    let clock = FloodingClock()
    var environment = test.environment()
    environment.clock = clock
    let log = try await test.open(with: environment)
    clock.flood(log, count: 20_000)
    // On a thread of its own, which is told at once however busy the tasks are.
    let code = await onThread { () throws(LogError) in
      try log.appendWithoutWaiting(batch([record(0)]))
      try log.syncBlockingThread()
      clock.stop()
    }
    #expect(code == nil && clock.left > 0, "it waited until the flood was over")
    try await log.close()
  }

  @Test func `a sync covers what was accepted before, and says when some of it was lost`() async throws {
    let (test, log, gate) = try await TestLog.gated()
    try log.appendWithoutWaiting(batch([record(0)]))
    try await log.sync()
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder == records(0..<1))
    // No room for the next segment, which is made ready when half of this one is used.
    test.disk.capacityBytes = 0
    for number in 1..<14 { try await log.append(batch([record(number)])) }
    gate.close(for: "next.tmp.part")
    try log.appendWithoutWaiting(batch([record(14)]))
    await gate.arrival()
    let sync = Task.immediate { await code { try await log.sync() } }
    gate.open()
    #expect(await sync.value == .noSpace)
    #expect(await code { try await log.sync() } == nil)
    try await log.close()
  }

  @Test func `closing a log that a failed write ended throws what ended it, every time`() async throws {
    let (test, log) = try await TestLog.opened()
    test.disk.fail(atIO: test.disk.ioCount + 1)
    #expect(await code { try await log.append("a") } == .poisoned)
    for _ in 0..<2 { #expect(await code { try await log.close() } == .poisoned) }
    // It is closed all the same: the lock is free.
    let again = try await test.open()
    try await again.close()
    #expect(await code { try await again.sync() } == .closed)
  }

  @Test func `threads append without waiting, and sync`() async throws {
    let (test, log, gate) = try await TestLog.gated { $0.queueBytes = 20 }
    gate.close(for: ".seg")
    let first = try log.appendWithoutWaiting(batch([Array("first".utf8)]))
    #expect(first.offsets == Offset(0)..<Offset(1) && first.durability == .accepted && !first.isDuplicate)
    await gate.arrival()
    #expect(try log.appendWithoutWaiting(batch([Array("second fills it up".utf8)])).offsets == Offset(1)..<Offset(2))
    #expect(await code { try log.appendWithoutWaiting(batch([record(1)])) } == .overloaded)
    #expect(await code { try log.appendWithoutWaiting(RecordBatch()) } == .emptyBatch)
    let synced = Task { await onThread { () throws(LogError) in try log.syncBlockingThread() } }
    gate.open()
    #expect(await synced.value == nil)
    #expect(try Reading(test.afterPowerCut().openWriter().view).records.count == 2)
    test.disk.fail(atIO: test.disk.ioCount + 1)
    try log.appendWithoutWaiting(batch([[1]]))
    #expect(await onThread { () throws(LogError) in try log.syncBlockingThread() } == .poisoned)
    #expect(await code { try log.appendWithoutWaiting(batch([[1]])) } == .poisoned)
    #expect(await code { try await log.close() } == .poisoned)
  }

  /// Runs it on a thread that may block; returns what it threw.
  private func onThread(_ body: @escaping @Sendable () throws(LogError) -> Void) async -> LogError.Code? {
    await withCheckedContinuation { continuation in
      LogThread.start(name: "test") {
        do throws(LogError) {
          try body()
          continuation.resume(returning: nil)
        } catch {
          continuation.resume(returning: error.code)
        }
      }
    }
  }
}

/// Time that somebody appends in: whenever a block is about to be written, one more record is accepted.
private final class FloodingClock: WallClock {
  private let flood = Mutex<(log: Log?, left: Int)>((nil, 0))

  func flood(_ log: Log, count: Int) { flood.withLock { $0 = (log, count) } }
  func stop() { flood.withLock { $0.log = nil } }
  var left: Int { flood.withLock { $0.left } }

  func now() -> Timestamp {
    let log = flood.withLock { flood -> Log? in
      guard flood.log != nil, flood.left > 0 else { return nil }
      flood.left -= 1
      return flood.log
    }
    _ = try? log?.appendWithoutWaiting(batch([record(1)]))
    return Timestamp(nanoseconds: 0)
  }
}
