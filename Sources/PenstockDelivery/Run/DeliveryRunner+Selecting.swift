import PenstockEvents
import PenstockLog

extension DeliveryRunner {
  /// A batch with what is selected of its range.
  struct Selected {
    var batch: Batch
    /// Records of the range without a readable event time, if the selection has a window.
    var untimed = 0
  }

  /// Records are read in pieces of at most so many, so that a stop or an answer need not wait.
  static let pieceRecords = 8_192
  static let pieceBytes = 1 << 20
  /// Records without an event that are read before the delivery looks for answers, a pause and a stop.
  static let mostInARow = 65_536

  /// Whether the cursor may pass records without a batch.
  func mayPass(_ range: Range<Offset>) -> Bool {
    !sink.recordsEveryRange && state.cursor.inFlight.isEmpty && range.lowerBound == state.committed
  }

  /// Passes records that are not selected.
  mutating func skip(to end: Offset, untimed: Int) async throws(LogError) -> DeliveryState.Event {
    let passed = end - state.committed
    let cursor = try await lease.skip(to: end)
    progress.update {
      $0.records += passed
      $0.untimed += untimed
    }
    // One of many learns this in turn. Its write is due with its turn, or thousands would be due together.
    return .skipped(cursor, savesAtOnce: routed?.seat.isOneOfMany == true, at: environment.clock.now())
  }

  /// Counts visible records in, until the batch is full. Returns false when there are more, and the delivery has to
  /// look for answers first.
  mutating func countIn(_ open: inout PendingBatch) async throws(LogError) -> Bool {
    let durableEnd = await source.durableEnd
    if durableEnd != progress.value.end { progress.update { $0.end = durableEnd } }
    let limit = if case .until(let end) = state.mode { min(end, durableEnd) } else { durableEnd }
    if countRouted(&open, upTo: state.mode == .service ? Offset(.max) : limit) {
      // A piece past the end that was read above: the log has grown since.
      return open.count > 0 || routed?.piece == nil
    }
    let first = open.end
    while open.fullBy == nil, open.end < limit {
      if open.end - first >= Self.mostInARow, !selection.isEverything { return false }
      let room = selection.isEverything ? open.room(planner.policy) : (Self.pieceRecords, Self.pieceBytes)
      let records = min(room.0, limit - open.end)
      let next: Batch?
      do throws(LogError) {
        next =
          if countsUnopened {
            try await source.unopenedRecords(from: open.end, maxRecords: records, maxBytes: room.1)
          } else { try await source.records(from: open.end, maxRecords: records, maxBytes: room.1) }
      } catch {
        // The records before a gap are delivered first. The next read then begins at the gap and fails.
        guard error.gap != nil, open.count > 0 else { throw error }
        open.endBefore(.gap)
        return true
      }
      guard let batch = next else { break }
      if selection.isEverything { countWhole(batch, in: &open) } else { countSelected(batch, in: &open) }
    }
    if open.end == limit { mayJoin = true }
    return true
  }

  /// Counting asks for no record where all are selected. Whether the batch may keep its blocks unopened, its plan says.
  private var countsUnopened: Bool { selection.isEverything && sink.acceptsCompressedFrames }

  private mutating func countWhole(_ batch: Batch, in open: inout PendingBatch) {
    let isFirst = open.count == 0
    let seen = now.seen(batch.firstAppendTime)
    let isIn = open.add(
      upTo: batch.end, bytes: batch.byteCount, appendTime: batch.firstAppendTime, since: seen, planner.policy)
    if isIn { gathered.whole = isFirst ? batch : nil }
  }

  private mutating func countSelected(_ batch: Batch, in open: inout PendingBatch) {
    let (selection, policy, now) = (selection, planner.policy, now)
    var (untimed, isDone) = (0, false)
    var kept = gathered
    gathered = Gathered()
    let budget = environment.router?.kept
    var scratch: [UInt8] = []
    batch.forEachRecord { record in
      guard !isDone else { return }
      let next = record.offset + 1
      var count = 0
      switch selection.verdict(on: record, untimed: &count) {
      case .left:
        isDone = !open.skip(upTo: next, appendTime: record.appendTime, since: now.seen(record.appendTime))
      case .selected:
        scratch.removeAll(keepingCapacity: true)
        selection.fields.render(record.bytes, into: &scratch)
        isDone = !open.add(
          upTo: next, bytes: scratch.count, appendTime: record.appendTime, since: now.seen(record.appendTime), policy)
        if !isDone { kept.keep(scratch, of: record, budget) }
      case .faulty:
        // It is a batch by itself, which then fails; what is before it goes first.
        if open.count == 0 {
          _ = open.add(
            upTo: next, bytes: record.bytes.count, appendTime: record.appendTime, since: now.seen(record.appendTime),
            policy)
        }
        open.endBefore(.split)
        kept.dropEvents()
        isDone = true
      }
      if !isDone { untimed += count }
      isDone = isDone || open.fullBy != nil
    }
    kept.untimed += untimed
    gathered = kept
  }

