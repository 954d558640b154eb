import Foundation
import PenstockTestKit
import Testing

@testable import PenstockLog

/// Two processes on one pair of table files: deaths at any call, power cuts, and calls of one process in the middle of
/// the other's.
@Suite(.timeLimit(.minutes(3))) struct SlotTableCrashTests {
  private static let names: [SlotName] = ["a", "b", "c", "d"]
  private static let paths = TestLog.paths

  /// The other process holds the allocation for as long as this one waits.
  private struct Impatience: MonotonicClock {
    func now() -> Int64 { 0 }
    func sleep(nanoseconds: Int64) {}
  }

  /// `@unchecked Sendable`, like `World`: used on the thread of the test alone.
  private final class Process: @unchecked Sendable {
    let calls: ProcessOnDisk
    let table: SlotTable
    init(_ disk: SimulatedFileSystem) throws(LogError) {
      calls = ProcessOnDisk(disk)
      table = try SlotTable(calls, SlotTableCrashTests.paths, clock: Impatience())
    }
  }

  /// `@unchecked Sendable`: all of it happens on the thread of the test, also what is called in the middle of a call.
  private final class World: @unchecked Sendable {
    var disk: SimulatedFileSystem
    var processes: [Process?] = [nil, nil]
    var promised: [SlotName: SlotValue] = [:]
    /// What a write that did not return may have left; nil: removed.
    var possible: [SlotName: [SlotValue?]] = [:]
    var random: SplitMix64
    var cut: SimulatedFileSystem?
    var (moves, deaths, cuts, intrusions) = (0, 0, 0, 0)
    var problems: [String] = []
    private var stamp = 0

    init(seed: UInt64) throws {
      random = SplitMix64(seed: seed)
      disk = try logDirectory()
    }

    func chance(_ percent: Int) -> Bool { random.below(100) < percent }

    private func anyCut() -> SimulatedFileSystem {
      disk.powerCut(chance(30) ? .nothingUnsynced : .seeded(random.next(), .tornSectors))
    }

    func step() throws {
      let index = random.below(2)
      guard let process = processes[index] else {
        processes[index] = try Process(disk)
        return
      }
      if chance(20) { process.calls.die(atCall: 1 + random.below(8)) }
      if chance(40) {
        process.calls.intrude(atCall: 1 + random.below(6)) { [self] in
          if chance(30) {
            // The whole machine.
            cut = anyCut()
            process.calls.kill()
          } else if let other = processes[1 - index] {
            intrusions += 1
            act(other)
          }
        }
      }
      act(process)
      process.calls.live()
      process.calls.intrude(atCall: 0) {}
      if cut == nil, chance(3) { cut = anyCut() }
      if let cut {
        disk = cut
        self.cut = nil
        cuts += 1
        processes = [nil, nil]
        let fresh = try Process(disk)
        hold(fresh, SlotTableCrashTests.names)
        processes[0] = chance(50) ? fresh : nil
      } else if process.calls.isDead {
        deaths += 1
        processes[index] = nil
      }
    }

    private func act(_ process: Process) {
      let held = process.table.held.sorted()
      let others = SlotTableCrashTests.names.filter { !held.contains($0) }
      switch random.below(10) {
      case 0: held.randomElement(using: &random).map(process.table.release)
      case 1, 2: hold(process, others.filter { _ in chance(50) })
      default: write(process, held.filter { _ in chance(60) })
      }
    }

    func hold(_ process: Process, _ names: [SlotName]) {
      for (name, result) in zip(names, process.table.hold(names)) {
        switch result {
        case .success(let found):
          if found != promised[name], !(possible[name] ?? []).contains(found) {
            problems.append("\(name) is at \(found?.revision ?? 0), promised \(promised[name]?.revision ?? 0)")
          }
          promised[name] = found
          possible[name] = nil
          if cut == nil { prove(name, "a hold") }
        case .failure(.failed(let error)) where !process.calls.isDead && error.code != .locked:
          problems.append("hold of \(name): \(error)")
        case .failure(.conflict): problems.append("a conflict in a hold")
        case .failure: break
        }
      }
    }

    private func write(_ process: Process, _ names: [SlotName]) {
      var wanted: [SlotValue?] = []
      let group = names.map { name -> SlotMove in
        let present = promised[name]
        if let present, chance(15) {
          wanted.append(nil)
          return .remove(name, after: present.revision)
        }
        stamp += 1
        let bytes =
          Array("\(name) \(stamp)".utf8)
          + [UInt8](repeating: UInt8(truncatingIfNeeded: stamp), count: chance(20) ? 5_000 : 200)
        wanted.append(SlotValue(revision: (present?.revision ?? 0) + 1, bytes: bytes))
        return .put(name, bytes, after: present?.revision)
      }
      for (move, value) in zip(group, wanted) { possible[move.name, default: []].append(value) }
      for (index, result) in process.table.write(group).enumerated() {
        let name = group[index].name
        switch result {
        case .success:
          promised[name] = wanted[index]
          possible[name] = nil
          moves += 1
          if cut == nil { prove(name, "a write") }
        case .failure(.failed(let error)):
          if process.calls.isDead { continue }
          possible[name]?.removeLast()
          if error.code != .locked { problems.append("write of \(name): \(error)") }
        case .failure(let refusal): problems.append("write of \(name): \(refusal)")
        }
      }
    }

    /// What a call returned as durable.
    private func prove(_ name: SlotName, _ note: String) {
      guard chance(25) else { return }
      let found = try? SlotSurvey(disk.powerCut(.nothingUnsynced), SlotTableCrashTests.paths).values[name]?.get()
      if found != promised[name] { problems.append("\(name) is not durable after \(note)") }
    }
  }

  @Test(arguments: 0..<4 as Range<UInt64>)
  func `deaths, power cuts and the other process at any call lose, double and revive nothing`(part: UInt64) throws {
    let seed = ProcessInfo.processInfo.environment["PENSTOCK_SEED"].flatMap(UInt64.init) ?? 28
    var (moves, deaths, cuts, intrusions) = (0, 0, 0, 0)
    for round in 0..<60 as Range<UInt64> {
      let world = try World(seed: seed &+ part << 32 &+ round)
      for step in 0..<120 {
        try world.step()
        guard world.problems.isEmpty else {
          Issue.record("PENSTOCK_SEED=\(seed), part \(part), round \(round), step \(step): \(world.problems)")
          return
        }
      }
      (moves, deaths) = (moves + world.moves, deaths + world.deaths)
      (cuts, intrusions) = (cuts + world.cuts, intrusions + world.intrusions)
    }
    #expect(
      moves > 1_500 && deaths > 200 && cuts > 300 && intrusions > 300,
      "\(moves) moves, \(deaths) deaths, \(cuts) cuts, \(intrusions) intrusions")
  }
}
