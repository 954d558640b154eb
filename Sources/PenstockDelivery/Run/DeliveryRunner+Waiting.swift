import PenstockLog

extension DeliveryRunner {
  enum Wakeup: Sendable {
    case records, sourceClosed, time, signal
  }

  /// Counts visible records into a batch until the planner closes it. Each wake-up reads only records that are not
  /// counted yet.
  mutating func accumulate(from first: Offset) async -> DeliveryState.Event {
    if let passed = await passedByRetention(expecting: first) { return passed }
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
        switch await wait(recordsPast: open.end, until: due) {
        case .records: break
        case .time:
          let now = environment.clock.now()
          if let save = state.saveDue, save <= now { return .wake(at: now) }
        case .sourceClosed: return .sourceClosed
        case .signal:
          if let answer = takeAnswer() { return answer }
          if mustStop { return .stop }
          if let change = await changeOfPause() { return change }
          commands.update { $0.retry = false }
        }
      }
    }
  }

  /// Checks whether retention's hard cap has passed the cursor. The delivery begins nothing new before an operator
  /// has acknowledged the loss. Then it continues at the cursor's position.
  private mutating func passedByRetention(expecting first: Offset) async -> DeliveryState.Event? {
    let cursor = await lease.state
    if let gap = cursor.gap { return failed(LogError(gap)) }
    return cursor != state.cursor ? .moved(cursor) : nil
  }

  /// Waits for an answer, and waits out a backoff or a halt.
  mutating func waitOut(until deadline: MonotonicInstant?) async -> DeliveryState.Event {
    while true {
      if state.isStopping {
        // Only answers in flight are left to wait for. A cancelled task waits for them too, until its sinks return.
        let isThere = await commands.wait { !$0.answers.isEmpty }
        if !isThere { _ = await Task { [commands] in await commands.wait { !$0.answers.isEmpty } }.value }
      }
      if let answer = takeAnswer() { return answer }
      switch await wait(recordsPast: nil, until: deadline) {
      case .time: return .wake(at: environment.clock.now())
      case .signal:
        if let answer = takeAnswer() { return answer }
        if mustStop { return .stop }
        if let change = await changeOfPause() { return change }
        let wasAsked = commands.update { commands in
          defer { commands.retry = false }
          return commands.retry
        }
        if wasAsked { return .retryNow }
      case .records, .sourceClosed: break
      }
    }
  }

  /// Waits for the first of these. Without an offset it does not wait for records, without a deadline not for time. A
  /// delivery for which the router reads waits for the router instead of records.
  func wait(recordsPast offset: Offset?, until deadline: MonotonicInstant?) async -> Wakeup {
    let (source, clock, commands, seat) = (source, environment.clock, commands, routed?.seat)
    return await withTaskGroup(of: Wakeup.self) { group in
      group.addTask {
        _ = await commands.wait { $0.stop || $0.retry || $0.pauseChanged || !$0.answers.isEmpty }
        return .signal
      }
      if let offset {
        group.addTask {
          if let seat {
            await seat.wait()
            return Task.isCancelled ? .signal : .records
          }
          let isThere = await source.waitForRecords(past: offset, timeout: nil)
          // A cancelled wait returns the same value as a closed source.
          return Task.isCancelled ? .signal : isThere ? .records : .sourceClosed
        }
      }
      if let deadline {
        group.addTask {
          do { try await clock.sleep(until: deadline) } catch { return .signal }
          return .time
        }
      }
      let first = await group.next() ?? .signal
      group.cancelAll()
      return first
    }
  }
}
