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
/// A pass *catches up* until it has been at the end of the log, and is *live* from then on. A live pass calls a member
/// as soon as something waits for it. A pass that catches up calls it when enough waits, for each call has its price;
/// the others are called when the pass is crowded, and when it becomes live. From time to time a member is *told* how
/// far the pass is, also if nothing waits for it.
///
/// Invariants (an exhaustive test holds them against the plain filter)
/// 1. What a member takes are exactly the events that its filter passes, from where it joined or took last, up to the
///    end of the piece. Silence proves nothing: only that end does.
/// 2. A member that joins before ``position``, or a pass that is absorbed there, makes the pass go back. No member gets
///    an event twice.
/// 3. What waits, and what a member took last and has not finished, is bounded: the pass compares no record beyond it.
///    The caller reads no further while the pass is crowded, and then sends a member away.
/// 4. A member for whom something waits is called, or waits for a call: ``calls(all:)`` will name it.
struct RoutingPass: Sendable {
  typealias ID = Routing.MemberID
  typealias Piece = Routing.Piece

  private let limits: Routing.Limits
  /// The next record to compare.
  private(set) var position: Offset
  /// Whether it has been at the end of the log. Its members want each event at once.
  private(set) var isLive = false
  private var members: [Member] = []
  private var places: [ID: Int] = [:]
  /// The place of the member that was looked at last, to tell it.
  private var next = 0
  /// Bytes that wait for members, or were taken and are not finished.
  private(set) var waitingBytes = 0
  private var lastAppendTime = Timestamp(nanoseconds: 0)
  /// Members of whom nothing was compared since they took.
  private var fresh: Set<ID> = []
  /// Members for whom too much waits.
  private var full: Set<ID> = []
  /// Members that are to be called, now or later.
  private var uncalled: Set<ID> = []
  /// Those of them for whom enough waits, or a fault.
  private var urgent: Set<ID> = []

  /// The filters of all members, each once, and the places of those who have it; nil after a change.
  private var index: (filters: FilterIndex, owners: [[Int]])?
  private var matches = FilterMatches()

  init(at position: Offset, _ limits: Routing.Limits) {
    self.position = position
    self.limits = limits
  }

  var isEmpty: Bool { members.isEmpty }
  func isMember(_ id: ID) -> Bool { places[id] != nil }
  /// Whether something waits for a member.
  func hasNews(_ id: ID) -> Bool { places[id].map { members[$0].hasNews } == true }
  var count: Int { members.count }
  /// Whether too much waits for one member.
  var hasFullMember: Bool { !full.isEmpty }

  /// Returns whether that is the first time. Then all members are to be told: what they gather waits for no more.
  mutating func reachedEnd() -> Bool {
    guard !isLive else { return false }
    isLive = true
    for place in members.indices { members[place].told = nil }
    return true
  }

  /// Whether a member does not know how far the pass is, or that it is live, and has not been told. O(members).
  var hasUntold: Bool { members.contains { $0.isUntold(position) } }

  /// The next members to tell, after those that were looked at last. Looks at so many of them.
  mutating func tell(_ most: Int) -> [ID] {
    var named: [ID] = []
    for _ in 0..<min(most, members.count) {
      next = next + 1 < members.count ? next + 1 : 0
      guard members[next].isUntold(position) else { continue }
      members[next].told = position
      named.append(members[next].id)
    }
    return named
  }

  /// The members to call: all for whom something waits, where `all` is asked for or the pass is live; otherwise those
  /// for whom enough waits. Each is named once until it has taken.
  mutating func calls(all: Bool) -> [ID] {
    let called = all || isLive ? uncalled : urgent
    uncalled.subtract(called)
    urgent.removeAll()
    return called.sorted()
  }

  /// Takes a member in. Goes back to where it is, when that is before ``position``.
  mutating func join(_ id: ID, _ filter: EventFilter, at offset: Offset) {
    goBack(to: offset)
    enter(Member(id: id, filter: filter, taken: offset, from: offset))
    fresh.insert(id)
  }

  private mutating func enter(_ member: Member) {
    places[member.id] = members.count
    members.append(member)
    index = nil
  }

  /// Takes in the members of another pass, with what waits for them.
  mutating func absorb(_ other: RoutingPass) {
    var other = other
    other.goBack(to: position)
    goBack(to: other.position)
    for var member in other.members {
      if isLive, !other.isLive { member.told = nil }
      enter(member)
    }
    waitingBytes += other.waitingBytes
    fresh.formUnion(other.fresh)
    full.formUnion(other.full)
    uncalled.formUnion(other.uncalled)
    urgent.formUnion(other.urgent)
  }

  private mutating func goBack(to offset: Offset) {
    guard offset < position else { return }
    // The members have been compared up to here.
    for place in members.indices { members[place].from = max(members[place].from, position) }
    position = offset
  }

