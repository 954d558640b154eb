import Foundation
import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Testing

/// Walks of a router's table, held against the plain filter of each member.
@Suite("Which events wait for whom") struct RoutingTests {
  /// Ten records: three apps, and one that is no event.
  static let records: [String] = (0..<10).map { $0 == 6 ? "no JSON" : event($0, of: "app \([1, 2, 1, 3, 2][$0 % 5])") }

  static let longest = records.reduce(0) { max($0, $1.utf8.count) }

  private enum Step: CustomStringConvertible {
    case join(Int, at: Int)
    case leave(Int)
    /// So many records, by the pass of this number.
    case compare(Int, by: Int)
    case take(Int)
    case finish(Int)
    /// So many at once, as far as they do not know.
    case tell(Int)
    case sendFullestAway

    var description: String {
      switch self {
      case .join(let filter, let offset): "join with \(filter) at \(offset)"
      case .leave(let member): "leave \(member)"
      case .compare(let count, let pass): "compare \(count) by \(pass)"
      case .take(let member): "take \(member)"
      case .finish(let member): "finish \(member)"
      case .tell(let pass): "tell \(pass)"
      case .sendFullestAway: "send away"
      }
    }
  }

  /// The table, and what each member may expect.
  private struct World {
    var routing: Routing
    /// `reached`: the farthest its pass has been since the member took last.
    /// `held`: bytes of what it took last and has not finished.
    var members: [(id: Routing.MemberID, filter: EventFilter, from: Int, reached: Int, held: Int)] = []
    /// The events that everybody took, to see that the walk goes anywhere.
    var taken = 0
    var faults = 0
    var merges = 0
    /// Who was called and has not taken since.
    var called: Set<Routing.MemberID> = []
    /// Where each learned last that the pass is.
    var told: [Routing.MemberID: Int] = [:]
    /// Who was in a pass that is live now before it was, and has to learn that.
    var unaware: Set<Routing.MemberID> = []
    /// Members of a pass that caught up, when something waited for them and they were not called.
    var quiet = 0
    /// Passes are near each other at `near` records.
    init(near: Int) {
      var limits = Routing.Limits()
      (limits.mostPasses, limits.near, limits.nearCatchingUp) = (2, near, near + 2)
      (limits.mostBytes, limits.mostBytesOfOne, limits.enoughBytes, limits.many) = (120, 60, 30, 2)
      routing = Routing(limits)
    }

    func pass(_ number: Int) -> Routing.PassID? {
      let passes = routing.passIDs
      return passes.isEmpty ? nil : passes[number % passes.count]
    }

    func position(_ pass: Routing.PassID) -> Int? { routing.position(pass).map { Int($0.rawValue) } }
  }

  private static func filters() throws -> [EventFilter] {
    var any = EventFilter.Terms()
    any.events = ["*"]
    var not = EventFilter.Terms()
    not.appIDs = ["app 1"]
    return [
      try only("app 1").filter, try only("app 2", malformed: .pass).filter, try only("app 1", malformed: .halt).filter,
      try EventFilter(excluding: not), try EventFilter(including: any),
    ]
  }

  private let source: InMemorySource
  private let filters: [EventFilter]

  init() throws {
    source = InMemorySource()
    source.append(Self.records.map { Array($0.utf8) })
    filters = try Self.filters()
  }

  /// The offsets that a filter wants of a range, and where it has to stop.
  private func expected(_ filter: EventFilter, _ range: Range<Int>) -> (events: [Int], fault: Int?) {
    var events: [Int] = []
    for offset in range {
      let bytes = Array(Self.records[offset].utf8)
      let verdict = bytes.withUnsafeBytes { filter.verdict(on: $0) }
      if verdict == .malformed, filter.malformed == .halt { return (events, offset) }
      if verdict == .passes || verdict == .malformed && filter.malformed == .pass { events.append(offset) }
    }
    return (events, nil)
  }

