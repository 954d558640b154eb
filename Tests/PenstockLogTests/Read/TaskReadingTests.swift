import PenstockDelivery
@testable import PenstockLog
import PenstockTestKit
import Testing

/// Reads of tasks, on a disk whose reads stop.
@Suite(.timeLimit(.minutes(1))) struct TaskReadingTests {
  static let count = 40

  /// A log of a block for each record. Its indexes are in memory, and none of its blocks.
  private func openCold() async throws -> (ColdFileSystem, LogReader) {
    let (test, writer) = try TestLog.written(0..<Self.count)
    try writer.close()
    let disk = ColdFileSystem(test.disk)
    let reader = try await LogReader.open(at: TestLog.path, environment: test.environment(on: disk))
    try loadIndexes(reader.view)
    return (disk, reader)
  }

  private func loadIndexes(_ view: LogView) throws {
    for segment in view.set.segments { _ = (try segment.entries(upTo: view.end), try segment.open()) }
  }

  private func read(_ view: LogView, _ number: Int, count: Int = 1) async throws(LogError) -> [[UInt8]] {
    recordBytes(try await view.fetchBatch(from: Offset(UInt64(number)), maxRecords: count, maxBytes: 1 << 20))
  }

  /// So many reads of different blocks, as tasks. Returns when each reader thread is in one.
  private func occupy(_ disk: ColdFileSystem, _ view: LogView, reads: Int) async -> [Task<[[UInt8]], any Error>] {
    let tasks = (0..<reads).map { number in Task { try await read(view, number) } }
    await disk.arrived(min(reads, ReaderPool.threadLimit))
    return tasks
  }

  /// Lets the disk go on, and checks what the tasks read.
  private func expectRecords(_ tasks: [Task<[[UInt8]], any Error>], _ disk: ColdFileSystem) async throws {
    disk.goOn()
    for (number, task) in tasks.enumerated() { #expect(try await task.value == [record(number)]) }
    #expect(disk.callsInTasks == [])
  }

  @Test func `more tasks than threads wait for the disk, and another task continues`() async throws {
    let (disk, reader) = try await openCold()
    disk.stopReads()
    let tasks = await occupy(disk, reader.view, reads: 4 * ProcessorCount.online)
    #expect(await Task { (1...10).reduce(0, +) }.value == 55)
    try await expectRecords(tasks, disk)
    reader.close()
  }

  @Test func `many tasks wait for one block, which is read once, and another task continues`() async throws {
    let (disk, reader) = try await openCold()
    disk.stopReads()
    let tasks = (0..<(4 * ProcessorCount.online)).map { _ in Task { try await read(reader.view, 7) } }
    await disk.arrived(1)
    #expect(await Task { (1...10).reduce(0, +) }.value == 55)
    disk.goOn()
    for task in tasks { #expect(try await task.value == [record(7)]) }
    #expect(disk.callsInTasks == [])
    reader.close()
  }

  @Test func `what is in memory is read while every reader thread waits for the disk`() async throws {
    let (disk, reader) = try await openCold()
    let end = Self.count
    #expect(try await read(reader.view, end - 10, count: 10) == records((end - 10)..<end))
    disk.stopReads()
    let tasks = await occupy(disk, reader.view, reads: ReaderPool.threadLimit)
    let first = Offset(UInt64(end - 10))
    #expect(try await read(reader.view, end - 10, count: 10) == records((end - 10)..<end))
    #expect(recordBytes(try await reader.records(in: first..<reader.end)) == records((end - 10)..<end))
    #expect(try await reader.records(from: reader.end, maxRecords: 1, maxBytes: 1) == nil)
    #expect(try await reader.view.fetchBlock(holding: first)?.baseOffset == first)
    var found: [[UInt8]] = []
    for try await record in reader.records(from: .offset(first)) { found.append(record.bytes) }
    #expect(found == records((end - 10)..<end))
    #expect(await reader.waitForRecords(past: first, timeout: nil))
    try await expectRecords(tasks, disk)
    reader.close()
  }

  @Test func `more readers of the whole log than threads, and one of a record, all get theirs`() async throws {
    let (disk, reader) = try await openCold()
    disk.stopReads()
    let long = (0..<ReaderPool.threadLimit).map { _ in Task { try await read(reader.view, 0, count: Self.count) } }
    await disk.arrived(1)
    let short = Task { try await read(reader.view, 1) }
    disk.goOn()
    #expect(try await short.value == [record(1)])
    for task in long { #expect(try await task.value == records(0..<Self.count)) }
    reader.close()
  }

  @Test func `a cancelled task does not wait for a thread, and leaves its turn to others`() async throws {
    let (disk, reader) = try await openCold()
    disk.stopReads()
    let tasks = await occupy(disk, reader.view, reads: ReaderPool.threadLimit)
    let late = Task { try await read(reader.view, 30) }
    while reader.view.readerThreads.core.monitor.withLock({ $0.waiting.isEmpty }) { await Task.yield() }
    late.cancel()
    #expect(await code { try await late.value } == .cancelled)
    let (cursor, tail) = (try await reader.cursor(named: "c"), reader.records(from: .offset(Offset(31)), tailing: true))
    let cancelled = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      // Cut short, a range must not look like a whole one.
      #expect(await code { try await read(reader.view, 30) } == .cancelled)
      #expect(await code { for try await _ in reader.records(from: .offset(Offset(31))) {} } == .cancelled)
      #expect(
        await code { for try await _ in reader.records(from: .offset(Offset(31)), readAhead: .threads(1)) {} }
          == .cancelled)
      for try await _ in tail { Issue.record("a cancelled task read") }
      #expect(try await cursor.next() == nil)
    }
    try await cancelled.value
    try await expectRecords(tasks, disk)
    #expect(try await read(reader.view, 30) == [record(30)])
    reader.close()
  }

  @Test func `after the end no task waits in vain, reading continues, and no thread is left`() async throws {
    let (disk, reader) = try await openCold()
    disk.stopReads()
    let tasks = await occupy(disk, reader.view, reads: ReaderPool.threadLimit + 4)
    reader.close()
    try await expectRecords(tasks, disk)
    #expect(try await read(reader.view, 35) == [record(35)])
    while reader.view.readerThreads.core.monitor.withLock({ $0.threads > 0 }) { await Task.yield() }
  }

  @Test func `a log that is closed while tasks read it ends, and so do they`() async throws {
    let test = TestLog()
    let disk = ColdFileSystem(test.disk)
    let log = try await test.open(on: disk)
    for number in 0..<Self.count { try await log.append(batch([record(number)])) }
    try loadIndexes(log.view)
    disk.stopReads()
    let tasks = await occupy(disk, log.view, reads: ReaderPool.threadLimit + 4)
    try await log.close()
    try await expectRecords(tasks, disk)
  }

  @Test func `nothing that a task awaits calls the file system on the task's thread`() async throws {
    let (test, writer) = try TestLog.written(0..<Self.count) { $0.segmentBytes = 64 << 10 }
    let disk = ColdFileSystem(test.disk)
    let reader = try await LogReader.open(at: TestLog.path, environment: test.environment(on: disk))
    disk.watch()
    let time = Timestamp(nanoseconds: test.clock.now().nanoseconds)
    #expect(await reader.durableEnd == Offset(UInt64(Self.count)))
    #expect(try await reader.offload { () throws(LogError) in try reader.offset(of: .time(time)) } == .zero)
    let cursor = try await reader.cursor(named: "c", startingAt: .time(time))
    try await cursor.seek(to: .eventTime(time))
    try await cursor.seek(to: .beginning)
    let first = try #require(try await cursor.next(upTo: .init(records: 3)))
    #expect(recordBytes(try await cursor.next()) == recordBytes(first) && first.count == 3)
    try await cursor.commit(first)
    for ahead in [ReadAhead.none, .threads(1)] {
      var count = 0
      for try await _ in reader.records(from: .time(time), to: .end, readAhead: ahead) { count += 1 }
      #expect(count == Self.count)
    }
    for try await _ in reader.records(from: .eventTime(time), to: .eventTime(time)) {}
    let window = ReplayWindow(from: .eventTime(time), to: .end, untimed: .include)
    let estimate = try await Replay.dryRun(ReplaySettings(id: "r", window: window), of: reader)
    #expect(estimate.events == Self.count)
    let wait = Task { await reader.waitForRecords(past: Offset(UInt64(Self.count)), timeout: nil) }
    try writer.commit(record(Self.count))
    #expect(await wait.value)
    #expect(try await reader.records(in: .zero..<reader.end).count == Self.count + 1)
    #expect(disk.callsInTasks == [])
    reader.close()
    try writer.close()
  }
}
