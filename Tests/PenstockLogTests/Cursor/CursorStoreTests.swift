@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct CursorStoreTests {
  private let logID: [UInt8] = Array(1...16)
  private let paths = TestLog.paths

  private func hold(
    _ disk: SimulatedFileSystem, _ name: String = "c", at start: UInt64 = 0
  ) throws(LogError) -> HeldCursor {
    try CursorStore.hold(disk, paths, logID: logID, name: name, startingAt: Offset(start))
  }

  @Test func `a record comes back as it was written, up to the largest`() throws {
    var states = [CursorState(startingAt: Offset(UInt64.max))]
    var full = CursorState(startingAt: Offset(5)).acquired()
    for first in 5..<9 as Range<UInt64> {
      full = try full.beginning(intent(first, first + 1, plan: Intent.maxPlanBytes), epoch: 1, durableEnd: Offset(9))
      states.append(full)
    }
    full = try full.completing(DeliveryID("6-7"), receipt: String(repeating: "é", count: 300), epoch: 1)
    states.append(full)
    states.append(full.passed(upTo: Offset(6)))
    for state in states {
      let record = CursorRecord(logID: logID, name: String(repeating: "n", count: 64), state: state)
      #expect(try CursorRecord(decoding: record.encoded()) == record)
    }
  }

  @Test func `what an earlier version would misread is written as a version it refuses, and nothing else is`() throws {
    func version(_ state: CursorState) throws -> UInt8 {
      let bytes = CursorRecord(logID: logID, name: "c", state: state).encoded()
      #expect(try CursorRecord(decoding: bytes).state == state)
      return bytes[0]
    }
    var state = try CursorState(startingAt: .zero).acquired().beginning(intent(0, 4), epoch: 1, durableEnd: Offset(9))
    #expect(try version(state) == 2)
    state = try state.replacing(DeliveryID("0-4"), with: intent(0, 1), rejectionReason: "422 no", epoch: 1)
    #expect(try version(state) == 3)
    state = try state.completing(DeliveryID("0-1"), receipt: "", epoch: 1)
    #expect(try version(state) == 3 && state.consecutiveDeadLetters == 1)
    state = try state.beginning(intent(1, 4), epoch: 1, durableEnd: Offset(9))
    #expect(try version(state) == 3)
    state = try state.completing(DeliveryID("1-4"), receipt: "", epoch: 1)
    #expect(try version(state) == 2)
  }

  @Test func `the largest record fits its slot`() throws {
    let reason = String(repeating: "x", count: 300)
    let open = (0..<4 as Range<UInt64>).map { index in
      let name = String(repeating: "\(index)", count: Intent.maxIDBytes)
      let intent = intent(index, index + 1, id: name, plan: Intent.maxPlanBytes)
      return CursorState.OpenIntent(intent: intent, isDelivered: false, rejectionReason: String(reason.prefix(256)))
    }
    let reserved = (0..<128 as Range<UInt64>).map { Offset(4 + $0)..<Offset(5 + $0) }
    let state = CursorState(
      restoring: .zero, epoch: 1, inFlight: open, lastReceipt: String(reason.prefix(256)),
      lost: Offset(0)..<Offset(0), reserved: reserved, consecutiveDeadLetters: 9)
    let record = CursorRecord(logID: logID, name: String(repeating: "n", count: 64), state: state)
    #expect(SlotImage.size(forValueOf: record.encoded().count) == .large)
  }

  @Test func `the record of one batch with a plan of the usual length fits a small slot`() throws {
    let open = CursorState.OpenIntent(intent: intent(0, 1, plan: Intent.maxPlanBytes), isDelivered: false)
    let state = CursorState(
      restoring: .zero, epoch: 1, inFlight: [open], lastReceipt: String(repeating: "x", count: 256))
    let record = CursorRecord(logID: logID, name: String(repeating: "n", count: 64), state: state)
    #expect(SlotImage.size(forValueOf: record.encoded().count) == .small)
  }

  @Test func `a record of version 1 is read, as one that has lost nothing`() throws {
    let state = try CursorState(startingAt: .zero).acquired().beginning(intent(0, 1), epoch: 1, durableEnd: Offset(1))
    var bytes = CursorRecord(logID: logID, name: "c", state: state).encoded()
    // Version 1 ends before the byte that says whether records are lost.
    #expect(bytes.removeLast() == 0)
    bytes[0] = 1
    #expect(try CursorRecord(decoding: bytes).state == state)
  }

  @Test func `a record that is cut, from the future, or contradicts itself is refused`() throws {
    let state = try CursorState(startingAt: .zero).acquired().beginning(intent(0, 1), epoch: 1, durableEnd: Offset(1))
    let bytes = CursorRecord(logID: logID, name: "c", state: state).encoded()
    expectRefusalOfEveryCut(bytes, as: LogError.self) { try CursorRecord(decoding: $0) }
    var future = bytes
    future[0] = 5
    #expect(code { try CursorRecord(decoding: future) } == .futureFormat)
    var single = try CursorState(startingAt: .zero).acquired()
      .beginning(intent(0, 9, singleEvents: 9), epoch: 1, durableEnd: Offset(9))
    single = try single.settling(DeliveryID("0-9"), .settled([0, 8], receipt: ""), epoch: 1)
    single = try single.settling(DeliveryID("0-9"), .condemned(1, reason: "no"), epoch: 1)
    let singles = CursorRecord(logID: logID, name: "c", state: single).encoded()
    #expect(singles[0] == 4)
    #expect(try CursorRecord(decoding: singles).state == single)
    expectRefusalOfEveryCut(singles, as: LogError.self) { try CursorRecord(decoding: $0) }
    // The last bytes: number of events, their bits, the condemned one.
    for (place, byte) in [(11, 10), (11, 8), (9, 3), (8, 3), (6, 2)] as [(Int, UInt8)] {
      var forged = singles
      forged[forged.count - place] = byte
      #expect(code { try CursorRecord(decoding: forged) } == .damaged, "\(byte) at \(place) from the end")
    }
    let broken = CursorState(
      restoring: Offset(7), epoch: 1, inFlight: [.init(intent: intent(0, 1), isDelivered: false)], lastReceipt: nil)
    let record = CursorRecord(logID: logID, name: "c", state: broken)
    #expect(code { try CursorRecord(decoding: record.encoded()) } == .damaged)
  }

  @Test(arguments: [(7, 5), (0, .max)] as [(UInt64, UInt64)])
  func `a record whose batch ends before it begins, or has more than one condemned record, is refused`(
    first: UInt64, end: UInt64
  ) throws {
    let open = CursorState.OpenIntent(intent: intent(0, 1), isDelivered: false, rejectionReason: "no")
    let state = CursorState(restoring: Offset(first), epoch: 1, inFlight: [open], lastReceipt: nil)
    // The numbers stand behind the batch's name.
    let bytes = CursorRecord(logID: logID, name: "c", state: state).encoded()
    let id = Array("0-1".utf8)
    let place = try #require(bytes.indices.first { bytes[$0...].starts(with: id) }) + id.count
    var numbers: [UInt8] = []
    numbers.append(littleEndian: first)
    numbers.append(littleEndian: end)
    let forged = Array(bytes[..<place]) + numbers + bytes[(place + 16)...]
    #expect(code { try CursorRecord(decoding: forged) } == .damaged)
  }

  @Test func `a cursor is made once, held, and every move is durable when it returns`() throws {
    let disk = try logDirectory()
    let cursor = try hold(disk, at: 4)
    #expect(cursor.state == CursorState(startingAt: Offset(4)))
    #expect(try CursorStore.peek(disk.powerCut(.nothingUnsynced), paths, name: "c") == cursor.state)
    func check(_ state: CursorState) throws {
      #expect(cursor.state == state)
      #expect(try CursorStore.peek(disk.powerCut(.nothingUnsynced), paths, name: "c") == state)
    }
    let intent = intent(4, 6)
    try check(cursor.acquire())
    try check(
      cursor.move { (state) throws(CursorMoveError) in
        try state.beginning(intent, epoch: 1, durableEnd: Offset(9))
      })
    try check(
      cursor.move { (state) throws(CursorMoveError) in
        try state.completing(intent.id, receipt: "ok", epoch: 1)
      })
    try check(
      cursor.move { (state) throws(CursorMoveError) in
        try state.seeking(to: Offset(1), epoch: 1, durableEnd: Offset(9))
      })
    #expect(cursor.state.committed == Offset(1) && cursor.state.lastReceipt == "ok")
    #expect(try hold(disk.powerCut(.nothingUnsynced), at: 99).state == cursor.state)
    #expect(try CursorStore.names(disk, paths) == ["c"])
  }

  @Test func `a refused move writes nothing, and so does one that changes nothing`() throws {
    let disk = try logDirectory()
    let cursor = try hold(disk)
    let before = (disk.ioCount, cursor.state)
    let move = { (state: CursorState) throws(CursorMoveError) in
      try state.committing(to: .zero, epoch: 7, durableEnd: .zero)
    }
    #expect(code { try cursor.move(move) } == .fenced)
    try cursor.move { (state) throws(CursorMoveError) in state }
    #expect(disk.ioCount == before.0 && cursor.state == before.1)
  }

  @Test func `a second holder is kept out until the first lets go`() throws {
    let disk = try logDirectory()
    var first: HeldCursor? = try hold(disk)
    try first?.acquire()
    #expect(code { try hold(disk) } == .cursorHeld)
    #expect(try CursorStore.peek(disk, paths, name: "c").epoch == 1)
    #expect(try hold(disk, "d").state.epoch == 0)
    first = nil
    #expect(try hold(disk).state.epoch == 1)
  }

  @Test func `after a failed sync the cursor moves no more, and says what was durable`() throws {
    let disk = try logDirectory()
    let cursor = try hold(disk)
    disk.fail(atIO: disk.ioCount + 2)
    #expect(throws: LogError.self) { try cursor.acquire() }
    #expect(cursor.state.epoch == 0)
    #expect(code { try cursor.acquire() } == .poisoned)
  }

  @Test func `a commit works on a full disk`() throws {
    let disk = try logDirectory()
    let cursor = try hold(disk)
    disk.capacityBytes = 0
    try cursor.acquire()
    #expect(try CursorStore.peek(disk.powerCut(.nothingUnsynced), paths, name: "c").epoch == 1)
    // The table still has free places.
    for number in 0..<3 { try hold(disk, "n\(number)").close() }
    #expect(code { try hold(disk, "new") } == .noSpace)
    disk.capacityBytes = nil
    #expect(try hold(disk, "new").state.committed == .zero)
  }

  @Test func `a cursor of another log is refused`() throws {
    let disk = try logDirectory()
    _ = try hold(disk)
    let other = [UInt8](repeating: 0, count: 16)
    #expect(code { try CursorStore.hold(disk, paths, logID: other, name: "c", startingAt: .zero) } == .damaged)
    #expect(disk.openHandleCount == 0)
  }

  @Test func `a cursor is deleted unless it is held, and a damaged one, too`() throws {
    let disk = try logDirectory()
    let cursor = try hold(disk)
    try cursor.acquire()
    #expect(code { try CursorStore.delete(disk, paths, name: "c") } == .cursorHeld)
    #expect(code { try CursorStore.delete(disk, paths, name: "d") } == .unknownCursor)
    cursor.close()
    try CursorStore.delete(disk, paths, name: "c")
    #expect(try CursorStore.names(disk.powerCut(.nothingUnsynced), paths).isEmpty)
    let again = try hold(disk, at: 7)
    try again.acquire()
    again.close()
    try disk.damageCursor("c")
    #expect(code { try hold(disk) } == .damaged)
    try CursorStore.delete(disk, paths, name: "c")
    #expect(try hold(disk.powerCut(.nothingUnsynced), at: 9).state.committed == Offset(9))
  }

  @Test(arguments: ["", ".", "..", ".hidden", "a/b", "a b", "ä", "a\n", "a\0", String(repeating: "a", count: 65), "*"])
  func `a name that is no file's name is refused`(name: String) throws {
    let disk = try logDirectory()
    let before = disk.filePaths
    #expect(code { try hold(disk, name) } == .invalidName)
    #expect(disk.filePaths == before)
  }

  @Test(arguments: ["a", "A-z_0.9", "-", String(repeating: "a", count: 64), "x.cur", "x.cur.tmp"])
  func `any other name is fine`(name: String) throws {
    let disk = try logDirectory()
    let cursor = try hold(disk, name)
    try cursor.acquire()
    #expect(try CursorStore.peek(disk, paths, name: name).epoch == 1)
    #expect(try CursorStore.names(disk, paths) == [name])
  }
}
