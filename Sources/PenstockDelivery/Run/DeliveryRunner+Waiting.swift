import PenstockLog

extension DeliveryRunner {
  enum Wakeup: Sendable {
    case records, sourceClosed, time, signal
  }

  /// Collects a batch: counts what becomes visible until the planner closes it. Costs one look per wake-up at records
  /// that were not counted yet; none is looked at twice.
  mutating func accumulate(from first: Offset) async -> DeliveryState.Event {
    if let passed = await passedByRetention(expecting: first) { return passed }
    // An answer interrupts gathering; what was counted until then counts.
    var open = gathering.flatMap { $0.first == first ? $0 : nil } ?? PendingBatch(first: first)
    if open.count == 0 { gathered = nil }
    defer { gathering = open }
    while true {
      do throws(LogError) { try await countIn(&open) } catch { return failed(error) }
      switch planner.decide(open, now: dependencies.clock.now(), timeOfDay: dependencies.wallClock.now()) {
      case .take(let reason): return .gathered(open.range, reason)
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

  /// Retention's hard cap may have passed the cursor: nothing new is begun before somebody has acknowledged what is lost,
  /// and then it goes on where the cursor stands.
  private mutating func passedByRetention(expecting first: Offset) async -> DeliveryState.Event? {
    let cursor = await lease.state
    if let gap = cursor.gap { return failed(LogError(gap)) }
    return cursor != state.cursor ? .moved(cursor) : nil
  }

  /// Counts in every visible record that fits.
  private mutating func countIn(_ open: inout PendingBatch) async throws(LogError) {
    let durableEnd = await source.durableEnd
    if durableEnd != board.value.end { board.update { $0.end = durableEnd } }
    let limit = if case .until(let end) = state.mode { min(end, durableEnd) } else { durableEnd }
    while open.fullBy == nil, open.end < limit {
      let room = open.room(planner.policy)
      let records = min(room.records, limit - open.end)
      let next: Batch?
      do throws(LogError) {
        next = try await source.records(from: open.end, maxRecords: records, maxBytes: room.bytes)
      } catch {
        // What stands before a gap is delivered first; then the gap is met with nothing before it.
        guard error.gap != nil, open.count > 0 else { throw error }
        return open.endBeforeGap()
      }
      guard let batch = next else { return }
      let isFirst = open.count == 0
      let seen = visibleSince(batch.firstAppendTime)
      let isIn = open.add(
        upTo: batch.end, bytes: batch.byteCount, appendTime: batch.firstAppendTime, since: seen, planner.policy)
      if isIn { gathered = isFirst ? batch : nil }
    }
  }

  /// When a record appended at `time` became visible: by its append time, so that a record that waited through a long
  /// attempt or a restart has its age, and no later than now. A time of day that jumped forward closes a batch early, one
  /// that jumped back makes it wait from now; neither can make it wait longer.
  private func visibleSince(_ time: Timestamp) -> MonotonicInstant {
    let age: Duration = .nanoseconds(dependencies.wallClock.now().nanoseconds) - .nanoseconds(time.nanoseconds)
    let now = dependencies.clock.now()
    return MonotonicInstant(sinceStart: now.sinceStart - max(.zero, age))
  }

  /// Waits for an answer, and waits out a backoff or a halt.
  mutating func waitOut(until deadline: MonotonicInstant?) async -> DeliveryState.Event {
    while true {
      if state.isStopping {
        // All that is waited for is what is in the air; a cancelled task, too, waits for what its sinks make of that.
        _ = await Task { [commands] in await commands.wait { !$0.answers.isEmpty } }.value
      }
      if let answer = takeAnswer() { return answer }
      switch await wait(recordsPast: nil, until: deadline) {
      case .time: return .wake(at: dependencies.clock.now())
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

  /// Waits for whatever comes first. Without an offset it does not wait for records, without a deadline not for time.
  func wait(recordsPast offset: Offset?, until deadline: MonotonicInstant?) async -> Wakeup {
    let (source, clock, commands) = (source, dependencies.clock, commands)
    return await withTaskGroup(of: Wakeup.self) { group in
      group.addTask {
        _ = await commands.wait { $0.stop || $0.retry || $0.pauseChanged || !$0.answers.isEmpty }
        return .signal
      }
      if let offset {
        group.addTask {
          let isThere = await source.waitForRecords(past: offset, timeout: nil)
          // A cancelled wait answers as a closed source does.
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
