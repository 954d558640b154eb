import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Cursors: BenchSubcommand {
    static let spokenName = "cursors"
    static let configuration = CommandConfiguration(
      abstract: "Durable moves of many cursors at once, against writing and syncing places of the same size.",
      discussion: """
        Each cursor makes one move after the other, each on stable storage before the next: an intent, then its \
        completion. Moves of different cursors that wait at the same moment share a sync. The probe writes 64 places \
        of 4 KiB in a file of zeros, at positions a mebibyte apart, and syncs once.

          penstock-bench cursors
          penstock-bench cursors --cursors 10 --moves 2000 --json
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Cursors that move at once.") var cursors = 1000
    @Option(help: "Moves a round, of all cursors together.") var moves = 40_000
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1...100_000).contains(cursors) else { throw ValidationError("--cursors must be 1 to 100000") }
      guard (cursors * 2...100_000_000).contains(moves) else {
        throw ValidationError("--moves must be two for each cursor, to 100000000")
      }
    }
  }
}

extension BenchCommand.Cursors {
  /// So many places are written before the probe syncs.
  private static let group = 64

  func measure(in directory: String) async throws -> BenchReport {
    let log = try await Log.open(at: directory + "/log", configuration: BenchEvents.alone)
    let rounds = max(1, moves / cursors / 2)
    try await log.append(BenchEvents.batches(of: rounds * (options.rounds + 1), for: 1)[0], durability: .disk)
    var all: [Cursor] = []
    let taking = try await seconds { () async throws in
      for number in 0..<cursors { all.append(try await log.cursor(named: "cursor-\(number)")) }
    }
    var report = report(("cursors", .number(cursors)), ("moves", .number(rounds * 2 * cursors)), rows: rows)
    report.rows[3].add(taking)
    var number = 0
    try await options.eachRound { _ in
      let before = processorSeconds()
      var times: [Double] = []
      let took = try await seconds { () async throws in
        times = try await move(all, from: number * rounds, count: rounds)
      }
      number += 1
      let count = Double(rounds * 2 * cursors)
      report.rows[0].add(count / took, try probe(directory + "/probe"))
      report.rows[1].add(Samples(seconds: times).percentile(0.99))
      report.rows[2].add((processorSeconds() - before) / count * 1e6)
    }
    try await log.close()
    return report
  }

  private var rows: [BenchRow] {
    [
      BenchRow(
        "cursors.moves", "\(cursors) cursors, durable moves", "moves/s",
        against: "places of 4 KiB written, \(Self.group) of them for each sync", .atLeast(0.5)),
      BenchRow("cursors.p99", "  one move, p99", "µs"),
      BenchRow("cursors.processor", "  processor time for a move", "µs"),
      BenchRow("cursors.taking", "  all cursors made and taken, one after the other", "s"),
    ]
  }

  /// Each cursor passes so many records, one at a time. Returns the seconds of each move.
  private func move(_ cursors: [Cursor], from first: Int, count: Int) async throws -> [Double] {
    try await withThrowingTaskGroup(of: [Double].self) { group in
      for cursor in cursors {
        group.addTask {
          var times: [Double] = []
          for number in first..<first + count {
            let intent = Self.intent(of: cursor, number)
            times.append(try await seconds { () async throws in try await cursor.begin(intent) })
            times.append(try await seconds { () async throws in _ = try await cursor.complete(intent.id, receipt: "") })
          }
          return times
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
  }

  private static func intent(of cursor: Cursor, _ number: Int) -> Intent {
    let (first, end) = (Offset(UInt64(number)), Offset(UInt64(number + 1)))
    return Intent(
      id: DeliveryID("\(cursor.name)-\(number)"), first: first, end: end,
      contentDigest: [UInt8](repeating: 1, count: 32), plan: [], createdAt: Timestamp(nanoseconds: 0))
  }

  /// Places a second.
  private func probe(_ path: String) throws -> Double {
    let (distance, groups) = (1 << 20, 200)
    let probe = try RawProbe(path, bytes: Self.group * distance)
    defer { probe.end() }
    let place = [UInt8](repeating: 0x55, count: 4096)
    let took = try seconds { () throws in
      for _ in 0..<groups {
        try place.withUnsafeBytes { place in
          for number in 0..<Self.group { try probe.write(place, at: number * distance) }
        }
        try probe.synchronize()
      }
    }
    return Double(Self.group * groups) / took
  }
}
