import PenstockLog

// Nothing here waits. Work that has to wait returns no event, and says in `wait` for what: the caller waits, and does
// the work again.

extension DeliveryRunner {
  /// Counts visible records into a batch until the planner closes it. Each time, it reads only records that are not
  /// counted yet. Nil: it has to wait.
  mutating func accumulate(from first: Offset) async -> DeliveryState.Event? {
    if let passed = await passedByRetention(expecting: first) { return passed }
    if let event = await endOfWaitForRecords() { return event }
    // An answer interrupts accumulating; the records counted so far stay counted.
    var open = pending.flatMap { $0.first == first ? $0 : nil } ?? PendingBatch(first: first)
    if open.count == 0 { gathered = Gathered() }
    defer { pending = open }
    while true {
      do throws(LogError) {
        let isAll = try await countIn(&open)
        if open.events == 0, open.count > 0, mayPass(open.range) {
          let passed = open
          open = PendingBatch(first: passed.end)
          return try await skip(to: passed.end, untimed: gathered.untimed)
        }
        if !isAll {
          if let answer = takeAnswer() { return answer }
          if mustStop { return .stop }
          continue
        }
      } catch { return failed(error) }
      let isBehind = open.fullBy == nil && routed?.isBehind == true
      switch isBehind
        ? .wait(until: nil)
        : planner.decide(open, now: environment.clock.now(), timeOfDay: environment.wallClock.now())
      {
      case .take(let reason): return .accumulated(open.range, reason)
      case .wait(let deadline):
        let due = [deadline, state.saveDue].compactMap { $0 }.min()
        wait = Wait(recordsPast: open.end, isRouted: routed != nil, deadline: due)
        return nil
      }
    }
  }

  private mutating func endOfWaitForRecords() async -> DeliveryState.Event? {
    switch woken.take() {
    case .records, nil: break
    case .time:
      let now = environment.clock.now()
      if let save = state.saveDue, save <= now { return .wake(at: now) }
    case .sourceClosed: return .sourceClosed
    case .signal:
      if mustStop { return .stop }
      if let change = await changeOfPause() { return change }
      commands.update { $0.retry = false }
    }
    return nil
  }

  /// Checks whether retention's hard cap has passed the cursor. The delivery begins nothing new before an operator
  /// has acknowledged the loss. Then it continues at the cursor's position.
  private mutating func passedByRetention(expecting first: Offset) async -> DeliveryState.Event? {
    let cursor = await lease.state
    if let gap = cursor.gap { return failed(LogError(gap)) }
    return cursor != state.cursor ? .moved(cursor) : nil
  }

  /// Waits for an answer, and waits out a backoff or a halt. Nil: it has to wait.
  mutating func waitOut(until deadline: MonotonicInstant?) async -> DeliveryState.Event? {
    if state.isStopping {
      // Only answers in flight are left to wait for. A cancelled task waits for them too, until its sinks return.
      let isThere = await commands.wait { !$0.answers.isEmpty }
      if !isThere { _ = await Task { [commands] in await commands.wait { !$0.answers.isEmpty } }.value }
      return takeAnswer()
    }
    switch woken.take() {
    case .time: return .wake(at: environment.clock.now())
    case .signal:
      if mustStop { return .stop }
      if let change = await changeOfPause() { return change }
      let wasAsked = commands.update { commands in
        defer { commands.retry = false }
        return commands.retry
      }
      if wasAsked { return .retryNow }
    case .records, .sourceClosed, nil: break
    }
    wait = Wait(deadline: deadline)
    return nil
  }
}