  /// Makes a step if it is possible; says what is wrong.
  private func make(_ step: Step, _ world: inout World) async throws -> String? {
    switch step {
    case .join(let filter, let offset):
      guard world.members.count < 3 else { return nil }
      let near = world.routing.passIDs.contains { pass in
        world.position(pass).map { abs($0 - offset) <= world.routing.limits.near } == true
      }
      let mayJoin = near || world.routing.passIDs.count < world.routing.limits.mostPasses
      guard let id = world.routing.join(filters[filter], at: Offset(UInt64(offset))) else {
        return mayJoin ? "it may not join" : nil
      }
      world.members.append((id, filters[filter], offset, offset, 0))
      guard let pass = world.routing.pass(of: id), let position = world.position(pass) else { return "it has no pass" }
      if position > offset { return "its pass is beyond it, at \(position)" }
    case .leave(let number):
      guard number < world.members.count else { return nil }
      world.routing.leave(world.members.remove(at: number).id)
    case .compare(let count, let number):
      guard let pass = world.pass(number), !world.routing.isCrowded(pass), let first = world.routing.position(pass)
      else { return nil }
      guard let batch = try await source.records(from: first, maxRecords: count, maxBytes: .max) else {
        if world.routing.reachedEnd(pass) { world.unaware.formUnion(members(of: pass, world)) }
        return call(pass, all: false, &world)
      }
      world.routing.compare(batch, pass)
      for index in world.members.indices where world.routing.pass(of: world.members[index].id) == pass {
        world.members[index].reached = max(world.members[index].reached, world.position(pass) ?? 0)
      }
      let most = world.routing.limits.mostBytes / world.routing.passIDs.count + world.members.count * Self.longest
      if world.routing.waitingBytes(of: pass) > most { return "\(world.routing.waitingBytes(of: pass)) bytes wait" }
      let before = Dictionary(uniqueKeysWithValues: world.routing.passIDs.map { ($0, members(of: $0, world)) })
      let merged = world.routing.merge(into: pass)
      world.merges += merged.count
      if world.routing.isLive(pass) { for other in merged { world.unaware.formUnion(before[other] ?? []) } }
      return call(pass, all: world.routing.isCrowded(pass), &world)
    case .take(let number):
      guard number < world.members.count else { return nil }
      return take(number, &world)
    case .finish(let number):
      guard number < world.members.count else { return nil }
      world.routing.finish(world.members[number].id)
      world.members[number].held = 0
    case .tell(let number):
      guard let pass = world.pass(number) else { return nil }
      return tell(pass, &world)
    case .sendFullestAway:
      guard let pass = world.pass(0) else { return world.members.isEmpty ? nil : "there is no pass" }
      guard let id = world.routing.sendFullestAway(pass) else { return "none was sent away" }
      world.members.removeAll { $0.id == id }
    }
    let held = world.members.reduce(0) { $0 + $1.held }
    let counted = world.routing.waitingBytes
    let isAllTaken = !world.members.contains { world.routing.hasNews($0.id) }
    if counted < held || isAllTaken && counted > held { return "\(held) bytes are taken, \(counted) are counted" }
    guard world.members.allSatisfy({ world.routing.isMember($0.id) }) else { return "a member is missing" }
    let used = Set(world.members.compactMap { world.routing.pass(of: $0.id) })
    return used == Set(world.routing.passIDs) ? nil : "a pass has no member"
  }

  /// Whether those are called for whom enough waits, and those for whom anything waits where it should be so; each
  /// once.
  private func call(_ pass: Routing.PassID, all: Bool, _ world: inout World) -> String? {
    let called = world.routing.calls(pass, all: all)
    if !world.called.isDisjoint(with: called) { return "\(called) are called, also one that was called" }
    world.called.formUnion(called)
    for id in world.members.map(\.id) where world.routing.pass(of: id) == pass && !world.called.contains(id) {
      guard world.routing.hasNews(id) else { continue }
      if all || world.routing.isLive(pass) { return "\(id) is not called" }
      world.quiet += 1
    }
    return nil
  }

