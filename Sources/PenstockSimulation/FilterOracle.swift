import PenstockLog
import PenstockTestKit

/// What happens in a simulation: what a ``HistoryChecker`` sees, and what only the ``FilterOracle`` does.
enum SimulationEvent: Sendable {
  case history(History.Event)
  /// A delivery of this cursor begins, which wants these events: a place in `WantedEvents.all`.
  case wanting(cursor: String, Int)
  /// An attempt begins, with the records that its plan wants.
  case sent(cursor: String, History.Delivered, wanted: Int, records: [UInt64])
  /// A delivery says that it has delivered everything below.
  case caughtUp(cursor: String, upTo: Offset)
  /// An operator moves the cursor.
  case seeking(cursor: String, to: Offset)
}

extension EventRecorder<SimulationEvent> {
  func note(_ event: History.Event) { note(.history(event)) }
}

/// Holds what destinations get, and what their cursors pass, against what they want. A value, for several outcomes of
/// one crash.
///
/// 1. A batch holds the records of its range that its plan wants, in order, and no other.
/// 2. A record arrives under one id. Batches of a destination with one in flight arrive in order.
/// 3. A durable position passes a record that is wanted only when the record has arrived, is a dead letter, or was lost
///    to retention. Wanted: by the plan of its batch or, outside of a batch, by what the destination wants now.
/// 4. Who says that it has caught up has a durable position that says so.
///
/// After a seek, what arrived before may arrive again.
struct FilterOracle {
  typealias Look = (Offset) -> (digest: UInt64, traits: EventTraits)?

  private struct Sent {
    var range: Range<Offset>
    var records: [UInt64]
    var era: Int
  }

  private struct Destination {
    var isInOrder: Bool
    var wanted: WantedEvents?
    var state: CursorState?
    /// Where the newest completed move has put it. What a process finds may be in memory only, and gone after a power
    /// cut: then it is there again, and has passed nothing.
    var durable: Offset?
    var sent: [DeliveryID: Sent] = [:]
    var received: Set<DeliveryID> = []
    var arrived: [UInt64: (id: DeliveryID, era: Int)] = [:]
    var deadLettered: Set<Offset> = []
    /// One past the last record of what arrived.
    var front = Offset.zero
    var era = 0
    var sought: Offset?
  }

  private var destinations: [String: Destination] = [:]

  /// - Parameter cursors: Those of its destinations, and whether one has one batch in flight at most.
  init(_ cursors: [(name: String, isInOrder: Bool)]) {
    for cursor in cursors { destinations[cursor.name] = Destination(isInOrder: cursor.isInOrder) }
  }

  /// Adds the next event. Returns what it breaks.
  mutating func note(_ event: SimulationEvent, _ look: Look) -> [String] {
    switch event {
    case .history(.cursorFound(let name, let state)): moved(name, to: state, look)
    case .history(.cursorMoved(let name, let state)):
      moved(name, to: state, look) + change(name) { $0.durable = state?.committed }
    case .history(.received(let name, let batch)): received(name, batch)
    case .history(.deadLettered(let name, let offset)): deadLettered(name, offset, look)
    case .history: []
    case .wanting(let name, let wanted):
      change(name) {
        $0.wanted = WantedEvents.all[wanted]
        $0.sought = nil
      }
    case .sent(let name, let batch, let wanted, let records):
      sent(name, batch, WantedEvents.all[wanted], records, look)
    case .caughtUp(let name, let end): caughtUp(name, end)
    case .seeking(let name, let offset):
      change(name) {
        $0.sought = offset
        $0.era += 1
        $0.front = .zero
      }
    }
  }

  private mutating func change(_ name: String, _ change: (inout Destination) -> Void) -> [String] {
    if let place = destinations.index(forKey: name) { change(&destinations.values[place]) }
    return []
  }

