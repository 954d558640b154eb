import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("Dead letters", .timeLimit(.minutes(3))) struct DeadLetterLogTests {
  private let disk = SimulatedFileSystem()
  static func environment(_ disk: SimulatedFileSystem, salt: UInt64 = 1) -> LogEnvironment {
    let random = AsyncCondition(SplitMix64(seed: salt))
    return LogEnvironment(
      fileSystem: disk, clock: ManualClock(),
      randomBytes: { random.update { random in (0..<16).map { _ in UInt8(truncatingIfNeeded: random.next()) } } },
      logger: silent)
  }

  static func letter(_ offset: UInt64, _ record: String = "one\ntwo", reason: String = "422: no") -> DeadLetter {
    DeadLetter(
      logID: "00112233445566778899aabbccddeeff", cursor: "billing", offset: Offset(offset),
      appendTime: Timestamp(nanoseconds: 5), deadLetteredAt: Timestamp(nanoseconds: 7), deliveryID: DeliveryID("abc"),
      isUnrenderable: false, attempts: 3, destination: "webhook https://example.com", reason: reason,
      record: Array(record.utf8))
  }

  @Test func `come back as they were written, whatever the record and the words are`() throws {
    for record in ["", "\n", "\n\n", "log x\n\nreason y", "a\\nb", "{\"a\":1}", "\r\n\0"] {
      for reason in ["", "one\ntwo\r\\", "ends with \\", "é🚰"] {
        let letter = Self.letter(.max, record, reason: reason)
        #expect(try DeadLetter(decoding: letter.encoded()) == letter)
      }
    }
    let bytes = Self.letter(9).encoded()
    #expect(String(decoding: bytes, as: UTF8.self).hasPrefix("penstock dead letter 1\nlog 0011"))
    #expect(bytes.suffix(8) == Array("\none\ntwo".utf8))
  }

  @Test func `that are cut, foreign or of a later version are refused, not misread`() throws {
    let whole = Self.letter(9, "").encoded()
    for length in 0..<(whole.count - 1) {
      // Without its empty line a letter has no record; what stands there would be taken for one.
      if (try? DeadLetter(decoding: Array(whole[..<length]))) != nil {
        Issue.record("cut after \(length) bytes, a letter was read")
      }
    }
    let later = Array("penstock dead letter 2\n\n".utf8)
    #expect(throws: LogError.self) { try DeadLetter(decoding: later) }
    #expect(throws: LogError.self) { try DeadLetter(decoding: Array(#"{"id":1}"#.utf8)) }
  }

  @Test func `are on the disk once the box says so, also after a failed write in the same process`() async throws {
    for number in 1...40 {
      let disk = SimulatedFileSystem()
      let box = DeadLetterLog(in: "/dead", cursor: "billing", environment: Self.environment(disk))
      _ = try await box.writeDeadLetter(Self.letter(1))
      disk.fail(atIO: disk.ioCount + number, effect: .pagesLost)
      for offset in 2...4 as ClosedRange<UInt64> {
        // The destination tries again, and stays where it is until the letter is written.
        for attempt in 0..<3 {
          do throws(LogError) {
            _ = try await box.writeDeadLetter(Self.letter(offset))
            break
          } catch { #expect(attempt < 2, "I/O \(number): \(error)") }
        }
      }
      let after = disk.powerCut(.nothingUnsynced)
      // Recovery shows what a commit point that was not synced keeps from readers.
      let next = DeadLetterLog(in: "/dead", cursor: "billing", environment: Self.environment(after, salt: 2))
      try await next.prepare()
      let letters = DeadLetters(in: "/dead", environment: Self.environment(after, salt: 3))
      #expect(try await letters.list(of: "billing").map(\.letter.offset.rawValue) == [1, 2, 3, 4], "I/O \(number)")
      try await next.close()
      try? await box.close()
    }
  }

  @Test func `are numbered, listed and counted by cursor, and a repeated letter is the same one`() async throws {
    let box = DeadLetterLog(in: "/dead", cursor: "billing", environment: Self.environment(disk))
    let letters = DeadLetters(in: "/dead", environment: Self.environment(disk, salt: 2))
    #expect(try letters.cursors().isEmpty)
    #expect(try await letters.count(of: "billing") == 0)
    #expect(disk.filePaths.isEmpty, "nothing is written before there is a letter")
    for offset in [4, 9, 9, 10] as [UInt64] { _ = try await box.writeDeadLetter(Self.letter(offset)) }
    #expect(try await letters.count(of: "billing") == 3)
    try await box.close()
    // Another process, which dies before it commits its dead letter.
    let next = DeadLetterLog(in: "/dead", cursor: "billing", environment: Self.environment(disk, salt: 3))
    #expect(try await next.writeDeadLetter(Self.letter(10)) == Offset(2))
    #expect(try await next.writeDeadLetter(Self.letter(10, "another")) == Offset(3))
    // A person went back: the same record is given up again.
    #expect(try await next.writeDeadLetter(Self.letter(4)) == Offset(4))
    try await next.close()
    #expect(try letters.cursors() == ["billing"])
    let all = try await letters.list(of: "billing")
    #expect(all.map(\.number.rawValue) == [0, 1, 2, 3, 4] && all.map(\.letter.offset.rawValue) == [4, 9, 10, 10, 4])
    #expect(try await letters.list(of: "billing", from: Offset(1), limit: 2).map(\.number.rawValue) == [1, 2])
    #expect(try await letters.letter(Offset(3), of: "billing") == Self.letter(10, "another"))
    #expect(try await letters.letter(Offset(5), of: "billing") == nil)
  }

  @Test func `that would pass their quota are refused; none that is there goes`() async throws {
    let box = DeadLetterLog(
      in: "/dead", cursor: "billing", policy: DeadLetterPolicy(maxBytes: 256 << 10), environment: Self.environment(disk)
    )
    var random = SplitMix64(seed: 7)
    let record = String((0..<40_000).map { _ in Character(UnicodeScalar(UInt8(33 + random.below(90)))) })
    var count = 0
    let failure = await #expect(throws: LogError.self) {
      while count < 50 {
        _ = try await box.writeDeadLetter(Self.letter(UInt64(count), record))
        count += 1
      }
    }
    #expect(failure?.code == .noSpace && count > 1)
    let letters = DeadLetters(in: "/dead", environment: Self.environment(disk, salt: 2))
    #expect(try await letters.count(of: "billing") == count)
    try await box.close()
  }

  @Test func `are delivered again, the original bytes, by a delivery with a cursor of its own`() async throws {
    let rig = DeliveryRig(records: 7)
    let box = DeadLetterLog(in: "/dead", cursor: "billing", environment: Self.environment(disk))
    let sink = ScriptedSink(faults: .init(rejects: [Offset(1), Offset(2), Offset(5)]))
    _ = try await rig.delivery(to: sink, deadLetters: box).run(untilCaughtUpWith: nil)
    let letters = DeadLetters(in: "/dead", environment: Self.environment(disk, salt: 2))
    let mended = ScriptedSink()
    for _ in 1...2 {
      let source = try #require(try await letters.source(of: "billing"))
      let delivery = Delivery(
        from: try await source.cursor(named: "again"), source: source, to: mended, policy: BatchPolicy(maxRecords: 2),
        environment: rig.environment())
      _ = try await delivery.run(untilCaughtUpWith: nil)
      source.close()
    }
    #expect(mended.attempts.count == 2, "what was redelivered is not redelivered again")
    #expect(mended.destination.content == Array("record 1\nrecord 2\nrecord 5\n".utf8))
    #expect(mended.destination.violations.isEmpty)
  }
}
