@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// Moves in groups mean the same as one at a time, also where the cursor has skipped records before them.
@Suite(.timeLimit(.minutes(1))) struct CursorGroupTests {
  private let logID: [UInt8] = Array(1...16)
  private static let end = Offset(99)

  private func cursor(_ mover: CursorMover, _ name: String = "c") throws(LogError) -> HeldCursor {
    let held = CursorStore.hold(mover, TestLog.paths, logID: logID, [(name, .zero)])
    return try held[0].get()
  }

  private static func commit(to offset: UInt64) -> CursorMover.Step {
    { (state) throws(CursorMoveError) in
      try state.committing(to: Offset(offset), epoch: state.epoch, durableEnd: end)
    }
  }

  /// What is made with a cursor. All but the first are durable moves.
  private enum Call: CaseIterable {
    case skip, commit, back, save, refused

    var step: CursorMover.Step {
      { (state) throws(CursorMoveError) in
        switch self {
        case .skip, .commit:
          try state.committing(to: state.committed + 1, epoch: state.epoch, durableEnd: end)
        case .back: try state.seeking(to: .zero, epoch: state.epoch, durableEnd: end)
        case .save: state
        case .refused: try state.committing(to: end + 1, epoch: state.epoch, durableEnd: end)
        }
      }
    }
  }

  /// A cursor as one move after the other leaves it: what is durable, and what is known.
  private struct Model {
    var durable: Offset
    var known: Offset
    var outcomes: [String] = []

    init(_ state: CursorState) { (durable, known) = (state.committed, state.committed) }

    mutating func make(_ call: Call) {
      switch call {
      case .skip, .commit: known = known + 1
      case .back: known = .zero
      case .save: break
      case .refused: return outcomes.append("illegalMove")
      }
      if call != .skip { durable = known }
      outcomes.append("\(known)")
    }
  }

  @Test func `any moves in any groups leave the cursor where one after the other does`() throws {
    let disk = try logDirectory()
    let mover = CursorMover(try Slots(disk, TestLog.paths), isShared: true)
    let cursor = try cursor(mover)
    var tried = 0
    for length in 1...4 {
      for number in 0..<Int(pow(Call.allCases.count, length)) {
        let calls = (0..<length).map { Call.allCases[number / pow(Call.allCases.count, $0) % Call.allCases.count] }
        for ends in 0..<(1 << (length - 1)) {
          try cursor.move(Call.back.step)
          var model = Model(cursor.state)
          let outcomes = Mutex<[String]>([])
          for (index, call) in calls.enumerated() {
            model.make(call)
            if call == .skip {
              // Whatever waits is made after it, so write that first.
              mover.writeQueued()
              let state = try #require(try cursor.skip(call.step))
              outcomes.withLock { $0.append("\(state.committed)") }
            } else {
              _ = mover.enqueue(cursor, call.step, afterPreparing: { _ in }) { outcome in
                outcomes.withLock { $0.append((try? "\(outcome.get().committed)") ?? "illegalMove") }
              }
            }
            if ends >> index & 1 == 1 { mover.writeQueued() }
          }
          mover.writeQueued()
          let written = try CursorStore.peek(disk, TestLog.paths, name: "c").committed
          let isRight =
            cursor.state.committed == model.known && written == model.durable
            && cursor.isAhead == (model.known != model.durable) && outcomes.withLock { $0 } == model.outcomes
          #expect(isRight, "\(calls), groups \(String(ends, radix: 2))")
          tried += 1
        }
      }
    }
    #expect(tried == 5 + 25 * 2 + 125 * 4 + 625 * 8)
    let durable = try CursorStore.peek(disk.powerCut(.nothingUnsynced), TestLog.paths, name: "c")
    #expect(try durable == CursorStore.peek(disk, TestLog.paths, name: "c"))
  }

  private func pow(_ base: Int, _ exponent: Int) -> Int { (0..<exponent).reduce(1) { power, _ in power * base } }

  @Test func `a cursor skips nothing while its move is being written`() throws {
    let disk = try logDirectory()
    let mover = CursorMover(try Slots(disk, TestLog.paths), isShared: true)
    let (cursor, other) = (try cursor(mover), try self.cursor(mover, "other"))
    let skipped = Mutex<[Offset?]>([])
    _ = mover.enqueue(
      cursor, Self.commit(to: 3),
      afterPreparing: { _ throws(LogError) in
        let states = [try cursor.skip(Self.commit(to: 2)), try other.skip(Self.commit(to: 2))]
        skipped.withLock { $0 = states.map { $0?.committed } }
      }, then: { _ in })
    mover.writeQueued()
    #expect(skipped.withLock { $0 } == [nil, Offset(2)])
    #expect(cursor.state.committed == Offset(3) && !cursor.isAhead)
    #expect(try cursor.skip(Self.commit(to: 4))?.committed == Offset(4))
  }

  @Test func `what many cursors have skipped is written with one sync`() throws {
    let disk = try logDirectory()
    let mover = CursorMover(try Slots(disk, TestLog.paths), isShared: true)
    let cursors = try (0..<5).map { try cursor(mover, "c\($0)") }
    for cursor in cursors { _ = try cursor.skip(Self.commit(to: 7)) }
    let prepared = Mutex(0)
    let before = disk.ioCount
    let outcomes = HeldCursor.move(cursors, { (state) throws(CursorMoveError) in state }) { _ in
      prepared.withLock { $0 += 1 }
    }
    #expect(disk.ioCount - before == 5 + 1 && prepared.withLock { $0 } == 5)
    #expect(try outcomes.map { try $0.get().committed } == [Offset](repeating: Offset(7), count: 5))
    let after = disk.powerCut(.nothingUnsynced)
    for cursor in cursors {
      #expect(try CursorStore.peek(after, TestLog.paths, name: cursor.name).committed == Offset(7))
      #expect(!cursor.isAhead)
    }
  }

  @Test func `a write that fails leaves what was skipped in memory`() throws {
    let disk = try logDirectory()
    let mover = CursorMover(try Slots(disk, TestLog.paths), isShared: true)
    let cursor = try cursor(mover)
    _ = try cursor.skip(Self.commit(to: 5))
    #expect(code { try cursor.save { _ throws(LogError) in throw LogError(.io, "not prepared") } } == .io)
    disk.fail(atIO: disk.ioCount + 1)
    #expect(code { try cursor.save() } == .io)
    #expect(cursor.state.committed == Offset(5) && cursor.isAhead)
    #expect(try CursorStore.peek(disk.powerCut(.nothingUnsynced), TestLog.paths, name: "c").committed == .zero)
  }

  @Test func `many cursors are taken with a few syncs, and one that is held takes no other with it`() throws {
    let disk = try logDirectory()
    let first = CursorMover(try Slots(disk, TestLog.paths), isShared: true)
    let held = try cursor(first, "c7")
    let mover = CursorMover(try Slots(disk, TestLog.paths), isShared: true)
    let wanted = (0..<50).map { ("c\($0)", Offset(UInt64($0))) }
    for isThere in [false, true] {
      let before = disk.ioCount
      let taken = CursorStore.hold(mover, TestLog.paths, logID: logID, wanted)
      // Each new cursor is one write.
      #expect(disk.ioCount - before < (isThere ? 10 : 60))
      for (number, result) in taken.enumerated() {
        if number == 7 {
          #expect(code { try result.get() } == .cursorHeld)
        } else {
          let cursor = try result.get()
          #expect(cursor.name == "c\(number)" && cursor.state.committed == Offset(UInt64(number)))
        }
      }
    }
    #expect(held.state.committed == .zero)
    #expect(try CursorStore.names(disk.powerCut(.nothingUnsynced), TestLog.paths).count == 50)
  }
}
