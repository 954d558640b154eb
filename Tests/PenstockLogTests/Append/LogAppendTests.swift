@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct LogAppendTests {
  @Test func `a log on the real disk keeps what was appended, over closing and opening`() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/log"
      let log = try await Log.open(at: path)
      #expect(log.recovery.outcome == .created && log.end == .zero)
      #expect(try await log.append("one").offsets == .zero..<Offset(1))
      var batch = RecordBatch()
      for text in ["two", "", "with\nline feed", "five"] { batch.append(text) }
      let receipt = try await log.append(batch)
      #expect(receipt.offsets == Offset(1)..<Offset(5) && receipt.durability == .disk)
      #expect(log.end == Offset(5))
      #expect(try await texts(log) == ["one", "two", "", "with\nline feed", "five"])
      try await log.close()

      let again = try await Log.open(at: path + "/")
      #expect(again.recovery.outcome == .clean && again.logID == log.logID && again.end == Offset(5))
      #expect(try await again.append(contentsOf: ["six".utf8, "seven".utf8]).offsets == Offset(5)..<Offset(7))
      #expect(try await texts(again, from: .offset(Offset(4))) == ["five", "six", "seven"])
      try await again.close()
      try await again.close()
    }
  }

  @Test(arguments: [Durability.disk, .kernel, .accepted])
  func `offsets of hundreds of tasks are dense, and every batch is whole`(durability: Durability) async throws {
    let (test, log) = try await TestLog.opened { $0.queueBytes = 2_000 }
    let receipts = try await withThrowingTaskGroup(of: (Int, Receipt).self) { group in
      for task in 0..<300 {
        group.addTask {
          let records = (0...(task % 3)).map { Array("\(task)/\($0)".utf8) }
          return (task, try await log.append(batch(records), durability: durability))
        }
      }
      return try await group.reduce(into: [Int: Receipt]()) { $0[$1.0] = $1.1 }
    }
    try await log.close()
    let reopened = try await test.open()
    let found = try await texts(reopened)
    #expect(found.count == 600)
    var covered: Set<UInt64> = []
    for (task, receipt) in receipts {
      #expect(receipt.durability == durability)
      #expect(receipt.offsets.upperBound - receipt.offsets.lowerBound == task % 3 + 1)
      for index in 0...(task % 3) {
        let offset = receipt.offsets.lowerBound + index
        covered.insert(offset.rawValue)
        if found[Int(offset.rawValue)] != "\(task)/\(index)" { Issue.record("offset \(offset)") }
      }
    }
    #expect(covered == Set(0..<600))
    try await reopened.close()
  }

  @Test func `one task's appends keep their order`() async throws {
    let log = try await TestLog().open()
    for number in 0..<50 { #expect(try await log.append("\(number)").offsets.lowerBound == Offset(UInt64(number))) }
    #expect(try await texts(log) == (0..<50).map(String.init))
    try await log.close()
  }

  @Test func `limits are told before anything is written`() async throws {
    var test = TestLog()
    test.configuration.recordBytes = 100
    test.configuration.batchBytes = 150
    let log = try await test.open()
    func sized(_ sizes: [Int]) -> RecordBatch { batch(sizes.map { [UInt8](repeating: 65, count: $0) }) }
    func refusal(_ sizes: [Int]) async -> LogError.Code? { await code { try await log.append(sized(sizes)) } }
    #expect(await refusal([]) == .emptyBatch)
    #expect(await refusal([101]) == .recordTooLarge)
    #expect(await refusal([1, 101, 1]) == .recordTooLarge)
    let named = await #expect(throws: LogError.self) { try await log.append(sized([1, 0, 102, 101])) }
    #expect(named?.message.contains("record 2 of the batch, counted from 0, has 102 bytes") == true)
    #expect(await refusal([100, 51]) == .batchTooLarge)
    #expect(log.end == .zero)
    for sizes in [[100], [100, 50], [0]] { #expect(await refusal(sizes) == nil) }
    #expect(log.end == Offset(4))
    #expect(await code { try await log.tryAppend(RecordBatch()) } == .emptyBatch)
    try await log.close()
  }

  @Test func `a batch larger than a block, the queue and a segment is one block`() async throws {
    let (test, log) = try await TestLog.opened { $0.queueBytes = 1_000 }
    try await log.append("before")
    var random = SplitMix64(seed: 3)
    let big = (0..<3).map { _ in random.bytes(50_000) }
    #expect(try await log.append(batch(big)).offsets == Offset(1)..<Offset(4))
    try await log.append("after")
    #expect(try await recordBytes(log) == [Array("before".utf8)] + big + [Array("after".utf8)])
    try await log.close()
    let again = try await test.open()
    #expect(again.recovery.outcome == .clean && again.end == Offset(5))
    try await again.close()
  }

  @Test func `a wrong configuration is refused, and the knob is named`() async throws {
    let changes: [(name: String, change: (inout LogConfiguration) -> Void)] = [
      ("segmentBytes", { $0.segmentBytes = (64 << 10) - 1 }), ("segmentBytes", { $0.segmentBytes = (4 << 30) + 1 }),
      ("blockBytes", { $0.blockBytes = 4095 }), ("blockBytes", { $0.blockBytes = (16 << 20) + 1 }),
      ("recordBytes", { $0.recordBytes = 0 }), ("recordBytes", { $0.recordBytes = $0.batchBytes + 1 }),
      ("batchBytes", { $0.batchBytes = (1 << 30) + 1 }), ("queueBytes", { $0.queueBytes = 0 }),
      ("compressionLevel", { $0.compressionLevel = 20 }), ("compressionLevel", { $0.compressionLevel = -8 }),
    ]
    for (name, change) in changes {
      var changed = TestLog()
      change(&changed.configuration)
      let test = changed
      let error = await #expect(throws: LogError.self) { try await test.open() }
      #expect(error?.code == .invalidConfiguration)
      #expect(error?.message.hasPrefix(name) == true)
      #expect(test.disk.filePaths.isEmpty)
    }
  }

  @Test func `closed is closed`() async throws {
    let log = try await TestLog().open()
    try await log.append("a")
    try await log.close()
    #expect(await code { try await log.append("b") } == .closed)
    #expect(await code { try await log.tryAppend(batch([[1]])) } == .closed)
    #expect(await code { try await log.sync() } == .closed)
    #expect(try await texts(log) == ["a"])
  }

  @Test func `closing writes what is queued`() async throws {
    let (test, log) = try await TestLog.opened()
    for number in 0..<20 { try await log.append("\(number)", durability: .accepted) }
    try await log.close()
    let again = try await test.afterPowerCut().open()
    #expect(try await texts(again) == (0..<20).map(String.init))
    try await again.close()
  }

  @Test func `closing gives back unused room`() async throws {
    let (test, log) = try await TestLog.opened()
    for number in 0..<10 { try await log.append("\(number)") }
    try await log.close()
    #expect(try test.contents(test.newestSegment).count == 8192 + 10 * 4096)
    #expect(test.disk.filePaths.filter { $0.contains("next.tmp") }.isEmpty)
  }

  @Test func `a next segment made ready too late leaves nothing behind`() throws {
    let (test, writer) = try TestLog.written()
    try writer.commit(record(0))
    try writer.close()
    try? writer.preparer.prepare()
    #expect(test.disk.filePaths.filter { $0.contains("next.tmp") }.isEmpty)
  }

  @Test func `a second writer is locked out, and let in afterwards`() async throws {
    try await withTemporaryDirectory { path in
      let log = try await Log.open(at: path)
      #expect(await code { try await Log.open(at: path) } == .locked)
      try await log.append("a")
      try await log.close()
      let next = try await Log.open(at: path)
      #expect(next.end == Offset(1))
      try await next.close()
    }
  }

  @Test func `what is no log stays as it is`() async throws {
    let test = TestLog()
    test.disk.install("/log/letter.txt", [1])
    #expect(await code { try await test.open() } == .notALog)
    #expect(test.disk.filePaths == ["/log/letter.txt"])
    let file = TestLog()
    file.disk.install("/log", [1])
    #expect(await code { try await file.open() } == .notALog)
    #expect(file.disk.filePaths == ["/log"])
    #expect(await code { try await LogReader.open(at: "/log", environment: file.environment()) } == .notALog)
    let nothing = TestLog()
    #expect(await code { try await LogReader.open(at: "/log", environment: nothing.environment()) } == .notALog)
    #expect(nothing.disk.filePaths.isEmpty)
  }

  @Test func `a META of a later version is refused by writers and readers`() async throws {
    let test = TestLog()
    try await test.open().close()
    try test.remove(TestLog.paths.meta)
    var value = LogMeta(logID: Array(1...16), epoch: 9, createdAt: Timestamp(nanoseconds: 0)).encoded()
    value[0] = 3
    try SlotFile.create(
      test.disk, TestLog.paths.meta, kind: LogMeta.slotKind, slotSize: LogMeta.slotSize, value: value)
    #expect(await code { try await test.open() } == .futureFormat)
    #expect(await code { try await test.openReader() } == .futureFormat)
  }

  @Test func `append times never fall, whatever the clock does`() async throws {
    let test = TestLog()
    let start = test.clock.now()
    var log = try await test.open()
    for seconds in [0, 10, -1_000_000_000, 5, 2_000_000_000] as [Int64] {
      test.clock.advance(seconds: seconds)
      try await log.append("x")
      try await log.close()
      log = try await test.open()
    }
    var times: [Int64] = []
    for try await record in log.records() { times.append(record.appendTime.nanoseconds - start.nanoseconds) }
    #expect(times == times.sorted())
    #expect(times.prefix(4) == [0, 10_000_000_000, 10_000_000_000, 10_000_000_000])
    try await log.close()
  }

  @Test func `META comes back as it was written`() throws {
    var meta = LogMeta(logID: Array(1...16), epoch: 7, createdAt: Timestamp(nanoseconds: -9))
    #expect(try LogMeta(decoding: meta.encoded()) == meta)
    meta.cleanEnd = CommitPoint.End(segment: 3, position: 8192, offset: Offset(77))
    #expect(try LogMeta(decoding: meta.encoded()) == meta)
    meta.start = SegmentName(sequence: 4, baseOffset: Offset(99))
    #expect(try LogMeta(decoding: meta.encoded()) == meta)
    // Version 1 did not say where the log begins.
    meta.start = nil
    var old = meta.encoded()
    #expect(old.removeLast() == 0)
    old[0] = 1
    #expect(try LogMeta(decoding: old) == meta)
    #expect(LogMeta.hex([0, 1, 0xAB, 0xFF]) == "0001abff")
  }

  @Test func `a commit point comes back as it was written, and damaged not at all`() {
    let id: [UInt8] = Array(1...16)
    let commitPoint = CommitPoint(
      durable: .init(segment: 1, position: 2, offset: Offset(3)),
      visible: .init(segment: 4, position: 5, offset: Offset(6)), epoch: 7)
    let bytes = commitPoint.encoded(logID: id)
    #expect(bytes.count == CommitPoint.size)
    #expect(CommitPoint(decoding: bytes, logID: id) == commitPoint)
    #expect(CommitPoint(decoding: bytes, logID: id.reversed()) == nil)
    forEachFlippedBit(bytes) { bit, bytes in #expect(CommitPoint(decoding: bytes, logID: id) == nil, "bit \(bit)") }
    for length in 0..<CommitPoint.size { #expect(CommitPoint(decoding: Array(bytes[..<length]), logID: id) == nil) }
  }
}
