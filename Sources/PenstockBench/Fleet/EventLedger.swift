import PenstockToolSupport

/// Which events have arrived at which destination. A bench that measured lost or doubled work would measure nothing.
struct EventLedger: Sendable {
  private let events: AppEvents
  private let destinations: Int
  /// How often each event has arrived.
  private var counts: [UInt8]
  private(set) var arrived = 0
  private(set) var requests = 0
  /// Of the events that carry a moment: seconds from then to the answer.
  private(set) var waits: [Double] = []
  /// The first thing that was wrong.
  private var complaint: String?

  init(_ events: AppEvents, count: Int, destinations: Int) {
    self.events = events
    self.destinations = destinations
    counts = [UInt8](repeating: 0, count: count)
  }

  /// A request that is answered now.
  mutating func note(_ marks: [EventMark], at destination: Int?, now: UInt64) {
    requests += 1
    for mark in marks {
      guard counts.indices.contains(mark.number) else {
        complain("event \(mark.number), which was not appended, has arrived")
        continue
      }
      if destination != events.destination(of: mark.number, among: destinations) {
        complain("event \(mark.number) has arrived at destination \(destination ?? -1), which does not want it")
      }
      if counts[mark.number] > 0 { complain("event \(mark.number) has arrived twice") }
      counts[mark.number] = 1
      arrived += 1
      if mark.moment > 0 { waits.append(now > mark.moment ? Double(now - mark.moment) / 1e9 : 0) }
    }
  }

  private mutating func complain(_ words: String) { complaint = complaint ?? words }

  /// Throws unless each event has arrived once, at the destination that wants it.
  func check() throws(Failure) {
    if let complaint { throw Failure(.bad, "bench", complaint) }
    let missing = counts.indices.filter { counts[$0] == 0 }
    if let first = missing.first {
      throw Failure(.bad, "bench", "\(missing.count) of \(counts.count) events have not arrived, the first is \(first)")
    }
  }
}
