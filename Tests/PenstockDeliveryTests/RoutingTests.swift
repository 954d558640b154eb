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

  private enum Step: CustomStringConvertible {
    case join(Int, at: Int)
    case leave(Int)
    case compare(Int)
    case take(Int)
    case sendFullestAway

    var description: String {
      switch self {
      case .join(let filter, let offset): "join with \(filter) at \(offset)"
      case .leave(let member): "leave \(member)"
      case .compare(let count): "compare \(count)"
      case .take(let member): "take \(member)"
      case .sendFullestAway: "send away"
      }
    }
  }

  /// The table, and what each member may expect.
  private struct World {
    var routing = Routing(mostBytes: 120, mostBytesOfOne: 60)
    /// `reached`: the farthest the router has been since the member took last.
    var members: [(id: Routing.ID, filter: EventFilter, from: Int, reached: Int)] = []
    /// The events that everybody took, to see that the walk goes anywhere.
    var taken = 0
    var faults = 0
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

  private func position(_ world: World) -> Int { Int(world.routing.position.rawValue) }

  /// Makes a step if it is possible; says what is wrong.
  private func make(_ step: Step, _ world: inout World) async throws -> String? {
    switch step {
    case .join(let filter, let offset):
      guard world.members.count < 3 else { return nil }
      let wasEmpty = world.members.isEmpty
      let before = position(world)
      guard let id = world.routing.join(filters[filter], at: Offset(UInt64(offset))) else { return "it may not join" }
      world.members.append((id, filters[filter], offset, offset))
      if position(world) != (wasEmpty ? offset : min(before, offset)) { return "the router is at \(position(world))" }
    case .leave(let number):
      guard number < world.members.count else { return nil }
      world.routing.leave(world.members.remove(at: number).id)
    case .compare(let count):
      let first = world.routing.position
      guard !world.members.isEmpty, !world.routing.isCrowded,
        let batch = try await source.records(from: first, maxRecords: count, maxBytes: .max)
      else { return nil }
      let hadNews = Set(world.members.map(\.id).filter(world.routing.hasNews))
      let woken = Set(world.routing.compare(batch))
      for index in world.members.indices {
        world.members[index].reached = max(world.members[index].reached, position(world))
      }
      let haveNews = Set(world.members.map(\.id).filter(world.routing.hasNews))
      if woken != haveNews.subtracting(hadNews) { return "woken are \(woken)" }
    case .take(let number):
      guard number < world.members.count else { return nil }
      return take(number, &world)
    case .sendFullestAway:
      guard let id = world.routing.sendFullestAway() else { return world.members.isEmpty ? nil : "none was sent away" }
      world.members.removeAll { $0.id == id }
    }
    return world.members.allSatisfy { world.routing.isMember($0.id) } ? nil : "a member is missing"
  }

  private func take(_ number: Int, _ world: inout World) -> String? {
    let member = world.members[number]
    let end = max(member.from, member.reached)
    let (events, fault) = expected(member.filter, member.from..<end)
    guard let piece = world.routing.take(member.id) else { return end > member.from ? "it takes nothing" : nil }
    let found = (0..<piece.events.count).map { Int(piece.events.offset(at: $0).rawValue) }
    if found != events { return "takes \(found), not \(events)" }
    if piece.faultyAt.map({ Int($0.rawValue) }) != fault { return "the fault is at \(piece.faultyAt as Any)" }
    if Int(piece.end.rawValue) != fault ?? end { return "it ends at \(piece.end)" }
    world.members[number].from = Int(piece.end.rawValue)
    world.taken += found.count
    if fault != nil {
      world.faults += 1
      world.members.remove(at: number)
      return world.routing.isMember(member.id) ? "it is still a member" : nil
    }
    return world.routing.hasNews(member.id) ? "it has news" : nil
  }

  @Test func `after every short sequence of steps a member has exactly what its filter passes`() async throws {
    let steps: [Step] = [
      .join(0, at: 0), .join(1, at: 5), .join(2, at: 3), .compare(4), .compare(9), .take(0), .take(1), .leave(0),
      .sendFullestAway,
    ]
    var worlds: [World] = [World()]
    var (count, taken, faults) = (0, 0, 0)
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
    }
    #expect(count > 60_000 && taken > 5_000 && faults > 100, "\(count) walks, \(taken) taken, \(faults) faults")
  }

  @Test func `over long walks, too, with five filters and every way to go`() async throws {
    let seed = ProcessInfo.processInfo.environment["PENSTOCK_SEED"].flatMap(UInt64.init) ?? 18
    var random = SplitMix64(seed: seed)
    var (taken, crowded) = (0, 0)
    for _ in 0..<400 {
      var world = World()
      var trace: [Step] = []
      for _ in 0..<60 {
        let step: Step =
          switch random.below(8) {
          case 0: .join(random.below(5), at: random.below(10))
          case 1: .leave(random.below(3))
          case 2, 3, 4: .compare(1 + random.below(4))
          case 5: .sendFullestAway
          default: .take(random.below(3))
          }
        trace.append(step)
        if let wrong = try await make(step, &world) {
          Issue.record("PENSTOCK_SEED=\(seed), \(trace): \(wrong)")
          return
        }
        if world.routing.isCrowded { crowded += 1 }
      }
      taken += world.taken
    }
    #expect(taken > 500 && crowded > 100, "\(taken) taken, crowded \(crowded) times")
  }

  @Test func `a member too far back does not join, and a gap sends all away`() {
    var routing = Routing(at: Offset(UInt64(Routing.farthestBack) + 10))
    let first = routing.join(filters[0], at: Offset(UInt64(Routing.farthestBack) + 10))
    let tooFar = routing.join(filters[1], at: Offset(9))
    #expect(tooFar == nil && routing.count == 1)
    let second = routing.join(filters[1], at: Offset(10))
    #expect(routing.position == Offset(10) && routing.unaware.isEmpty)
    let away = routing.sendAllAway()
    #expect(away == [first, second] && routing.isEmpty && routing.waitingBytes == 0)
    let piece = first.flatMap { routing.take($0) }
    #expect(piece?.end == nil)
  }
}