  private func members(of pass: Routing.PassID, _ world: World) -> [Routing.MemberID] {
    world.members.map(\.id).filter { world.routing.pass(of: $0) == pass }
  }

  /// Whether everyone who does not know learns it, in turn and once for each place.
  private func tell(_ pass: Routing.PassID, _ world: inout World) -> String? {
    let (all, position) = (members(of: pass, world), world.position(pass) ?? 0)
    let untold = Set(
      all.filter { id in
        guard let member = world.members.first(where: { $0.id == id }) else { return false }
        return world.unaware.contains(id) || member.from < position && world.told[id] != position
      })
    if world.routing.hasUntold(pass) != !untold.isEmpty { return "\(untold) do not know" }
    var told: Set<Routing.MemberID> = []
    // Two are looked at each time.
    for _ in 0..<(all.count + 1) / 2 {
      let now = world.routing.tell(pass)
      if now.count > 2 || !told.isDisjoint(with: now) { return "\(now) learn it, after \(told)" }
      told.formUnion(now)
    }
    if told != untold { return "\(told) learn it, and not \(untold)" }
    for id in told {
      world.told[id] = position
      world.unaware.remove(id)
    }
    return world.routing.hasUntold(pass) ? "some do not know" : nil
  }

  private func take(_ number: Int, _ world: inout World) -> String? {
    let member = world.members[number]
    let end = max(member.from, member.reached)
    world.members[number].held = 0
    let (events, fault) = expected(member.filter, member.from..<end)
    let isQuiet = world.called.remove(member.id) == nil
    guard let piece = world.routing.take(member.id) else { return end > member.from ? "it takes nothing" : nil }
    let found = (0..<piece.events.count).map { Int(piece.events.offset(at: $0).rawValue) }
    if found != events { return "takes \(found), not \(events)" }
    if piece.faultyAt.map({ Int($0.rawValue) }) != fault { return "the fault is at \(piece.faultyAt as Any)" }
    if Int(piece.end.rawValue) != fault ?? end { return "it ends at \(piece.end)" }
    world.members[number].from = Int(piece.end.rawValue)
    world.members[number].held = piece.events.byteCount
    world.taken += found.count
    let bytes = piece.events.byteCount
    if isQuiet, fault != nil || bytes >= 30 + Self.longest { return "it was not called for \(bytes) bytes" }
    if fault != nil {
      world.faults += 1
      world.members.remove(at: number)
      return world.routing.isMember(member.id) ? "it is still a member" : nil
    }
    return world.routing.hasNews(member.id) ? "it has news" : nil
  }

  @Test func `after every short sequence of steps a member has exactly what its filter passes`() async throws {
    let steps: [Step] = [
      .join(0, at: 0), .join(1, at: 5), .join(2, at: 3), .compare(4, by: 0), .compare(9, by: 1), .take(0), .take(1),
      .finish(0), .leave(0), .tell(0), .sendFullestAway,
    ]
    var worlds: [World] = [World(near: 10), World(near: 1)]
    var (count, taken, faults, merges, quiet) = (0, 0, 0, 0, 0)
    for _ in 0..<5 {
      var next: [World] = []
      for world in worlds {
        for step in steps {
          var after = world
          if let wrong = try await make(step, &after) {
            Issue.record("\(step): \(wrong)")
            return
          }
          next.append(after)
        }
      }
      worlds = next
      count += next.count
      taken += next.reduce(0) { $0 + $1.taken }
      faults += next.reduce(0) { $0 + $1.faults }
      merges += next.reduce(0) { $0 + $1.merges }
      quiet += next.reduce(0) { $0 + $1.quiet }
    }
    let text = "\(count) walks, \(taken) taken, \(faults) faults, \(merges) merges, \(quiet) not called"
    #expect(count > 120_000 && taken > 10_000 && faults > 200 && merges > 200 && quiet > 1000, "\(text)")
  }

