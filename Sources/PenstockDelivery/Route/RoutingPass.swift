import PenstockEvents
import PenstockLog

/// One pass over a log for several destinations: which events wait for which of them. A pure value, a part of
/// ``Routing``.
///
/// The pass reads each block once, at ``position``, and compares each record once with the filters of all *members*.
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
/// 2. A member that joins before ``position``, or a pass that is absorbed there, makes the pass go back. No member gets
///    an event twice.
/// 3. What waits, and what a member took last and has not finished, is bounded: the pass compares no record beyond it.
///    The caller reads no further while the pass is crowded, and then sends a member away.
struct RoutingPass: Sendable {
  typealias ID = Routing.MemberID
  typealias Piece = Routing.Piece

  private struct Member: Sendable {
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

    /// What waited is taken, up to this offset.
    mutating func began(at offset: Offset) {
      heldBytes = events.byteCount
      (events, begun) = (SelectedRecords(), nil)
      (taken, from) = (offset, offset)
    }

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

  /// So many bytes may wait for one member.
  private let mostBytesOfOne: Int
  /// The next record to compare.
  private(set) var position: Offset
  /// Whether it has been at the end of the log. Its members want each event at once.
  private(set) var isLive = false
  private var members: [ID: Member] = [:]
  /// Bytes that wait for members, or were taken and are not finished.
  private(set) var waitingBytes = 0
  private var lastAppendTime = Timestamp(nanoseconds: 0)
  /// Members of whom nothing was compared since they took.
  private var fresh: Set<ID> = []
  /// Members for whom too much waits.
  private var full: Set<ID> = []

  /// The filters of all members, each once, and who has each; nil after a change.
  private var index: (filters: FilterIndex, members: [[ID]])?
  private var matches = FilterMatches()

  init(at position: Offset, mostBytesOfOne: Int) {
    self.position = position
    self.mostBytesOfOne = mostBytesOfOne
  }

  var isEmpty: Bool { members.isEmpty }
  func isMember(_ id: ID) -> Bool { members[id] != nil }
  /// Whether something waits for a member.
  func hasNews(_ id: ID) -> Bool { members[id]?.hasNews == true }
  /// The members that do not know how far the router is.
  var unaware: [ID] { members.filter { $0.value.taken < position }.keys.sorted() }
  var count: Int { members.count }
  /// Whether too much waits for one member.
  var hasFullMember: Bool { !full.isEmpty }

  /// Returns whether that is the first time.
  mutating func reachedEnd() -> Bool {
    defer { isLive = true }
    return !isLive
  }

  /// Takes a member in. Goes back to where it is, when that is before ``position``.
  mutating func join(_ id: ID, _ filter: EventFilter, at offset: Offset) {
    goBack(to: offset)
    members[id] = Member(filter: filter, taken: offset, from: offset)
    fresh.insert(id)
    index = nil
  }

  /// Takes in the members of another pass, with what waits for them.
  mutating func absorb(_ other: RoutingPass) {
    var other = other
    other.goBack(to: position)
    goBack(to: other.position)
    members.merge(other.members) { mine, _ in mine }
    waitingBytes += other.waitingBytes
    fresh.formUnion(other.fresh)
    full.formUnion(other.full)
    index = nil
  }

  private mutating func goBack(to offset: Offset) {
    guard offset < position else { return }
    // The members have been compared up to here.
    for place in members.indices { members.values[place].from = max(members.values[place].from, position) }
    position = offset
  }

  mutating func leave(_ id: ID) {
    guard let member = members.removeValue(forKey: id) else { return }
    waitingBytes -= member.events.byteCount + member.heldBytes
    full.remove(id)
    fresh.remove(id)
    index = nil
  }

  /// The member that takes most memory.
  var fullest: ID? {
    members.max {
      ($0.value.events.byteCount + $0.value.heldBytes, $0.key)
        < ($1.value.events.byteCount + $1.value.heldBytes, $1.key)
    }?.key
  }

  /// All members.
  var ids: [ID] { members.keys.sorted() }

  /// Compares records, which begin at ``position``, with the filters of all members. Ends early, after the record with
  /// which too much waits: more than `mostBytes` for all, or too much for one. Returns the members for whom something
  /// waits now that nothing waited for. One pass over the records.
  mutating func compare(_ batch: Batch, mostBytes: Int) -> [ID] {
    precondition(batch.first == position, "the router skips no record")
    let (filters, owners) = indexed()
    begin(batch)
    var woken: [ID] = []
    var isCrowded = false
    batch.forEachRecord { record in
      guard !isCrowded else { return }
      lastAppendTime = record.appendTime
      filters.match(record.bytes, into: &matches)
      for number in matches.passed { for id in owners[number] { add(record, for: id, &woken) } }
      if matches.isMalformed { malformed(record, filters, owners, &woken) }
      position = record.offset + 1
      isCrowded = waitingBytes > mostBytes || hasFullMember
    }
    return woken
  }

  /// Notes where the members' next pieces begin in time. In time of the batch, for a member that begins inside of it.
  private mutating func begin(_ batch: Batch) {
    for id in fresh {
      guard let place = members.index(forKey: id), members.values[place].from < batch.end else { continue }
      members.values[place].begun = batch.firstAppendTime
      fresh.remove(id)
    }
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
    // One look-up, and no copy of the member: this runs for every event.
    guard let place = members.index(forKey: id) else { return }
    let hadNews = members.values[place].hasNews
    guard members.values[place].add(record) else { return }
    if !hadNews { woken.append(id) }
    waitingBytes += record.bytes.count
    if members.values[place].events.byteCount > mostBytesOfOne { full.insert(id) }
  }

  /// What waits for a member, and up to where everything was compared with its filter. Nil when the router has compared
  /// nothing more for it, and when it is no member.
  mutating func take(_ id: ID) -> Piece? {
    finish(id)
    guard let place = members.index(forKey: id) else { return nil }
    let member = members.values[place]
    let end = member.faultyAt ?? max(member.from, position)
    guard end > member.taken || member.faultyAt != nil else { return nil }
    full.remove(id)
    members.values[place].began(at: end)
    fresh.insert(id)
    return Piece(
      events: member.events, end: end, faultyAt: member.faultyAt, firstAppendTime: member.begun ?? lastAppendTime,
      lastAppendTime: lastAppendTime)
  }

  /// The member has counted what it took last into batches, or dropped it.
  mutating func finish(_ id: ID) {
    guard let place = members.index(forKey: id) else { return }
    waitingBytes -= members.values[place].heldBytes
    members.values[place].heldBytes = 0
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