  mutating func leave(_ id: ID) {
    guard let place = places.removeValue(forKey: id) else { return }
    waitingBytes -= members[place].events.byteCount + members[place].heldBytes
    members.swapAt(place, members.count - 1)
    members.removeLast()
    if place < members.count { places[members[place].id] = place }
    fresh.remove(id)
    forgetCall(id)
    index = nil
  }

  /// Nothing waits for it any more.
  private mutating func forgetCall(_ id: ID) {
    full.remove(id)
    uncalled.remove(id)
    urgent.remove(id)
  }

  /// The member that takes most memory.
  var fullest: ID? {
    members.max {
      ($0.events.byteCount + $0.heldBytes, $0.id) < ($1.events.byteCount + $1.heldBytes, $1.id)
    }?.id
  }

  /// All members.
  var ids: [ID] { places.keys.sorted() }

  /// Compares records, which begin at ``position``, with the filters of all members. Ends early, after the record with
  /// which too much waits: more than `mostBytes` for all, or too much for one. One pass over the records.
  mutating func compare(_ batch: Batch, mostBytes: Int) {
    precondition(batch.first == position, "the router skips no record")
    let (filters, owners) = indexed()
    begin(batch)
    var isCrowded = false
    batch.forEachRecord { record in
      guard !isCrowded else { return }
      lastAppendTime = record.appendTime
      filters.match(record.bytes, into: &matches)
      for number in matches.passed { for place in owners[number] { add(record, at: place) } }
      if matches.isMalformed { malformed(record, filters, owners) }
      position = record.offset + 1
      isCrowded = waitingBytes > mostBytes || hasFullMember
    }
  }

  /// Notes where the members' next pieces begin in time. In time of the batch, for a member that begins inside of it.
  private mutating func begin(_ batch: Batch) {
    for id in fresh {
      guard let place = places[id], members[place].from < batch.end else { continue }
      members[place].begun = batch.firstAppendTime
      fresh.remove(id)
    }
  }

  private mutating func malformed(_ record: RecordView, _ filters: FilterIndex, _ owners: [[Int]]) {
    for (number, filter) in filters.filters.enumerated() where !filter.passesEverything {
      switch filter.malformed {
      case .drop: break
      case .pass: for place in owners[number] { add(record, at: place) }
      case .halt:
        for place in owners[number] {
          guard let isNews = members[place].fault(at: record.offset) else { continue }
          call(members[place].id, isNew: isNews, isUrgent: true)
        }
      }
    }
  }

  /// In place, and without a look-up: this runs for every event.
  private mutating func add(_ record: RecordView, at place: Int) {
    guard let change = members[place].add(record) else { return }
    waitingBytes += change.now - change.before
    let isUrgent = change.before < limits.enoughBytes && change.now >= limits.enoughBytes
    let isTooMuch = change.now > limits.mostBytesOfOne
    guard change.isNews || isUrgent || isTooMuch else { return }
    let id = members[place].id
    if isTooMuch { full.insert(id) }
    call(id, isNew: change.isNews, isUrgent: isUrgent)
  }

  /// Who was called before knows of the news before.
  private mutating func call(_ id: ID, isNew: Bool, isUrgent: Bool) {
    if isNew { uncalled.insert(id) }
    if isUrgent, uncalled.contains(id) { urgent.insert(id) }
  }

  /// What waits for a member, and up to where everything was compared with its filter. Nil when the router has compared
  /// nothing more for it, and when it is no member.
  mutating func take(_ id: ID) -> Piece? {
    finish(id)
    guard let place = places[id] else { return nil }
    forgetCall(id)
    let member = members[place]
    let end = member.faultyAt ?? max(member.from, position)
    guard end > member.taken || member.faultyAt != nil else { return nil }
    members[place].began(at: end)
    fresh.insert(id)
    return Piece(
      events: member.events, end: end, faultyAt: member.faultyAt, firstAppendTime: member.begun ?? lastAppendTime,
      lastAppendTime: lastAppendTime)
  }

  /// The member has counted what it took last into batches, or dropped it.
  mutating func finish(_ id: ID) {
    guard let place = places[id] else { return }
    waitingBytes -= members[place].heldBytes
    members[place].heldBytes = 0
  }

  private mutating func indexed() -> (FilterIndex, [[Int]]) {
    if let index { return index }
    var numbers: [EventFilter: Int] = [:]
    var (filters, owners): ([EventFilter], [[Int]]) = ([], [])
    for place in members.indices {
      let filter = members[place].filter
      if let number = numbers[filter] {
        owners[number].append(place)
      } else {
        numbers[filter] = filters.count
        filters.append(filter)
        owners.append([place])
      }
    }
    let made = (FilterIndex(filters), owners)
    index = made
    return made
  }
}
