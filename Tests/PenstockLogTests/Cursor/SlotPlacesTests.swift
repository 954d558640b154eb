import Foundation
import PenstockTestKit
import Testing

@testable import PenstockLog

/// Every sequence of groups up to a depth in a small world, with a crash at each group; then long random sequences.
@Suite struct SlotPlacesTests {
  private typealias Places = SlotPlaces

  /// Two tables of a few places, and what callers were promised.
  private struct World {
    var places = Places()
    /// The two slots of each place; nil: zeros, or torn.
    var disk: [Places.Place: [Places.Content?]] = [:]
    var promised: [SlotName: UInt64] = [:]

    init(places count: Int) {
      for size in Places.Size.allCases {
        places.grow(size, by: count)
        for index in 0..<count { disk[Places.Place(size: size, index: index)] = [nil, nil] }
      }
    }

    /// Stages a group and checks its writes; nil when every change was refused and nothing is to be written.
    mutating func stage(_ changes: [Places.Change]) -> ([Places.Write], [SlotName: UInt64?])? {
      let (writes, results) = places.stage(changes, allocating: true)
      var expected: [SlotName: UInt64?] = [:]
      for (change, result) in zip(changes, results) {
        guard case .success(let revision) = result else { continue }
        switch change {
        case .put(let name, _, let after):
          expected[name] = .some(revision)
          #expect(promised[name] == after && revision == (after ?? 0) + 1)
        case .remove(let name, let after):
          expected[name] = .some(nil)
          #expect(promised[name] == after)
        }
      }
      #expect(Set(writes.map(\.place)).count == writes.count, "two writes to one place")
      for write in writes {
        let slots = disk[write.place] ?? []
        #expect(slots.allSatisfy { ($0?.generation ?? 0) < write.content.generation }, "a generation fell")
        // A removed name may come back with the same revision, in another place.
        if let (name, revision) = slots[write.slot]?.value, promised[name] == revision,
          places.place(of: name) == write.place
        {
          Issue.record("\(write) overwrites the newest value of \(name)")
        }
      }
      return writes.isEmpty ? nil : (writes, expected)
    }

    mutating func finish(_ writes: [Places.Write], _ expected: [SlotName: UInt64?]) {
      for write in writes { disk[write.place]?[write.slot] = write.content }
      places.commit()
      for (name, revision) in expected { promised[name] = revision }
      check([:], "after a sync")
    }

    /// The worlds after a crash that kept any of the writes, tore any and lost the others.
    func crashed(_ writes: [Places.Write], _ expected: [SlotName: UInt64?]) -> [World] {
      var disks = [disk]
      for write in writes {
        disks += disks.flatMap { disk in
          [nil, write.content].map { content in
            var disk = disk
            disk[write.place]?[write.slot] = content
            return disk
          }
        }
      }
      return disks.map { disk in
        var world = self
        world.disk = disk
        world.reopen()
        world.check(expected, "after a crash")
        // What is there now was read from the disk, and so is what counts from here on.
        world.promised = world.places.names.reduce(into: [:]) { $0[$1] = world.places.revision(of: $1) }
        return world
      }
    }

    mutating func reopen() {
      places = Places(disk.mapValues { slots in slots.compactMap { $0 }.max { $0.generation < $1.generation } })
    }

    /// Each name has its promised revision, or the one that was being written.
    func check(_ expected: [SlotName: UInt64?], _ note: String) {
      for name in ["a", "b"] as [SlotName] {
        let found = places.revision(of: name)
        let isRight = found == promised[name] || expected[name].map { $0 == found } ?? false
        if !isRight { Issue.record("\(note): \(name) is at \(found ?? 0), promised \(promised[name] ?? 0)") }
      }
    }

    /// The groups that a caller may want now.
    var groups: [[Places.Change]] {
      func changes(_ name: SlotName) -> [Places.Change] {
        let revision = promised[name]
        let puts = Places.Size.allCases.map { Places.Change.put(name, $0, after: revision) }
        return puts + (revision.map { [.remove(name, after: $0)] } ?? [])
      }
      let (a, b) = (changes("a"), changes("b"))
      return [[]] + (a + b).map { [$0] } + a.flatMap { one in b.map { [one, $0] } }
    }
  }

  @Test func `no sequence of groups and crashes loses, doubles or revives a value`() {
    var frontier = [World(places: 2)]
    var (groups, crashes) = (0, 0)
    for depth in 0..<4 {
      var next: [World] = []
      for world in frontier {
        for group in world.groups {
          var world = world
          guard let (writes, expected) = world.stage(group) else { continue }
          groups += 1
          // A crash leads on in the random sequences; here each is looked at.
          crashes += world.crashed(writes, expected).count
          world.finish(writes, expected)
          if depth < 3 { next.append(world) }
        }
      }
      frontier = next
    }
    #expect(groups > 5_000 && crashes > 30_000, "\(groups) groups, \(crashes) crashes")
  }

  @Test func `long random sequences with crashes keep every promise`() {
    let seed = ProcessInfo.processInfo.environment["PENSTOCK_SEED"].flatMap(UInt64.init) ?? 28
    var random = SplitMix64(seed: seed)
    var moves = 0
    for _ in 0..<2_000 {
      var world = World(places: Int.random(in: 1...3, using: &random))
      for _ in 0..<25 {
        guard let group = world.groups.randomElement(using: &random), let (writes, expected) = world.stage(group) else {
          world.reopen()
          continue
        }
        if Int.random(in: 0..<4, using: &random) == 0,
          let crashed = world.crashed(writes, expected).randomElement(using: &random)
        {
          world = crashed
        } else {
          world.finish(writes, expected)
        }
        moves += 1
      }
    }
    #expect(moves > 20_000, "PENSTOCK_SEED=\(seed): \(moves) moves")
  }

  @Test func `a refused change leaves the others of its group alone`() {
    var world = World(places: 1)
    let (writes, results) = world.places.stage(
      [.put("a", .small, after: nil), .put("b", .small, after: nil)], allocating: true)
    #expect(writes.count == 1 && results == [.success(1), .failure(.full(.small))])
    world.places.commit()
    #expect(
      world.places.stage([.put("a", .small, after: 7)], allocating: true).results == [.failure(.conflict(present: 1))])
    world.places.commit()
    world.places.grow(.small, by: 1)
    let again = world.places.stage(
      [.put("b", .small, after: nil), .remove("c", after: 1)], allocating: true)
    #expect(again.results == [.success(1), .failure(.conflict(present: nil))])
  }

  @Test func `a value that outgrows its slot moves, and its old place is used again after a mark`() {
    var world = World(places: 1)
    func write(_ changes: [Places.Change]) -> [Result<UInt64, Places.Refusal>] {
      let (writes, results) = world.places.stage(changes, allocating: true)
      for write in writes { world.disk[write.place]?[write.slot] = write.content }
      world.places.commit()
      return results
    }
    #expect(write([.put("a", .small, after: nil)]) == [.success(1)])
    #expect(write([.put("a", .large, after: 1)]) == [.success(2)])
    #expect(world.places.owesMarks && world.places.place(of: "a")?.size == .large)
    #expect(write([.remove("a", after: 2)]) == [.failure(.marksFirst)])
    #expect(!world.places.owesMarks)
    #expect(write([.remove("a", after: 2), .put("b", .small, after: nil)]) == [.success(2), .success(1)])
    #expect(world.places.names == ["b"])
  }
}
