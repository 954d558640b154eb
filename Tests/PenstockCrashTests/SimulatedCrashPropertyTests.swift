import PenstockLog
import PenstockTestKit
import Testing

/// The simulated disk against a second, much simpler model of what a crash may do: for each sector the set of contents
/// it had since the last sync, for the file the set of its sizes.
@Suite("Power losses of random histories")
struct SimulatedCrashPropertyTests {
  private static let sectors = 8

  /// What one sector and the size may be after a power loss.
  private struct Model {
    var bytes: [UInt8] = []
    var versions = [Set<[UInt8]>](repeating: [[UInt8](repeating: 0, count: 512)], count: sectors)
    var sizes: Set<Int> = [0]

    func sector(_ index: Int, of bytes: [UInt8]) -> [UInt8] {
      let present = bytes.dropFirst(index * 512).prefix(512)
      return present + [UInt8](repeating: 0, count: 512 - present.count)
    }

    mutating func write(_ value: UInt8, _ range: Range<Int>) {
      if bytes.count < range.upperBound {
        bytes += [UInt8](repeating: 0, count: range.upperBound - bytes.count)
        sizes.insert(bytes.count)
      }
      for position in range { bytes[position] = value }
      for index in range.lowerBound / 512...(range.upperBound - 1) / 512 {
        versions[index].insert(sector(index, of: bytes))
      }
    }

    mutating func synchronize() {
      versions = (0..<versions.count).map { [sector($0, of: bytes)] }
      sizes = [bytes.count]
    }

    /// Nil, or what is impossible about a file found after a crash.
    func complaint(_ found: [UInt8]) -> String? {
      guard sizes.contains(found.count) else { return "size \(found.count), not of \(sizes.sorted())" }
      for index in 0..<versions.count where index * 512 < found.count {
        let shown = sector(index, of: found)
        // A sector at the end shows only what is within the size.
        let length = min(512, found.count - index * 512)
        let possible = versions[index].contains { $0.prefix(length) == shown.prefix(length) }
        if !possible { return "sector \(index) holds what it never held" }
      }
      return nil
    }
  }

  @Test(
    "every outcome is made of bytes and sizes that were there since the last sync",
    arguments: 0..<16 as Range<UInt64>)
  func outcomes(_ seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var disk = try SimulatedFileSystem.prepared(["/log/a": []], seed: seed)
    var file = try disk.open("/log/a", .readWrite)
    var model = Model()
    for step in 0..<60 {
      if random.below(5) == 0 {
        try disk.synchronize(file)
        model.synchronize()
      } else {
        let start = random.below(Self.sectors * 512 - 1)
        let range = start..<min(start + 1 + random.below(1500), Self.sectors * 512)
        let value = UInt8(random.below(4))
        try disk.put(file, [UInt8](repeating: value, count: range.count), at: UInt64(start))
        model.write(value, range)
      }
      #expect(disk.contents("/log/a") == model.bytes)
      for cut in 0..<4 as Range<UInt64> {
        let found = try #require(disk.powerCut(.seeded(seed &* 1000 &+ cut)).contents("/log/a"))
        #expect(model.complaint(found) == nil, "step \(step)")
      }
      // Sometimes the test continues from an outcome, or with a new process.
      switch random.below(12) {
      case 0:
        disk = disk.powerCut(.seeded(seed))
        model.bytes = try #require(disk.contents("/log/a"))
        model.synchronize()
      case 1: disk = disk.processKill()
      default: continue
      }
      file = try disk.open("/log/a", .readWrite)
    }
  }
}
