package import PenstockEvents
package import PenstockLog

/// Which events of a log wait for which of many destinations. A pure value: ``EventRouter`` reads the log and wakes the
/// destinations.
///
/// The router reads each block once, at ``position``, and compares each record once with the filters of all *members*.
/// A member is a destination that takes its events from here:
/// ```
/// outside   it reads the log for itself                    join, at its own position → member
/// member    its events wait here, in order                 take → what waits, and up to where all were compared
///                                                          leave, gap, sent away → outside; what waits is dropped
/// ```
///
/// Invariants (an exhaustive test holds them against the plain filter)
/// 1. What a member takes are exactly the events that its filter passes, from where it joined or took last, up to the
///    end of the piece. Silence proves nothing: only that end does.
/// 2. A member that joins before ``position`` makes the router go back, at most ``farthestBack`` records. No member
///    gets an event twice.
/// 3. What waits is bounded: the caller reads no further while the table is ``isCrowded``, and then sends a member
///    away.
package struct Routing: Sendable {
  package typealias ID = Int

  /// What a member takes.
  package struct Piece: Sendable {
    package let events: SelectedRecords
    /// Everything before this offset was compared with the member's filter.
    package let end: Offset
    /// The first record that the member's filter calls malformed and does not pass over. The member has left then, and
    /// reads on for itself.
    package let faultyAt: Offset?
    /// When the log took the last record before ``end``.
    package let lastAppendTime: Timestamp
  }

  private struct Member: Sendable {
    let filter: EventFilter
    /// The end of what it took last.
    var taken: Offset
    /// The next offset to compare for it: after ``taken``, when the router has gone back since.
    var from: Offset
    var events = SelectedRecords()
    var faultyAt: Offset?

    var hasNews: Bool { events.count > 0 || faultyAt != nil }

    /// Whether the record was of interest. In place: what waits is not copied.
    mutating func add(_ record: RecordView) -> Bool {
      guard record.offset >= from, faultyAt == nil else { return false }
      events.append(record, .all)
      return true
    }

    mutating func fault(at offset: Offset) -> Bool {
      guard offset >= from, faultyAt == nil else { return false }
      faultyAt = offset
      return true
    }
  }

  /// A member may join so many records before ``position``.
  package static let farthestBack = 262_144
  /// So many bytes may wait for all members together, and for one.
  package let mostBytes: Int
  package let mostBytesOfOne: Int

  /// The next record to compare.
  package private(set) var position: Offset
  private var members: [ID: Member] = [:]
  private var lastID: ID = 0
  package private(set) var waitingBytes = 0
  private var lastAppendTime = Timestamp(nanoseconds: 0)
  /// Members for whom too much waits.
  private var full: Set<ID> = []

  /// The filters of all members, each once, and who has each; nil after a change.
  private var index: (filters: FilterIndex, members: [[ID]])?
  private var matches = FilterMatches()

  package init(at position: Offset = .zero, mostBytes: Int = 32 << 20, mostBytesOfOne: Int = 4 << 20) {
    self.position = position
    self.mostBytes = mostBytes
    self.mostBytesOfOne = mostBytesOfOne
  }

  package var isEmpty: Bool { members.isEmpty }
  package func isMember(_ id: ID) -> Bool { members[id] != nil }
  /// Whether something waits for a member.
  package func hasNews(_ id: ID) -> Bool { members[id]?.hasNews == true }
  /// The members that do not know how far the router is.
  package var unaware: [ID] { members.filter { $0.value.taken < position }.keys.sorted() }
  package var count: Int { members.count }
  /// Whether the router must not read on before a member takes or is sent away.
  package var isCrowded: Bool { waitingBytes > mostBytes || !full.isEmpty }

  /// Whether a member may join at its position. An empty router goes anywhere.
  package func mayJoin(at offset: Offset) -> Bool {
    members.isEmpty || offset >= position || position - offset <= Self.farthestBack
  }

  /// Nil when it is too far back.
  package mutating func join(_ filter: EventFilter, at offset: Offset) -> ID? {
    guard mayJoin(at: offset) else { return nil }
    if members.isEmpty || offset < position {
      // The others have been compared up to here.
      for (id, member) in members { members[id]?.from = max(member.from, position) }
      position = offset
    }
    lastID += 1
    members[lastID] = Member(filter: filter, taken: offset, from: offset)
    index = nil
    return lastID
  }

  package mutating func leave(_ id: ID) {
    guard let member = members.removeValue(forKey: id) else { return }
    waitingBytes -= member.events.byteCount
    full.remove(id)
    index = nil
  }

  /// Sends the member away for whom most waits, and returns it.
  package mutating func sendFullestAway() -> ID? {
    let fullest = members.max { ($0.value.events.byteCount, $0.key) < ($1.value.events.byteCount, $1.key) }?.key
    if let fullest { leave(fullest) }
    return fullest
  }

  /// Sends all members away: the log has a gap at ``position``, or cannot be read.
  package mutating func sendAllAway() -> [ID] {
    defer { (members, waitingBytes, full, index) = ([:], 0, [], nil) }
    return members.keys.sorted()
  }

  /// Compares records, which begin at ``position``, with the filters of all members. Returns the members for whom
  /// something waits now that nothing waited for. One pass over the records.
  package mutating func compare(_ batch: Batch) -> [ID] {
    precondition(batch.first == position, "the router skips no record")
    let (filters, owners) = indexed()
    var woken: [ID] = []
    batch.forEachRecord { record in
      lastAppendTime = record.appendTime
      filters.match(record.bytes, into: &matches)
      for number in matches.passed { for id in owners[number] { add(record, for: id, &woken) } }
      if matches.isMalformed { malformed(record, filters, owners, &woken) }
    }
    position = batch.end
    return woken
  }

  private mutating func malformed(
    _ record: RecordView, _ filters: FilterIndex, _ owners: [[ID]], _ woken: inout [ID]
  ) {
    for (number, filter) in filters.filters.enumerated() where !filter.passesEverything {
      switch filter.malformed {
      case .drop: break
      case .pass: for id in owners[number] { add(record, for: id, &woken) }
      case .halt:
        for id in owners[number] {
          let hadNews = members[id]?.hasNews == true
          if members[id]?.fault(at: record.offset) == true, !hadNews { woken.append(id) }
        }
      }
    }
  }

  private mutating func add(_ record: RecordView, for id: ID, _ woken: inout [ID]) {
    let hadNews = members[id]?.hasNews == true
    guard members[id]?.add(record) == true else { return }
    if !hadNews { woken.append(id) }
    waitingBytes += record.bytes.count
    if members[id].map({ $0.events.byteCount > mostBytesOfOne }) == true { full.insert(id) }
  }

  /// What waits for a member, and up to where everything was compared with its filter. Nil when the router has compared
  /// nothing more for it, and when it is no member.
  package mutating func take(_ id: ID) -> Piece? {
    guard let member = members[id] else { return nil }
    let end = member.faultyAt ?? max(member.from, position)
    guard end > member.taken || member.faultyAt != nil else { return nil }
    waitingBytes -= member.events.byteCount
    full.remove(id)
    members[id]?.events = SelectedRecords()
    members[id]?.taken = end
    members[id]?.from = end
    if member.faultyAt != nil { leave(id) }
    return Piece(
      events: member.events, end: end, faultyAt: member.faultyAt,
      lastAppendTime: member.events.lastAppendTime ?? lastAppendTime)
  }

  private mutating func indexed() -> (FilterIndex, [[ID]]) {
    if let index { return (index.filters, index.members) }
    var numbers: [EventFilter: Int] = [:]
    var (filters, owners): ([EventFilter], [[ID]]) = ([], [])
    for (id, filter) in members.map({ ($0.key, $0.value.filter) }).sorted(by: { $0.0 < $1.0 }) {
      if let number = numbers[filter] {
        owners[number].append(id)
      } else {
        numbers[filter] = filters.count
        filters.append(filter)
        owners.append([id])
      }
    }
    let made = FilterIndex(filters)
    index = (made, owners)
    return (made, owners)
  }
}
