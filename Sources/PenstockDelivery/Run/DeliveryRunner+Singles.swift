import Crypto
import Logging
import PenstockLog

/// An event that is sent by itself.
struct SingleEvent {
  let offset: Offset
  /// Or why it cannot be rendered: then it is not sent, and becomes a dead letter.
  let body: Result<PreparedBody, SinkError>
  /// The body's; where there is none, the record's.
  let digest: [UInt8]
  /// Bytes of the record.
  let recordBytes: Int

  var isUnrenderable: Bool { if case .failure = body { true } else { false } }

  /// What its destination sees: the event under a name that depends on the event alone, whatever batch it is in.
  func intent(of batch: Intent, _ logID: String, _ cursor: String) -> Intent {
    Intent(
      id: DeliveryID(logID: logID, cursor: cursor, first: offset, end: offset + 1, contentDigest: digest),
      first: offset, end: offset + 1, contentDigest: digest, plan: batch.plan, createdAt: batch.createdAt)
  }
}

extension Sink {
  /// Whether a delivery sends event by event. A manifest has an entry for each batch, so its batches are sent whole.
  var isSentEventByEvent: Bool { sendsSingleEvents && !recordsEveryRange }
}

extension DeliveryRunner {
  /// Renders each event by itself. The digest is of all digests, in order. An event that cannot be rendered is kept as
  /// one, if it may become a dead letter.
  func renderSingles(_ selected: Selected, plan: [UInt8]) throws(SinkError) -> Rendering {
    let batch = selected.batch
    var events: [SingleEvent] = []
    events.reserveCapacity(batch.count)
    var (hash, length) = (SHA256(), 0)
    try batch.forEachRecord { (record) throws(SinkError) in
      var single = SelectedRecords()
      single.append(offset: record.offset, appendTime: record.appendTime) { $0.append(contentsOf: record.bytes) }
      let event = try event(
        Batch(single, of: record.offset..<(record.offset + 1), rangeAppendTime: record.appendTime), plan: plan)
      event.digest.withUnsafeBytes { hash.update(bufferPointer: $0) }
      if case .success(let body) = event.body { length += body.contentLength }
      events.append(event)
    }
    let body = PreparedBody(
      bytes: [], contentDigest: Array(hash.finalize()), contentLength: length, eventCount: events.count)
    return Rendering(body: body, events: events, recordBytes: batch.byteCount, untimed: selected.untimed)
  }

  private func event(_ record: Batch, plan: [UInt8]) throws(SinkError) -> SingleEvent {
    do throws(SinkError) {
      let body = try prepare(record, plan: plan)
      return SingleEvent(
        offset: record.first, body: .success(body), digest: body.contentDigest, recordBytes: record.byteCount)
    } catch {
      guard state.writesDeadLetters, error.offset == record.first else { throw error }
      var bytes: [UInt8] = []
      record.forEachRecord { bytes.append(contentsOf: $0.bytes) }
      let digest = PreparedBody(content: bytes, eventCount: 1).contentDigest
      return SingleEvent(
        offset: record.first, body: .failure(error), digest: digest, recordBytes: record.byteCount)
    }
  }

  /// Stores what came of events.
  mutating func settle(_ intent: Intent, _ move: EventMove) async -> DeliveryState.Event {
    let condemned = state.open.first { $0.intent == intent }?.events?.condemned
    let next: CursorState
    do throws(LogError) { next = try await lease.settle(intent.id, move) } catch { return failed(error) }
    lastLogError = nil
    guard case .settled(let numbers, let receipt) = move else { return .settled(next) }
    let confirmed = numbers.filter { $0 != condemned }
    let isDone = !next.inFlight.contains { $0.intent.id == intent.id && !$0.isDelivered }
    let sent = isDone ? rendered.removeValue(forKey: intent.id) : rendered[intent.id]
    progress.update {
      $0.deadLetters += numbers.count - confirmed.count
      $0.events += confirmed.count
      $0.records += confirmed.count
      $0.bytes += confirmed.reduce(0) { $0 + (sent?.events?[$1].recordBytes ?? 0) }
      $0.committed = next.committed
      guard isDone else { return }
      $0.batches += 1
      // What its selection leaves out of the range.
      $0.records += intent.end - intent.first - (intent.singleEvents ?? 0)
      $0.untimed += sent?.untimed ?? 0
    }
    if isDone { environment.observer?(.committed(intent, receipt: receipt)) }
    environment.logger.debug(
      "events delivered",
      metadata: subject.metadata(["delivery": "\(intent.id)", "events": "\(numbers.count)", "done": "\(isDone)"]))
    return .settled(next)
  }
}
