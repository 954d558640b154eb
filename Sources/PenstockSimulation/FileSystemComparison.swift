package import PenstockLog
import PenstockTestKit

/// Drives two file systems with the same random verbs and compares every answer: the simulated disk has to be the real
/// one in all that can be seen without a crash.
package enum FileSystemComparison {
  /// Runs `steps` verbs chosen by `seed` in `directory` of each, which exist and are empty. Throws a
  /// ``FileSystemViolation`` at the first difference.
  package static func run(
    _ left: any FileSystem, in leftDirectory: String, _ right: any FileSystem, in rightDirectory: String,
    seed: UInt64, steps: Int
  ) throws {
    var random = SplitMix64(seed: seed)
    var sides = [Side(left, leftDirectory), Side(right, rightDirectory)]
    defer { for side in sides { side.closeAll() } }
    for number in 1...steps {
      let step = Step(&random)
      let answers = (sides[0].perform(step), sides[1].perform(step))
      guard answers.0 == answers.1 else {
        throw FileSystemViolation(description: "step \(number), \(step): \(answers.0) against \(answers.1)")
      }
    }
  }

  private struct Step {
    let verb: Int
    let name: String
    let other: String
    let slot: Int
    let position: Int
    let length: Int
    let fill: UInt8

    init(_ random: inout SplitMix64) {
      verb = random.below(17)
      name = ["a", "b", "c", "d/a", "d", "e/a"][random.below(6)]
      other = ["a", "b", "c"][random.below(3)]
      slot = random.below(3)
      position = random.below(4) * 512 + random.below(3) * 100
      length = [0, 1, 100, 512, 1500, 4096][random.below(6)]
      fill = UInt8(random.below(256))
    }
  }

  private struct Side {
    let disk: any FileSystem
    let directory: String
    var open: [OpenFileHandle?] = [nil, nil, nil]

    init(_ disk: any FileSystem, _ directory: String) {
      self.disk = disk
      self.directory = directory
    }

    func closeAll() { for case let file? in open { disk.close(file) } }

    mutating func perform(_ step: Step) -> String {
      do {
        return try answer(step)
      } catch let error as FileSystemError {
        return "\(error.code)"
      } catch {
        return "\(error)"
      }
    }

    private mutating func answer(_ step: Step) throws -> String {
      let bench = ConformanceHarness(disk: disk, directory: directory)
      let path = bench.path(step.name)
      switch step.verb {
      case 0, 1, 2:
        if let old = open[step.slot] { disk.close(old) }
        open[step.slot] = nil
        open[step.slot] = try disk.open(path, [.create, .readWrite, .readOnly][step.verb])
        return "open"
      // Within one directory; the simulation refuses what a kernel would do beyond that.
      case 3:
        try disk.rename(bench.path(step.other), to: bench.path(["a", "b", "c", "d"][step.slot]))
      case 16: try disk.replace(bench.path(["a", "b", "c", "d"][step.slot]), with: bench.path(step.other))
      case 4: try disk.remove(bench.path(step.other))
      case 5: try disk.makeDirectory(bench.path("d"))
      case 6: return "\(try disk.list(directory).sorted())"
      case 7: try disk.synchronizeDirectory(path)
      default: return try open[step.slot].map { try answer(step, $0, bench) } ?? "closed"
      }
      return "done"
    }

    private func answer(_ step: Step, _ file: OpenFileHandle, _ bench: ConformanceHarness) throws -> String {
      switch step.verb {
      case 8, 9, 10:
        try bench.write(file, [UInt8](repeating: step.fill, count: step.length), at: UInt64(step.position))
      case 11, 12: return "\(try bench.read(file, step.length, at: UInt64(step.position)))"
      case 13: try disk.truncate(file, to: UInt64(step.position + step.length))
      case 14: try disk.synchronize(file)
      default:
        return "\(try disk.size(file)) \(try disk.lock(file)) \(try disk.path(bench.path(step.name), names: file))"
      }
      return "done"
    }
  }
}
