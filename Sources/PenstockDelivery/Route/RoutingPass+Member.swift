import PenstockEvents
import PenstockLog

extension RoutingPass {
  /// A destination, and what waits for it.
  struct Member: Sendable {
    let id: ID
    let filter: EventFilter
    /// The end of what it took last.
    var taken: Offset
    /// The next offset to compare for it: after ``taken``, when the router has gone back since.
    var from: Offset
    var events = SelectedRecords()
    /// Bytes of what it took last, until it has finished that.
    var heldBytes = 0
    var faultyAt: Offset?
    /// When the log took the first record after ``taken``; nil before that is compared.
    var begun: Timestamp?
    /// The place of the pass when the member was last told; nil: it is to be told whatever it has taken.
    var told: Offset? = .zero

    /// Whether it does not know that the pass is here, and has not been told.
    func isUntold(_ position: Offset) -> Bool { told == nil || taken < position && told != position }

    /// What waited is taken, up to this offset.
    mutating func began(at offset: Offset) {
      heldBytes = events.byteCount
      (events, begun) = (SelectedRecords(), nil)
      (taken, from) = (offset, offset)
    }

    var hasNews: Bool { events.count > 0 || faultyAt != nil }

    /// Adds a record; nil when it is of no interest. Returns whether it is the first news, and the bytes that waited
    /// before and wait now. One access for each event: reading a property of a member in an array copies the member.
    mutating func add(_ record: RecordView) -> (isNews: Bool, before: Int, now: Int)? {
      guard record.offset >= from, faultyAt == nil else { return nil }
      let (isNews, before) = (!hasNews, events.byteCount)
      events.append(record, .all)
      return (isNews, before, events.byteCount)
    }

    /// Notes a fault; nil when it is of no interest. Returns whether it is the first news.
    mutating func fault(at offset: Offset) -> Bool? {
      guard offset >= from, faultyAt == nil else { return nil }
      defer { faultyAt = offset }
      return !hasNews
    }
  }
}