  private mutating func sent(
    _ name: String, _ batch: History.Delivered, _ wanted: WantedEvents, _ records: [UInt64], _ look: Look
  ) -> [String] {
    guard let place = destinations.index(forKey: name) else { return [] }
    destinations.values[place].sent[batch.id] = Sent(
      range: batch.range, records: records, era: destinations.values[place].era)
    var expected: [UInt64] = []
    for number in batch.range.lowerBound.rawValue..<batch.range.upperBound.rawValue {
      guard let record = look(Offset(number)) else { return ["\(name) is sent record \(number), which is not there"] }
      switch wanted.answer(record.traits) {
      case .wanted: expected.append(record.digest)
      case .left: break
      case .faulty: return ["\(name) is sent record \(number), at which it has to halt"]
      }
    }
    if expected == records { return [] }
    return [
      "\(name) is sent \(records.count) records of \(batch.range), and wants \(expected.count); "
        + "\(Set(expected).subtracting(records).count) are missing"
    ]
  }

  private mutating func received(_ name: String, _ batch: History.Delivered) -> [String] {
    guard let place = destinations.index(forKey: name) else { return [] }
    guard let sent = destinations.values[place].sent[batch.id] else { return ["\(name) gets what was never sent"] }
    var found: [String] = []
    let isNew = destinations.values[place].received.insert(batch.id).inserted
    // What a network carries late comes when its intent is not open any more.
    let isOpen = destinations.values[place].state?.inFlight.contains { $0.intent.id == batch.id } == true
    if isNew, isOpen, destinations.values[place].isInOrder, sent.era == destinations.values[place].era {
      if sent.range.lowerBound < destinations.values[place].front {
        found.append("\(name) gets \(sent.range) after \(destinations.values[place].front)")
      }
      destinations.values[place].front = sent.range.upperBound
    }
    for record in sent.records {
      if let known = destinations.values[place].arrived[record], known.era == sent.era, known.id != batch.id {
        found.append("\(name) gets a record in \(known.id) and in \(batch.id)")
      }
      destinations.values[place].arrived[record] = (batch.id, sent.era)
    }
    return found
  }

  private mutating func deadLettered(_ name: String, _ offset: Offset, _ look: Look) -> [String] {
    guard let place = destinations.index(forKey: name) else { return [] }
    destinations.values[place].deadLettered.insert(offset)
    if let traits = look(offset)?.traits, traits.isRejected || traits.isMalformed { return [] }
    return ["\(name) gives up record \(offset), which its destination does not reject"]
  }

  private func caughtUp(_ name: String, _ end: Offset) -> [String] {
    guard let destination = destinations[name] else { return [] }
    if let state = destination.state, state.committed >= end { return [] }
    return ["\(name) says that it is at \(end), and stands at \(destination.state.map { "\($0.committed)" } ?? "-")"]
  }

  private mutating func moved(_ name: String, to after: CursorState?, _ look: Look) -> [String] {
    guard let place = destinations.index(forKey: name) else { return [] }
    let before = destinations.values[place].state
    destinations.values[place].state = after
    guard let before, let after, after.committed > before.committed else { return [] }
    let destination = destinations.values[place]
    if destination.sought == after.committed { return [] }
    let judged = max(before.committed, min(destination.durable ?? before.committed, after.committed))
    for number in judged.rawValue..<after.committed.rawValue {
      let offset = Offset(number)
      if after.lost?.contains(offset) == true || before.lost?.contains(offset) == true { continue }
      guard let record = look(offset) else { continue }
      if destination.deadLettered.contains(offset) { continue }
      let open = before.inFlight.first { $0.intent.first <= offset && offset < $0.intent.end }
      let wanted = open.map { $0.intent.plan.first.map { WantedEvents.all[Int($0)] } } ?? destination.wanted
      guard let wanted, open?.rejectionReason == nil else {
        return ["\(name) passes record \(offset), which should be a dead letter, or which it has no filter for"]
      }
      switch wanted.answer(record.traits) {
      case .left: break
      case .faulty: return ["\(name) passes record \(offset), at which it has to halt"]
      case .wanted:
        let isThere = open.map { destination.received.contains($0.intent.id) } ?? false
        if !isThere {
          return ["\(name) passes record \(offset), which it wants and has not got (\(open == nil ? "no " : "")batch)"]
        }
      }
    }
    return []
  }
}
