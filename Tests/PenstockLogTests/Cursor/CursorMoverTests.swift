@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// Moves that wait together: one write for each cursor, one sync for all, and no caller sees what is not durable.
@Suite struct CursorMoverTests {
  private let logID: [UInt8] = Array(1...16)
  private let paths = TestLog.paths

  /// What came of the moves, in the order in which they were queued.
  private final class Outcomes: Sendable {
    let all = Mutex<[String]>([])

    func take(_ outcome: CursorMover.Outcome) {
      all.withLock { all in
        switch outcome {
        case .success(let state): all.append("\(state.committed)")
        case .failure(let error): all.append("\(error.code)")
        }
      }
    }
    var words: [String] { all.withLock { $0 } }
  }

  private func cursors(_ count: Int, _ disk: SimulatedFileSystem) throws -> (CursorMover, [HeldCursor]) {
    let mover = CursorMover(try Slots(disk, paths), isShared: true)
    return (
      mover,
      try CursorStore.hold(mover, paths, logID: logID, (0..<count).map { ("c\($0)", .zero) }).map { try $0.get() }
    )
  }

  private func commit(
    _ cursor: HeldCursor, to offset: UInt64, _ outcomes: Outcomes,
    after prepare: @escaping CursorMover.Preparation = { _ in }
  ) {
    _ = cursor.mover.enqueue(
      cursor,
      { (state) throws(CursorMoveError) in
        try state.committing(to: Offset(offset), epoch: 0, durableEnd: Offset(99))
      }, afterPreparing: prepare, then: outcomes.take)
  }

  private func durable(_ disk: SimulatedFileSystem, _ name: String) throws -> UInt64 {
    try CursorStore.peek(disk.powerCut(.nothingUnsynced), paths, name: name).committed.rawValue
  }

  @Test func `all that wait share a sync, and two moves of one cursor share a write`() throws {
    let disk = try logDirectory()
    let (mover, cursors) = try cursors(5, disk)
    let outcomes = Outcomes()
    let before = disk.ioCount
    for cursor in cursors { commit(cursor, to: 3, outcomes) }
    commit(cursors[0], to: 4, outcomes)
    #expect(outcomes.words.isEmpty && disk.ioCount == before)
    mover.writeQueued()
    #expect(disk.ioCount - before == 5 + 1)
    #expect(outcomes.words == ["3", "3", "3", "3", "3", "4"])
    #expect(try durable(disk, "c0") == 4 && durable(disk, "c4") == 3)
    #expect(cursors[0].state.committed == Offset(4))
  }

  @Test func `a refused move takes no other with it, of its own cursor or of another`() throws {
    let disk = try logDirectory()
    let (mover, cursors) = try cursors(2, disk)
    let outcomes = Outcomes()
    commit(cursors[0], to: 3, outcomes)
    commit(cursors[0], to: 2, outcomes)
    commit(cursors[1], to: 200, outcomes)
    commit(cursors[0], to: 5, outcomes) { _ throws(LogError) in throw LogError(.io, "not prepared") }
    commit(cursors[0], to: 6, outcomes)
    commit(cursors[1], to: 1, outcomes)
    mover.writeQueued()
    #expect(outcomes.words == ["3", "illegalMove", "illegalMove", "io", "6", "1"])
    #expect(try durable(disk, "c0") == 6 && durable(disk, "c1") == 1)
  }

  @Test func `a move that blocks its caller is written with all that wait`() throws {
    let disk = try logDirectory()
    let (_, cursors) = try cursors(2, disk)
    let outcomes = Outcomes()
    commit(cursors[0], to: 3, outcomes)
    let before = disk.ioCount
    try cursors[1].acquire()
    #expect(disk.ioCount - before == 3 && outcomes.words == ["3"] && cursors[1].state.epoch == 1)
  }

  @Test func `no outcome comes before it is durable, and a failed sync reaches all`() throws {
    for isFailing in [false, true] {
      let disk = try logDirectory()
      let (mover, cursors) = try cursors(3, disk)
      let outcomes = Outcomes()
      let early = Mutex(0)
      for cursor in cursors {
        _ = mover.enqueue(
          cursor, { (state) throws(CursorMoveError) in state.acquired() }, afterPreparing: { _ in },
          then: { outcome in
            outcomes.take(outcome)
            let after = disk.powerCut(.nothingUnsynced)
            let found = try? CursorStore.peek(after, TestLog.paths, name: cursor.name).epoch
            if found != (isFailing ? 0 : 1) { early.withLock { $0 += 1 } }
          })
      }
      if isFailing { disk.fail(atIO: disk.ioCount + 4) }
      mover.writeQueued()
      #expect(outcomes.words == (isFailing ? ["io", "io", "io"] : ["0", "0", "0"]) && early.withLock { $0 } == 0)
      #expect(cursors.allSatisfy { $0.state.epoch == (isFailing ? 0 : 1) })
      if isFailing { #expect(code { try cursors[0].acquire() } == .poisoned) }
    }
  }

  @Test func `a move that finds no space leaves those before it`() throws {
    let disk = try logDirectory()
    let (mover, cursors) = try cursors(1, disk)
    let outcomes = Outcomes()
    disk.capacityBytes = 0
    commit(cursors[0], to: 3, outcomes)
    // Three batches with long plans outgrow a small place.
    for first in 3..<6 as Range<UInt64> {
      let batch = intent(first, first + 1, plan: Intent.maxPlanBytes)
      _ = mover.enqueue(
        cursors[0],
        { (state) throws(CursorMoveError) in try state.beginning(batch, epoch: 0, durableEnd: Offset(99)) },
        afterPreparing: { _ in }, then: outcomes.take)
    }
    mover.writeQueued()
    #expect(outcomes.words == ["3", "3", "noSpace", "noSpace"])
    #expect(cursors[0].state.inFlight.count == 1)
    disk.capacityBytes = nil
    #expect(try cursors[0].acquire().inFlight.count == 1)
  }

  @Test func `a closed cursor moves no more, and the others do`() throws {
    let disk = try logDirectory()
    let (mover, cursors) = try cursors(2, disk)
    let outcomes = Outcomes()
    commit(cursors[0], to: 3, outcomes)
    commit(cursors[1], to: 3, outcomes)
    cursors[0].close()
    mover.writeQueued()
    #expect(outcomes.words == ["closed", "3"])
    mover.slots.close()
    #expect(code { try cursors[1].acquire() } == .closed)
  }
}
