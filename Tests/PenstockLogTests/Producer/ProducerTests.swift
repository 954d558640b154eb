@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@Suite struct ProducerTests {
  private func one(_ text: String) -> RecordBatch { batch([Array(text.utf8)]) }

  @Test func `appends are numbered from 1, and each is there once however often it is sent`() async throws {
    let log = try await TestLog().open()
    let importer = try await log.producer(named: "importer")
    #expect(importer.isNew && importer.lastSequence == nil && importer.lastOffsets == nil && importer.source.isEmpty)
    #expect(await code { try await importer.append(one("x"), sequence: 0) } == .outOfSequence)
    #expect(await code { try await importer.append(one("x"), sequence: 2) } == .outOfSequence)
    let first = try await importer.append(batch(records(0..<3)), sequence: 1, source: [1])
    #expect(first.offsets == Offset(0)..<Offset(3) && !first.isDuplicate && first.durability == .disk)
    try await log.append("between")
    let second = try await importer.append(one("second"), sequence: 2, source: [2, 2])
    let again = try await importer.append(batch(records(0..<3)), sequence: 1)
    #expect(again.offsets == first.offsets && again.isDuplicate && again.durability == .disk)
    #expect(try await importer.append(one("second"), sequence: 2).offsets == second.offsets)
    #expect(await code { try await importer.append(one("x"), sequence: 4) } == .outOfSequence)
    let expected = await #expect(throws: LogError.self) { try await importer.append(one("x"), sequence: 4) }
    #expect(expected?.message.contains(" 3 ") == true)
    #expect(importer.lastSequence == 2 && importer.lastOffsets == second.offsets && importer.source == [2, 2])
    #expect(log.end == Offset(5))
    try await log.close()
  }

  @Test func `limits are told before anything is written`() async throws {
    let log = try await TestLog().open()
    let importer = try await log.producer(named: "importer")
    #expect(await code { try await importer.append(RecordBatch(), sequence: 1) } == .emptyBatch)
    let source = [UInt8](repeating: 1, count: 65)
    #expect(await code { try await importer.append(one("x"), sequence: 1, source: source) } == .sourceTooLarge)
    #expect(await code { try await log.producer(named: "no/name") } == .invalidName)
    #expect(await code { try await log.producer(named: "") } == .invalidName)
    #expect(log.end == .zero)
    try await importer.append(one("x"), sequence: 1, source: Array(source.dropLast()))
    #expect(importer.source.count == 64)
    try await log.close()
    #expect(await code { try await importer.append(one("y"), sequence: 2) } == .closed)
    #expect(importer.lastSequence == 1)
  }

  @Test func `only the newest 16 receipts are remembered; older duplicates are still refused`() async throws {
    let log = try await TestLog().open()
    let importer = try await log.producer(named: "importer")
    for sequence in 1...20 { try await importer.append(one("\(sequence)"), sequence: UInt64(sequence)) }
    for sequence in 1...20 as ClosedRange<UInt64> {
      do {
        let receipt = try await importer.append(one("?"), sequence: sequence)
        #expect(sequence > 4 && receipt.offsets.lowerBound == Offset(sequence - 1))
      } catch {
        #expect(sequence <= 4 && error.code == .duplicate)
      }
    }
    #expect(log.end == Offset(20))
    try await log.close()
  }

  @Test func `a later holder fences the earlier one off`() async throws {
    let log = try await TestLog().open()
    let first = try await log.producer(named: "importer")
    try await first.append(one("a"), sequence: 1)
    let second = try await log.producer(named: "importer")
    #expect(second.epoch > first.epoch && second.lastSequence == 1 && second.history == .known)
    #expect(await code { try await first.append(one("b"), sequence: 2) } == .fenced)
    #expect(await code { try await first.append(one("a"), sequence: 1) } == .fenced)
    try await second.append(one("b"), sequence: 2)
    #expect(try await texts(log) == ["a", "b"])
    try await log.close()
  }

  @Test(arguments: [true, false]) func `everything is known again after a restart`(isOrderly: Bool) async throws {
    let test = TestLog()
    var log = try await test.open()
    let epoch: UInt64
    do {
      let importer = try await log.producer(named: "importer")
      epoch = importer.epoch
      for sequence in 1...40 as ClosedRange<UInt64> {
        try await importer.append(one("\(sequence)"), sequence: sequence, source: [UInt8(sequence)])
      }
    }
    if isOrderly { try await log.close() }
    let image = test.afterPowerCut()
    log = try await image.open()
    #expect(log.recovery.producers.count == 1 && log.recovery.producers.snapshot != nil)
    let importer = try await log.producer(named: "importer")
    #expect(importer.epoch > epoch && importer.history == .known)
    #expect(importer.lastSequence == 40 && importer.lastOffsets == Offset(39)..<Offset(40) && importer.source == [40])
    #expect(try await importer.append(one("25"), sequence: 25).offsets == Offset(24)..<Offset(25))
    #expect(await code { try await importer.append(one("24"), sequence: 24) } == .duplicate)
    #expect(await code { try await importer.append(one("42"), sequence: 42) } == .outOfSequence)
    try await importer.append(one("41"), sequence: 41)
    #expect(try await texts(log) == (1...41).map(String.init))
    try await log.close()
  }

  @Test func `the next may be offered while one is being written, and all arrive in order`() async throws {
    let log = try await TestLog.opened { $0.queueBytes = 40 }.1
    let importer = try await log.producer(named: "importer")
    let tasks = (1...200).map { sequence in
      Task.immediate { try await importer.append(one("\(sequence)"), sequence: UInt64(sequence)) }
    }
    let duplicates = (1...200).reversed().map { sequence in
      (sequence, Task.immediate { try await importer.append(one("twice"), sequence: UInt64(sequence)) })
    }
    for (index, task) in tasks.enumerated() {
      let receipt = try await task.value
      #expect(receipt.offsets == Offset(UInt64(index))..<Offset(UInt64(index + 1)) && !receipt.isDuplicate)
    }
    for (sequence, task) in duplicates {
      do {
        let receipt = try await task.value
        #expect(receipt.offsets.lowerBound == Offset(UInt64(sequence - 1)) && receipt.isDuplicate)
      } catch let error as LogError {
        #expect(error.code == .duplicate && sequence <= 184)
      }
    }
    #expect(try await texts(log) == (1...200).map(String.init))
    try await log.close()
  }

  @Test func `a duplicate of an append under way shares its fate`() async throws {
    for fails in [false, true] {
      let (_, log, gated) = try await TestLog.gated()
      let importer = try await log.producer(named: "importer")
      gated.close(for: ".seg")
      let first = Task.immediate { try await importer.append(one("a"), sequence: 1) }
      await gated.arrival()
      let again = Task.immediate { try await importer.append(one("a"), sequence: 1) }
      let next = Task.immediate { try await importer.append(one("b"), sequence: 2) }
      #expect(importer.lastSequence == nil)
      gated.open(failing: fails ? .inputOutput : nil)
      if fails {
        #expect(await code { try await first.value } == .poisoned)
        #expect(await code { try await again.value } == .poisoned)
        #expect(await code { try await next.value } == .poisoned)
        #expect(await code { try await importer.append(one("a"), sequence: 1) } == .poisoned)
      } else {
        let receipts = [try await first.value, try await again.value, try await next.value]
        #expect(receipts.map(\.offsets.lowerBound) == [Offset(0), Offset(0), Offset(1)])
        #expect(receipts.map(\.isDuplicate) == [false, true, false])
        #expect(try await texts(log) == ["a", "b"])
      }
      try? await log.close()
    }
  }

  @Test func `taking a producer over waits for what is under way`() async throws {
    let (_, log, gated) = try await TestLog.gated()
    let importer = try await log.producer(named: "importer")
    gated.close(for: ".seg")
    let first = Task.immediate { try await importer.append(one("a"), sequence: 1, source: [1]) }
    await gated.arrival()
    let taking = Task { try await log.producer(named: "importer") }
    gated.open()
    let taken = try await taking.value
    #expect(taken.lastSequence == 1 && taken.source == [1])
    #expect(try await first.value.offsets == Offset(0)..<Offset(1))
    try await log.close()
  }

  @Test func `when one finds no room, the later ones fail too, and all can be sent again`() async throws {
    let (test, log) = try await TestLog.opened { $0.queueBytes = 60_000 }
    let importer = try await log.producer(named: "importer")
    var random = SplitMix64(seed: 1)
    let contents = (0..<6).map { _ in random.bytes(30_000).map { $0 == 10 ? 11 : $0 } }
    try await importer.append(batch([contents[0]]), sequence: 1)
    test.disk.capacityBytes = test.usedBytes + 1_000
    let tasks = (2...6).map { sequence in
      Task.immediate { try await importer.append(batch([contents[sequence - 1]]), sequence: UInt64(sequence)) }
    }
    var failed: UInt64?
    for (index, task) in tasks.enumerated() {
      let code = await code { try await task.value }
      if code == .noSpace || code == .outOfSequence {
        failed = failed ?? UInt64(index + 2)
      } else {
        #expect(code == nil && failed == nil)
      }
    }
    let from = try #require(failed)
    #expect(importer.lastSequence == from - 1)
    test.disk.capacityBytes = nil
    for sequence in 1...6 { try await importer.append(batch([contents[sequence - 1]]), sequence: UInt64(sequence)) }
    #expect(try await recordBytes(log) == contents)
    try await log.close()
  }

  @Test func `a cancelled wait for room leaves nothing behind, and those behind it know`() async throws {
    let (_, log, gated) = try await TestLog.gated { $0.queueBytes = 10 }
    let importer = try await log.producer(named: "importer")
    gated.close(for: ".seg")
    let first = Task.immediate { try await importer.append(one("first"), sequence: 1) }
    await gated.arrival()
    let queued = Task.immediate { try await importer.append(one("fills it"), sequence: 2) }
    let waiting = Task.immediate { try await importer.append(one("waits"), sequence: 3) }
    let behind = Task.immediate { try await importer.append(one("behind"), sequence: 4) }
    waiting.cancel()
    #expect(await code { try await waiting.value } == .cancelled)
    gated.open()
    #expect(await code { try await behind.value } == .outOfSequence)
    _ = try await (first.value, queued.value)
    try await importer.append(one("again"), sequence: 3)
    #expect(try await texts(log) == ["first", "fills it", "again"])
    try await log.close()
  }

  @Test func `the least recently used producer is forgotten, and says so`() async throws {
    var test = TestLog()
    test.configuration.maxProducers = 3
    var log = try await test.open()
    for (number, name) in ["a", "b", "c"].enumerated() {
      try await log.producer(named: name).append(one("\(number)"), sequence: 1)
    }
    try await log.producer(named: "a").append(one("3"), sequence: 2)
    do {
      let (d, e) = (try await log.producer(named: "d"), try await log.producer(named: "e"))
      #expect(d.history == .uncertain && e.history == .uncertain)
      let a = try await log.producer(named: "a")
      #expect(a.history == .known && a.lastSequence == 2)
      #expect(await code { try await log.producer(named: "f") } == .tooManyProducers)
      #expect(await code { try await d.append(one("x"), sequence: 1) } == .unknownProducer)
      try d.resume(after: 0)
      try await d.append(one("4"), sequence: 1)
      #expect(await code { try d.resume(after: 5) } == .illegalMove)
    }
    let b = try await log.producer(named: "b")
    #expect(b.history == .uncertain && b.lastSequence == nil && !b.isNew)
    // What it appended before must not be taken for new.
    #expect(await code { try await b.append(one("1"), sequence: 1) } == .unknownProducer)
    try b.resume(after: 1)
    #expect(await code { try await b.append(one("1"), sequence: 1) } == .duplicate)
    try await b.append(one("5"), sequence: 2)
    try await log.close()
    log = try await test.open()
    #expect(!log.recovery.producers.isComplete)
    let known = try await log.producer(named: "b")
    #expect(known.history == .known && known.lastSequence == 2)
    #expect(try await log.producer(named: "c").history == .uncertain)
    #expect(try await texts(log) == (0...5).map(String.init))
    try await log.close()
  }

  @Test func `a log without producers pays nothing for them`() throws {
    let (test, writer) = try TestLog.written(0..<40)
    #expect(writer.view.set.segments.count > 1)
    #expect(test.snapshots.isEmpty)
    try writer.close()
    let again = try test.openWriter()
    // Not the whole log was read for producers that are not there.
    #expect(again.recovery.producers.readFrom == again.view.set.segments.last?.name.baseOffset)
    #expect(again.recovery.producers.isComplete && again.recovery.producers.readFrom > .zero)
  }
}
