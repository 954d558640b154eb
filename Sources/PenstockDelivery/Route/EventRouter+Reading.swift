import PenstockLog
import Synchronization

// The task of one pass: read, compare, wake those for whom something waits.

extension EventRouter {
  /// So many records are compared at once, under the lock.
  private static let pieceRecords = 2_048
  private static let pieceBytes = 1 << 20
  /// How long a pass that catches up waits for a destination for which too much waits. A live pass does not wait.
  private static let grace: Duration = .seconds(1)
  /// How often destinations without events take note of how far their pass is. Where there are many, a part of them
  /// does, four times as often: if thousands did at once, their work and their writes would take memory together.
  private static let round: Duration = .seconds(1)

  func read(_ pass: Routing.PassID, _ number: Int) async {
    var nextRound = clock.now() + Self.round
    while !Task.isCancelled {
      guard await makeRoom(pass, number), let position = position(pass, number) else { return }
      let batch: Batch
      do throws(LogError) {
        let next = try await source.records(from: position, maxRecords: Self.pieceRecords, maxBytes: Self.pieceBytes)
        guard let next else {
          guard await waitForRecords(past: position, pass, number, &nextRound) else { return sendAllAway(pass, number) }
          continue
        }
        batch = next
      } catch {
        // Each destination meets the gap, or the error, by itself.
        return sendAllAway(pass, number)
      }
      compare(batch, pass, number)
      if clock.now() >= nextRound { nextRound = tellPosition(pass, number) }
    }
  }

  /// Nil when this reading is over.
  private func position(_ pass: Routing.PassID, _ number: Int) -> Offset? {
    state.withLock { $0.readings[pass]?.number == number ? $0.routing.position(pass) : nil }
  }

  private func compare(_ batch: Batch, _ pass: Routing.PassID, _ number: Int) {
    let woken = state.withLock { state -> [Routing.MemberID] in
      guard state.readings[pass]?.number == number, state.routing.position(pass) == batch.first else { return [] }
      state.readings[pass]?.mayHaveUntold = true
      state.routing.compare(batch, pass)
      for absorbed in state.routing.merge(into: pass) {
        state.readings.removeValue(forKey: absorbed)?.task.cancel()
      }
      return state.routing.calls(pass)
    }
    wake(woken)
  }

  /// Waits at the end of the log. False when the log is closed, and soon after cancellation.
  private func waitForRecords(
    past position: Offset, _ pass: Routing.PassID, _ number: Int, _ nextRound: inout MonotonicInstant
  ) async -> Bool {
    let (mayHaveUntold, called) = state.withLock { state -> (Bool, [Routing.MemberID]?) in
      guard state.readings[pass]?.number == number else { return (false, nil) }
      let isFirst = state.routing.reachedEnd(pass)
      return (state.readings[pass]?.mayHaveUntold == true, isFirst ? state.routing.calls(pass) : nil)
    }
    if let called {
      // Members that end when they have caught up need not wait for a round, and what is gathered can get old now.
      wake(called)
      nextRound = tellPosition(pass, number)
      return true
    }
    guard mayHaveUntold else { return await source.waitForRecords(past: position, timeout: nil) }
    let left = nextRound - clock.now()
    if left > .zero, await source.waitForRecords(past: position, timeout: left) { return true }
    if Task.isCancelled { return false }
    nextRound = tellPosition(pass, number)
    return true
  }

  /// Lets members that want nothing of what was compared move on. Returns when to do so again.
  private func tellPosition(_ pass: Routing.PassID, _ number: Int) -> MonotonicInstant {
    let (told, isLarge) = state.withLock { state -> ([Routing.MemberID], Bool) in
      guard state.readings[pass]?.number == number else { return ([], false) }
      let told = state.routing.tell(pass)
      state.readings[pass]?.mayHaveUntold = state.routing.hasUntold(pass)
      return (told, state.routing.isLarge(pass))
    }
    wake(told)
    return clock.now() + (isLarge ? Self.round / 4 : Self.round)
  }

  /// Waits while too much waits for the members, and then sends the slowest away. False when this reading is over.
  private func makeRoom(_ pass: Routing.PassID, _ number: Int) async -> Bool {
    guard let isCrowded = look({ $0.isCrowded(pass) }, pass, number) else { return false }
    guard isCrowded else { return true }
    wake(state.withLock { $0.routing.calls(pass, all: true) })
    while true {
      let seen = room.value
      let found = look({ ($0.isRoomy(pass), $0.isCrowded(pass), $0.isLive(pass)) }, pass, number)
      guard let (isRoomy, isCrowded, isLive) = found else { return false }
      if isRoomy || isLive && !isCrowded { return true }
      if !isLive {
        if await isTold(beyond: seen, until: clock.now() + Self.grace) { continue }
        if Task.isCancelled { return false }
      }
      let sent = state.withLock { state -> Routing.MemberID? in
        guard state.readings[pass]?.number == number, state.routing.isCrowded(pass) else { return nil }
        let sent = state.routing.sendFullestAway(pass)
        if state.routing.position(pass) == nil { state.readings[pass] = nil }
        return sent
      }
      guard let sent else { return look({ _ in true }, pass, number) != nil }
      wake([sent])
    }
  }

  /// Nil when this reading is over.
  private func look<Answer: Sendable>(
    _ question: (Routing) -> Answer, _ pass: Routing.PassID, _ number: Int
  ) -> Answer? {
    state.withLock { $0.readings[pass]?.number == number ? question($0.routing) : nil }
  }

  private func isTold(beyond seen: Int, until deadline: MonotonicInstant) async -> Bool {
    let (room, clock) = (room, clock)
    return await withTaskGroup(of: Bool.self) { group in
      group.addTask { await room.wait { $0 > seen } }
      group.addTask {
        try? await clock.sleep(until: deadline)
        return false
      }
      let first = await group.next() ?? false
      group.cancelAll()
      return first
    }
  }

  private func sendAllAway(_ pass: Routing.PassID, _ number: Int) {
    let sent = state.withLock { state -> [Routing.MemberID] in
      guard state.readings[pass]?.number == number else { return [] }
      state.readings[pass] = nil
      return state.routing.sendAllAway(pass)
    }
    wake(sent)
  }
}
