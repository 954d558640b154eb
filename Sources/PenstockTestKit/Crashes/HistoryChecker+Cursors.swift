import PenstockLog

// Cursors and deliveries.
extension HistoryChecker {
  mutating func cursorMoved(_ name: String, _ state: CursorState?) {
    let before = cursors[name]?.possible.first ?? nil
    cursors[name, default: CursorMemory()].possible = [state]
    guard let state else { return }
    if let before {
      if state.epoch < before.epoch { report(.cursorIsExact, "\(name): epoch \(state.epoch) after \(before.epoch)") }
      if state.epoch == before.epoch, state.committed < before.committed {
        report(.cursorIsExact, "\(name): committed \(state.committed) after \(before.committed)")
      }
    }
    structure(name, state)
    if let before { intents(name, from: before, to: state) }
  }

  mutating func cursorFound(_ name: String, _ state: CursorState?) {
    let possible = cursors[name, default: CursorMemory()].possible
    guard possible.contains(state) else {
      report(
        .cursorIsExact,
        "\(name) stands at \(Self.words(state)); it may stand at \(possible.map(Self.words).joined(separator: " or "))"
      )
      return cursors[name, default: CursorMemory()].possible = [state]
    }
    // Looking makes nothing durable: what it may stand at as well, it may be found at after another crash.
    let others = possible.filter { $0 != state }
    cursors[name, default: CursorMemory()].possible = [state] + others
    if let state { structure(name, state) }
    if let state, state.committed < base {
      report(.noSilentGap, "the log begins at \(base), \(name) stands at \(state.committed) and knows of no loss")
    }
  }

  static func words(_ state: CursorState?) -> String {
    guard let state else { return "nowhere" }
    let open = state.inFlight.map { "\($0.intent.id)\($0.isDelivered ? " delivered" : "")" }
    return "\(state.committed) (epoch \(state.epoch), open \(open), lost \(state.lost.map { "\($0)" } ?? "nothing"))"
  }

  private mutating func structure(_ name: String, _ state: CursorState) {
    for violation in state.violations(durableEnd: end) { report(.cursorIsExact, "\(name): \(violation)") }
  }

  /// What a move opened, and what it closed.
  private mutating func intents(_ name: String, from before: CursorState, to after: CursorState) {
    for open in after.inFlight {
      let named = History.Delivered(
        open.intent.id, open.intent.first..<open.intent.end, digest: History.digest(open.intent.contentDigest))
      // In place: a copy of the memory that lived on would make each of these writes copy all of it.
      if let known = cursors[name]?.contents.updateValue(named, forKey: named.id), known != named {
        report(.deliveryIsExact, "\(name): \(named.id) names \(known.range), and later \(named.range) or other bytes")
      }
    }
    guard let memory = cursors[name], memory.isWatched, after.committed > before.committed else { return }
    var done = before.committed
    for open in before.inFlight where open.intent.first < after.committed {
      let isLost = after.lost.map { $0.contains(open.intent.first) } ?? false
      let isThere =
        open.rejectionReason == nil
        ? memory.received.contains(open.intent.id) : memory.deadLettered.contains(open.intent.first)
      if open.intent.first > done, !isLost { break }
      if !isThere, !isLost {
        report(.deliveryIsExact, "\(name) committed \(open.intent.id), which its destination has not taken")
      }
      done = max(done, open.intent.end)
    }
    if done < after.committed, after.lost == nil, before.lost == nil {
      report(.deliveryIsExact, "\(name) committed \(done) ..< \(after.committed) without an intent")
    }
  }

  mutating func sending(_ cursor: String, _ delivered: History.Delivered) {
    let possible = (cursors[cursor]?.possible ?? []).lazy.compactMap { $0 }
    let open = possible.flatMap(\.inFlight).first { $0.intent.id == delivered.id }
    guard let open else {
      return report(.deliveryIsExact, "\(cursor): \(delivered.id) is sent, and no intent of it is durable")
    }
    if open.rejectionReason != nil {
      report(.deliveryIsExact, "\(cursor): \(delivered.id) is a dead letter, and is sent")
    }
    if open.intent.first..<open.intent.end != delivered.range {
      report(.deliveryIsExact, "\(cursor): \(delivered.id) is sent with \(delivered.range)")
    }
  }

  mutating func received(_ cursor: String, _ delivered: History.Delivered) {
    cursors[cursor, default: CursorMemory()].received.insert(delivered.id)
    let key = DeliveryID("sent " + delivered.id.rawValue)
    if let known = cursors[cursor]?.contents.updateValue(delivered, forKey: key), known != delivered {
      report(.deliveryIsExact, "\(cursor): \(delivered.id) came with two contents")
    }
  }
}
