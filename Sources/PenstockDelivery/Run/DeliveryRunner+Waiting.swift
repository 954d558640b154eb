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
    if open.count == 0 { accumulated = nil }
    defer { pending = open }
    while true {
      do throws(LogError) { try await countIn(&open) } catch { return failed(error) }
      switch planner.decide(open, now: environment.clock.now(), timeOfDay: environment.wallClock.now()) {
      case .take(let reason): return .accumulated(open.range, reason)
      case .wait(let deadline):
        switch await wait(recordsPast: open.end, until: deadline) {
        case .records, .time: break
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

  /// Counts in every visible record that fits.
  private mutating func countIn(_ open: inout PendingBatch) async throws(LogError) {
    let durableEnd = await source.durableEnd
    if durableEnd != progress.value.end { progress.update { $0.end = durableEnd } }
    let limit = if case .until(let end) = state.mode { min(end, durableEnd) } else { durableEnd }
    while open.fullBy == nil, open.end < limit {
      let room = open.room(planner.policy)
      let records = min(room.records, limit - open.end)
      let next: Batch?
      do throws(LogError) {
        next = try await source.records(from: open.end, maxRecords: records, maxBytes: room.bytes)
      } catch {
        // The records before a gap are delivered first. The next read then begins at the gap and fails.
        guard error.gap != nil, open.count > 0 else { throw error }
        return open.endBeforeGap()
      }
      guard let batch = next else { return }
      let isFirst = open.count == 0
      let seen = visibleSince(batch.firstAppendTime)
      let isIn = open.add(
        upTo: batch.end, bytes: batch.byteCount, appendTime: batch.firstAppendTime, since: seen, planner.policy)
      if isIn { accumulated = isFirst ? batch : nil }
    }
  }

  /// When a record appended at `time` became visible: by its append time, and no later than now. So a record that
  /// waited through a long attempt or a restart has its full age. A time of day that jumped forward closes a batch
  /// early. One that jumped back makes the batch wait from now. Neither can make it wait longer.
  private func visibleSince(_ time: Timestamp) -> MonotonicInstant {
    let age: Duration = .nanoseconds(environment.wallClock.now().nanoseconds) - .nanoseconds(time.nanoseconds)
    let now = environment.clock.now()
    return MonotonicInstant(sinceStart: now.sinceStart - max(.zero, age))
  }

  /// Waits for an answer, and waits out a backoff or a halt.
  mutating func waitOut(until deadline: MonotonicInstant?) async -> DeliveryState.Event {
    while true {
      if state.isStopping {
        // Only answers in flight are left to wait for. A cancelled task waits for them too, until its sinks return.
        _ = await Task { [commands] in await commands.wait { !$0.answers.isEmpty } }.value
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

  /// Waits for the first of these. Without an offset it does not wait for records, without a deadline not for time.
  func wait(recordsPast offset: Offset?, until deadline: MonotonicInstant?) async -> Wakeup {
    let (source, clock, commands) = (source, environment.clock, commands)
    return await withTaskGroup(of: Wakeup.self) { group in
      group.addTask {
        _ = await commands.wait { $0.stop || $0.retry || $0.pauseChanged || !$0.answers.isEmpty }
        return .signal
      }
      if let offset {
        group.addTask {
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
