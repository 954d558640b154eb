/// What is done of an open batch whose events are sent one by one.
///
/// An event is *settled* when its destination has confirmed it, or when its dead letter is written. A *condemned* event
/// was rejected: it is never sent again, and its dead letter may be written. One event is condemned at a time, the
/// lowest that is not settled. So dead letters are written in the order of offsets, and each is durable in the cursor
/// before the next one is written.
public struct SettledEvents: Hashable, Sendable, Codable {
  /// An event that must not be sent again.
  public struct Condemned: Hashable, Sendable, Codable {
    /// Its number in the batch, from 0.
    public let event: Int
    /// Why; at most 256 bytes.
    public let reason: String
  }

  /// The number of events in the batch: 1 … ``maxEvents``.
  public let count: Int
  /// A bit for each event, from the lowest bit of the first byte on.
  private(set) var bits: [UInt8]
  /// The event whose dead letter is written next, or was written just before a crash.
  public private(set) var condemned: Condemned?

  /// 256 events: 32 bytes in a cursor's slot.
  public static let maxEvents = 256

  init(count: Int) {
    self.count = count
    bits = [UInt8](repeating: 0, count: (count + 7) / 8)
  }

  init(restoring count: Int, bits: [UInt8], condemned: Condemned?) {
    self.count = count
    self.bits = bits
    self.condemned = condemned
  }

  /// Whether an event is settled. O(1).
  public func contains(_ event: Int) -> Bool { bits[event / 8] & (1 << UInt8(event % 8)) != 0 }

  /// The number of settled events. O(count).
  public var settled: Int { bits.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// Whether every event is settled.
  public var isComplete: Bool { settled == count }

  /// The lowest event that is not settled; nil when all are.
  public var front: Int? { (0..<count).first { !contains($0) } }

  mutating func settle(_ event: Int) {
    bits[event / 8] |= 1 << UInt8(event % 8)
    if condemned?.event == event { condemned = nil }
  }

  mutating func condemn(_ event: Int, _ reason: String) { condemned = Condemned(event: event, reason: reason) }

  /// What is wrong with it; nil when it is valid.
  var violation: String? {
    guard (1...Self.maxEvents).contains(count), bits.count == (count + 7) / 8 else { return "\(count) events" }
    if count % 8 > 0, bits[count / 8] >> UInt8(count % 8) != 0 { return "an event past the last one is settled" }
    if let condemned, condemned.event != front { return "event \(condemned.event) is condemned and not the next one" }
    return nil
  }
}

/// A move of a batch whose events are sent one by one.
public enum EventMove: Hashable, Sendable {
  /// These events were confirmed. If the condemned event is among them, its dead letter is written. `receipt` is the
  /// newest answer.
  case settled([Int], receipt: String)
  /// This event was rejected and is not sent again. It must be the lowest that is not settled, in the oldest batch.
  case condemned(Int, reason: String)
}

extension CursorState {
  /// Stores what came of events of an open batch. When all its events are settled, the batch is done, and the cursor
  /// passes it once all earlier batches are done.
  public func settling(_ id: DeliveryID, _ move: EventMove, epoch: UInt32) throws(CursorMoveError) -> CursorState {
    try check(epoch)
    guard let index = inFlight.firstIndex(where: { $0.intent.id == id }) else {
      if let lost { throw .lost(lost) }
      throw .unknownIntent(id)
    }
    guard var events = inFlight[index].events, !inFlight[index].isDelivered else {
      throw .malformedIntent("delivery \(id) is done, or its events are not sent one by one")
    }
    var next = self
    switch move {
    case .settled(let numbers, let receipt):
      let isNew = Set(numbers).count == numbers.count && !numbers.isEmpty
      guard isNew, numbers.allSatisfy({ (0..<events.count).contains($0) && !events.contains($0) }) else {
        throw .malformedIntent("delivery \(id) cannot settle the events \(numbers)")
      }
      let hasLetter = events.condemned.map { numbers.contains($0.event) } ?? false
      if numbers.count > (hasLetter ? 1 : 0) { next.consecutiveDeadLetters = 0 }
      if hasLetter { next.consecutiveDeadLetters = min(next.consecutiveDeadLetters, .max - 1) + 1 }
      for number in numbers { events.settle(number) }
      next.lastReceipt = Self.shortened(receipt)
    case .condemned(let number, let reason):
      guard number == events.front, events.condemned == nil, inFlight[index].intent.first == committed else {
        throw .malformedIntent("event \(number) of delivery \(id) is not the next one")
      }
      events.condemn(number, Self.shortened(reason))
    }
    next.inFlight[index].events = events
    next.inFlight[index].isDelivered = events.isComplete
    next.commitDelivered()
    return next
  }
}

extension CursorState.OpenIntent {
  /// The same, as it is read back: its intent says that the events are sent one by one.
  func with(_ events: SettledEvents) -> Self {
    let intent = Intent(
      id: intent.id, first: intent.first, end: intent.end, contentDigest: intent.contentDigest, plan: intent.plan,
      createdAt: intent.createdAt, singleEvents: events.count)
    return Self(intent: intent, isDelivered: isDelivered, rejectionReason: rejectionReason, events: events)
  }
}