  /// The moment, by both clocks.
  var now: Now { Now(instant: environment.clock.now(), timeOfDay: environment.wallClock.now()) }

  struct Now {
    let instant: MonotonicInstant
    let timeOfDay: Timestamp

    /// When a record appended at `time` became visible: by its append time, and no later than now. So a record that
    /// waited through a long attempt or a restart has its full age. A time of day that jumped forward closes a batch
    /// early. One that jumped back makes the batch wait from now. Neither can make it wait longer.
    func seen(_ time: Timestamp) -> MonotonicInstant {
      let age: Duration = .nanoseconds(timeOfDay.nanoseconds) - .nanoseconds(time.nanoseconds)
      return MonotonicInstant(sinceStart: instant.sinceStart - max(.zero, age))
    }
  }

  // MARK: Reading a closed batch

  /// What the plan of an open batch selects of it.
  func select(_ intent: Intent) async throws(LogError) -> Result<Selected, SinkError> {
    let (selection, copiesFrames): (EventSelection, Bool)
    do throws(SinkError) {
      (selection, copiesFrames) = (try sink.selection(plan: intent.plan), try sink.copiesFrames(plan: intent.plan))
    } catch { return .failure(error) }
    return try await read(intent.first..<intent.end, selecting: selection, unopened: copiesFrames)
  }

  /// What is selected of a new batch. Where all are selected, its blocks may be unopened.
  mutating func select(_ range: Range<Offset>) async throws(LogError) -> Result<Selected, SinkError> {
    defer { gathered = Gathered() }
    if let batch = gathered.whole, batch.first..<batch.end == range { return .success(Selected(batch: batch)) }
    if !selection.isEverything, let open = pending, open.range == range, let events = gathered.events,
      events.count == open.events, let begun = open.rangeBegin
    {
      return .success(
        Selected(batch: Batch(events, of: range, rangeAppendTime: begun), untimed: gathered.untimed))
    }
    return try await read(range, selecting: selection, unopened: countsUnopened)
  }

  /// The batch with the records of its unopened blocks, where its plan asks for them.
  func opened(_ selected: Selected, for plan: [UInt8]) async throws(LogError) -> Result<Selected, SinkError> {
    do throws(SinkError) {
      guard selected.batch.hasUnopenedBlocks, try !sink.copiesFrames(plan: plan) else { return .success(selected) }
    } catch { return .failure(error) }
    return .success(Selected(batch: try await source.records(in: selected.batch.first..<selected.batch.end)))
  }

  private func read(
    _ range: Range<Offset>, selecting selection: EventSelection, unopened: Bool
  ) async throws(LogError) -> Result<Selected, SinkError> {
    if selection.isEverything {
      let batch =
        if unopened { try await source.unopenedRecords(in: range) } else { try await source.records(in: range) }
      return .success(Selected(batch: batch))
    }
    var (events, untimed, next) = (SelectedRecords(), 0, range.lowerBound)
    var begun: Timestamp?
    while next < range.upperBound {
      let most = min(range.upperBound - next, Self.pieceRecords)
      guard let batch = try await source.records(from: next, maxRecords: most, maxBytes: Self.pieceBytes) else {
        throw LogError(.outOfRange, "the log ends before the batch", location: .init(offset: next))
      }
      begun = begun ?? batch.firstAppendTime
      do throws(SinkError) { try selection.append(to: &events, from: batch, untimed: &untimed) } catch {
        return .failure(error)
      }
      next = batch.end
    }
    let time = begun ?? Timestamp(nanoseconds: 0)
    return .success(Selected(batch: Batch(events, of: range, rangeAppendTime: time), untimed: untimed))
  }

  /// One record, as it is in the log.
  func record(at offset: Offset) async throws(LogError) -> Batch { try await source.records(in: offset..<(offset + 1)) }
}
