package import PenstockEvents
package import PenstockLog

/// Which events of a log wait for which of many destinations, over a few passes over the log. A pure value:
/// ``EventRouter`` reads the log and wakes the destinations.
///
/// Destinations that are near each other share a pass. One that is far from the others begins a pass of its own, so
/// that none waits for it. When two passes meet, they become one:
/// ```
/// join      near a pass, or less near to one that catches up → into that pass, which goes back if it has to
///           otherwise → a new pass, as long as there are fewer than mostPasses
///           otherwise → none: the destination reads the log for itself
/// compare   a pass moves on, and absorbs a pass that is near now
/// leave     the last member of a pass ends it
/// ```
/// A pass that has been at the end of the log is *live*: it goes back at most ``near`` records, because its members
/// want new events at once.
///
/// Invariants (the exhaustive test of ``RoutingPass``' invariants walks this table)
/// 1. A member is in exactly one pass, and a pass has a member.
/// 2. There are at most `mostPasses` passes.
package struct Routing: Sendable {
  package typealias MemberID = Int
  package typealias PassID = Int

  /// What a member takes.
  package struct Piece: Sendable {
    package let events: SelectedRecords
    /// Everything before this offset was compared with the member's filter.
    package let end: Offset
    /// The first record that the member's filter calls malformed and does not pass over. The member has left then, and
    /// reads on for itself.
    package let faultyAt: Offset?
    /// When the log took the first record of the piece, or at most one read earlier.
    package let firstAppendTime: Timestamp
    /// When the log took the last record that was compared.
    package let lastAppendTime: Timestamp
  }

  /// Bounds of the table.
  package struct Limits: Hashable, Sendable {
    /// So many passes at once.
    package var mostPasses = 4
    /// So many records around a live pass belong to it.
    package var near = 8_192
    /// So many records around a pass that catches up belong to it.
    package var nearCatchingUp = 262_144
    /// So many bytes of events may wait for all members together, or be taken and not finished; each pass gets an equal
    /// part. One record more can wait for each member.
    package var mostBytes = 32 << 20
    /// So many bytes of events may wait for one member, besides what it took last. One record more can wait.
    package var mostBytesOfOne = 4 << 20
    /// A pass that catches up calls a member when so many bytes of events wait for it.
    package var enoughBytes = 256 << 10
    /// A pass with more members tells them in turn, so many at once.
    package var many = 500

    package init() {}
  }

  package let limits: Limits
  private var passes: [PassID: RoutingPass] = [:]
  private var passOf: [MemberID: PassID] = [:]
  private var (lastMember, lastPass) = (0, 0)

  package init(_ limits: Limits = Limits()) { self.limits = limits }

  /// The passes, oldest first.
  package var passIDs: [PassID] { passes.keys.sorted() }
  package var memberCount: Int { passOf.count }
  package var waitingBytes: Int { passes.values.reduce(0) { $0 + $1.waitingBytes } }
  package func isMember(_ id: MemberID) -> Bool { passOf[id] != nil }
  package func pass(of id: MemberID) -> PassID? { passOf[id] }
  /// Whether something waits for a member.
  package func hasNews(_ id: MemberID) -> Bool { passOf[id].flatMap { passes[$0] }?.hasNews(id) == true }
  /// The next record of a pass; nil when the pass has ended.
  package func position(_ pass: PassID) -> Offset? { passes[pass]?.position }
  /// The next record of each pass.
  package var positions: [PassID: Offset] { passes.mapValues(\.position) }
  /// Whether the pass has been at the end of the log.
  package func isLive(_ pass: PassID) -> Bool { passes[pass]?.isLive == true }
  /// Whether a pass has more than ``Limits/many`` members.
  package func isLarge(_ pass: PassID) -> Bool { (passes[pass]?.count ?? 0) > limits.many }
  /// Whether a member of a pass is to be told how far it is.
  package func hasUntold(_ pass: PassID) -> Bool { passes[pass]?.hasUntold == true }

  /// The members of a pass to tell now how far it is: those that do not know, of the next ``Limits/many`` members or,
  /// if that is more, of the next twentieth. A member learns each place of the pass once.
  package mutating func tell(_ pass: PassID) -> [MemberID] {
    let most = max(limits.many, (passes[pass]?.count ?? 0) / 20)
    return passes[pass]?.tell(most) ?? []
  }

  /// Whether a pass must not read on before a member takes or is sent away.
  package func isCrowded(_ pass: PassID) -> Bool {
    guard let pass = passes[pass] else { return false }
    return pass.hasFullMember || pass.waitingBytes > mostBytesOfPass
  }

  /// Whether a crowded pass may read on: at half of its bound, or it would soon be crowded again.
  package func isRoomy(_ pass: PassID) -> Bool {
    guard let pass = passes[pass] else { return false }
    return !pass.hasFullMember && pass.waitingBytes <= mostBytesOfPass / 2
  }

  private var mostBytesOfPass: Int { limits.mostBytes / max(1, passes.count) }
  /// Bytes that wait for the members of a pass, or were taken and are not finished.
  package func waitingBytes(of pass: PassID) -> Int { passes[pass]?.waitingBytes ?? 0 }

  /// A new member that begins at an offset. Nil when no pass is near and there are too many.
  package mutating func join(_ filter: EventFilter, at offset: Offset) -> MemberID? {
    guard let pass = nearest(to: offset) ?? newPass(at: offset) else { return nil }
    lastMember += 1
    passes[pass]?.join(lastMember, filter, at: offset)
    passOf[lastMember] = pass
    return lastMember
  }

  private func nearest(to offset: Offset) -> PassID? {
    passes.filter { Self.distance($0.value.position, offset) <= reach(of: $0.value) }
      .min { (Self.distance($0.value.position, offset), $0.key) < (Self.distance($1.value.position, offset), $1.key) }?
      .key
  }

  private func reach(of pass: RoutingPass) -> Int { pass.isLive ? limits.near : limits.nearCatchingUp }

  private static func distance(_ one: Offset, _ other: Offset) -> Int { abs(one - other) }

  private mutating func newPass(at offset: Offset) -> PassID? {
    guard passes.count < limits.mostPasses else { return nil }
    lastPass += 1
    passes[lastPass] = RoutingPass(at: offset, limits)
    return lastPass
  }

  /// A member reads for itself from now on. What waits for it is dropped.
  package mutating func leave(_ id: MemberID) {
    guard let pass = passOf.removeValue(forKey: id) else { return }
    passes[pass]?.leave(id)
    if passes[pass]?.isEmpty == true { passes[pass] = nil }
  }

  /// Compares records, which begin at the position of the pass, with the filters of all its members. Ends early when
  /// the pass is crowded. One pass over the records.
  package mutating func compare(_ batch: Batch, _ pass: PassID) {
    let mostBytes = mostBytesOfPass
    passes[pass]?.compare(batch, mostBytes: mostBytes)
  }

  /// The members of a pass to call now. A live pass calls each for whom something waits, and so does any pass where
  /// `all` is asked for. A pass that catches up calls those for whom enough waits.
  package mutating func calls(_ pass: PassID, all: Bool = false) -> [MemberID] {
    passes[pass]?.calls(all: all) ?? []
  }

  /// The pass has read everything that is there. Returns whether that is the first time; then all its members are to
  /// be told.
  package mutating func reachedEnd(_ pass: PassID) -> Bool { passes[pass]?.reachedEnd() == true }

  /// A pass absorbs those that are near it. Returns what it absorbed.
  package mutating func merge(into pass: PassID) -> [PassID] {
    guard let position = passes[pass]?.position else { return [] }
    let absorbed = passes.filter { $0.key != pass && Self.distance($0.value.position, position) <= limits.near }
    for (id, other) in absorbed.sorted(by: { $0.key < $1.key }) {
      passes[pass]?.absorb(other)
      passes[id] = nil
      for member in other.ids { passOf[member] = pass }
    }
    return absorbed.keys.sorted()
  }

  /// What waits for a member, and up to where everything was compared with its filter. Nil when nothing more was
  /// compared for it, and when it is no member.
  package mutating func take(_ id: MemberID) -> Piece? {
    guard let pass = passOf[id], let piece = passes[pass]?.take(id) else { return nil }
    if piece.faultyAt != nil { leave(id) }
    return piece
  }

  /// The member has counted what it took last into batches, or dropped it.
  package mutating func finish(_ id: MemberID) {
    if let pass = passOf[id] { passes[pass]?.finish(id) }
  }

  /// Sends the member of a pass away that takes most memory, and returns it.
  package mutating func sendFullestAway(_ pass: PassID) -> MemberID? {
    guard let id = passes[pass]?.fullest else { return nil }
    leave(id)
    return id
  }

  /// Sends all members of a pass away: the log has a gap there, or cannot be read.
  package mutating func sendAllAway(_ pass: PassID) -> [MemberID] {
    let ids = passes.removeValue(forKey: pass)?.ids ?? []
    for id in ids { passOf[id] = nil }
    return ids
  }
}