  @Test func `over long walks, too, with five filters and every way to go`() async throws {
    let seed = ProcessInfo.processInfo.environment["PENSTOCK_SEED"].flatMap(UInt64.init) ?? 18
    var random = SplitMix64(seed: seed)
    var (taken, crowded, merges) = (0, 0, 0)
    for number in 0..<800 {
      var world = World(near: number % 4)
      var trace: [Step] = []
      for _ in 0..<60 {
        let step: Step =
          switch random.below(10) {
          case 0: .join(random.below(5), at: random.below(10))
          case 1: .leave(random.below(3))
          case 2, 3, 4: .compare(1 + random.below(4), by: random.below(2))
          case 5: .sendFullestAway
          case 6: .finish(random.below(3))
          case 7: .tell(random.below(2))
          default: .take(random.below(3))
          }
        trace.append(step)
        if let wrong = try await make(step, &world) {
          Issue.record("PENSTOCK_SEED=\(seed), \(trace): \(wrong)")
          return
        }
        if let pass = world.pass(0), world.routing.isCrowded(pass) { crowded += 1 }
      }
      taken += world.taken
      merges += world.merges
    }
    #expect(taken > 500 && crowded > 100 && merges > 100, "\(taken) taken, crowded \(crowded) times, \(merges) merges")
  }

  @Test func `who joins where another has left gets nothing that waited for that one`() async throws {
    let source = InMemorySource()
    for record in Self.records { source.append(record) }
    func records(_ range: Range<UInt64>) async throws -> Batch {
      try await source.records(in: Offset(range.lowerBound)..<Offset(range.upperBound))
    }
    var routing = Routing(Routing.Limits())
    func join(_ app: String) throws -> Routing.MemberID {
      let id = routing.join(try only(app).filter, at: .zero)
      return try #require(id)
    }
    let (stays, leaves) = (try join("app 3"), try join("app 1"))
    let pass = try #require(routing.pass(of: stays))
    _ = routing.compare(try await records(0..<4), pass)
    #expect(routing.hasNews(leaves))
    routing.leave(leaves)
    let joins = try join("app 2")
    let position = try #require(routing.position(pass)).rawValue
    _ = routing.compare(try await records(position..<5), pass)
    let taken = routing.take(joins)
    let piece = try #require(taken)
    #expect((0..<piece.events.count).map { piece.events.offset(at: $0).rawValue } == [1, 4])
  }

  @Test func `a member far from all others begins a pass of its own, as long as there are few`() {
    var limits = Routing.Limits()
    limits.mostPasses = 2
    var routing = Routing(limits)
    let far = Offset(UInt64(limits.nearCatchingUp) * 4)
    let first = routing.join(filters[0], at: far)
    let near = Offset(far.rawValue - UInt64(limits.nearCatchingUp))
    let second = routing.join(filters[1], at: Offset(10))
    #expect(routing.passIDs.count == 2)
    let between = routing.join(filters[2], at: Offset(far.rawValue - UInt64(limits.nearCatchingUp) * 2))
    #expect(between == nil && routing.memberCount == 2)
    // A pass that catches up goes back, one that is live does not go back far.
    let third = routing.join(filters[2], at: near)
    guard let first, let second, let third, let pass = routing.pass(of: first) else {
      return _ = Issue.record("a member is missing")
    }
    #expect(routing.pass(of: third) == pass && routing.position(pass) == near)
    routing.leave(third)
    let isFirst = routing.reachedEnd(pass)
    let isAgain = routing.reachedEnd(pass)
    #expect(isFirst && !isAgain)
    let fourth = routing.join(filters[2], at: Offset(near.rawValue - UInt64(limits.near) - 1))
    #expect(fourth == nil)
    let away = routing.sendAllAway(pass)
    #expect(away == [first] && routing.passIDs.count == 1 && routing.isMember(second) && routing.waitingBytes == 0)
    let piece = routing.take(first)
    #expect(piece?.end == nil)
  }
}
