import Foundation
import PenstockSimulation

/// What the runs up to a seed have come to. In a file, so that a long suite can be interrupted and continued.
struct SimulationProgress {
  /// The next seed.
  var next: UInt64 = 0
  var result = Simulation.Result()
  /// The sum of the runs' digests: equal for equal seeds.
  var hash: UInt64 = 0
  /// Crash-recoveries that an earlier run of the program counted.
  var resumed = 0

  mutating func add(_ run: Simulation.Result) {
    result.add(run)
    hash &+= run.hash &* (next | 1)
    next += 1
  }
}

extension SimulationProgress {
  /// Nil when there is no such file. Ends the program when it is of another first seed or of another version.
  init?(reading path: String, from first: UInt64) {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
    let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { UInt64($0) }
    let counts = numbers.dropFirst(3).map { Int($0) }
    guard numbers.first == first, counts.count == result.counts.count else {
      fail("\(path) is of other runs; remove it to begin with seed \(first)")
    }
    (next, hash) = (numbers[1], numbers[2])
    result.counts = counts
    resumed = result.recoveries
  }

  func write(to path: String, from first: UInt64) {
    let text = ([first, next, hash] + result.counts.map { UInt64($0) }).map { "\($0)" }.joined(separator: " ")
    do { try (text + "\n").write(toFile: path, atomically: true, encoding: .utf8) } catch {
      tell("penstock lab: \(error)")
    }
  }
}
