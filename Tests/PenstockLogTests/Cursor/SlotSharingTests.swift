import Foundation
import PenstockTestKit
import Testing

@testable import PenstockLog

/// Every sequence of steps of two processes in a small world, with deaths and power cuts; then long random sequences.
@Suite(.timeLimit(.minutes(3))) struct SlotSharingTests {
  /// Worlds to begin in: empty; a name with an older copy in the place that it left, while the other process knows
  /// nothing of it; two processes with a name each, one of which died in the middle of a move.
  private static let beginnings: [[SlotSharingModel.Step]] = [
    [],
    [.open(0), .open(1), .hold(0, "a")] + put("a", .small, after: nil) + put("a", .large, after: 1),
    [.open(0), .open(1), .hold(0, "a"), .hold(1, "b")] + put("a", .small, after: nil)
      + put("b", .small, after: nil, by: 1) + [
        .begin(0, [.put("a", .small, after: 1)]), .write(0), .die(0, torn: false),
      ],
  ]

  private static func put(
    _ name: SlotName, _ size: SlotPlaces.Size, after revision: UInt64?, by process: Int = 0
  ) -> [SlotSharingModel.Step] {
    [.begin(process, [.put(name, size, after: revision)]), .write(process), .finish(process)]
  }

  @Test(arguments: 0..<3) func `no interleaving of two processes loses, doubles or revives a value`(number: Int) {
    var start = SlotSharingModel(places: 2)
    for step in Self.beginnings[number] { start.make(step) }
    #expect(start.violations.isEmpty)
    var frontier: Set = [start]
    var known = frontier
    var (steps, cuts) = (0, 0)
    for _ in 0..<(number == 0 ? 9 : 6) {
      var next: Set<SlotSharingModel> = []
      for world in frontier {
        for step in world.steps {
          var world = world
          world.make(step)
          steps += 1
          if case .powerCut = step { cuts += 1 }
          guard world.violations.isEmpty else {
            Issue.record("\(step): \(world.violations)")
            return
          }
          if known.insert(world).inserted { next.insert(world) }
        }
      }
      frontier = next
    }
    #expect(steps > 2_000 && cuts > 300, "\(steps) steps to \(known.count) states, \(cuts) power cuts")
  }

  @Test func `long random interleavings keep every promise`() {
    let seed = ProcessInfo.processInfo.environment["PENSTOCK_SEED"].flatMap(UInt64.init) ?? 28
    var random = SplitMix64(seed: seed)
    var groups = 0
    for round in 0..<600 {
      var world = SlotSharingModel(places: Int.random(in: 1...3, using: &random))
      for _ in 0..<80 {
        // Deaths and power cuts have many forms: most steps are to be others.
        let steps = world.steps
        let gentle = steps.filter {
          switch $0 {
          case .die, .powerCut, .release: false
          default: true
          }
        }
        let isGentle = !gentle.isEmpty && Int.random(in: 0..<10, using: &random) > 0
        guard let step = (isGentle ? gentle : steps).randomElement(using: &random) else { break }
        if case .finish = step { groups += 1 }
        world.make(step)
        guard world.violations.isEmpty else {
          Issue.record("PENSTOCK_SEED=\(seed), round \(round), \(step): \(world.violations)")
          return
        }
      }
    }
    #expect(groups > 3_000, "PENSTOCK_SEED=\(seed): \(groups) groups")
  }
}
