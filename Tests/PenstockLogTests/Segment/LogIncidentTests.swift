@testable import PenstockLog
import PenstockTestKit
import Testing

/// What has gone wrong in other logs, where no other suite has it; docs/internals/incidents.md has them all.
@Suite struct LogIncidentTests {
  @Test func `a checksum of 0 is one like any other`() throws {
    var bytes = try Blocks.encode([batch([record(1)])]).bytes
    func checksum(_ last: UInt32) -> UInt32 {
      bytes.withUnsafeMutableBytes { bytes in
        bytes.put(last, at: 100)
        return Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<108]), seed: Blocks.seed)
      }
    }
    // A CRC is linear: which bits of the four bytes to flip follows from what each of them alone does to it.
    let base = checksum(0)
    var steps: [(effect: UInt32, bits: UInt32)] = []
    for bit in 0..<32 {
      var step = (effect: checksum(1 << UInt32(bit)) ^ base, bits: UInt32(1) << UInt32(bit))
      for known in steps where step.effect ^ known.effect < step.effect {
        step = (step.effect ^ known.effect, step.bits ^ known.bits)
      }
      steps.append(step)
      steps.sort { $0.effect > $1.effect }
    }
    var wanted = (effect: base, bits: UInt32(0))
    for step in steps where wanted.effect ^ step.effect < wanted.effect {
      wanted = (wanted.effect ^ step.effect, wanted.bits ^ step.bits)
    }
    try #require(checksum(wanted.bits) == 0)
    bytes.withUnsafeMutableBytes { $0.put(UInt32(0), at: 108) }
    #expect(try Blocks.read(bytes).records == [record(1)])
    // Nor does it stand for "not checked".
    for position in [16, 56, 103, 4095] {
      bytes[position] ^= 1
      #expect(throws: (any Error).self, "byte \(position)") { try Blocks.read(bytes) }
      bytes[position] ^= 1
    }
  }

  @Test func `whatever becomes of META and the commit point, no segment and no cursor is touched`() throws {
    let (test, writer) = try TestLog.written()
    while test.segments.count < 3 { try writer.commit(record(test.segments.count)) }
    _ = try CursorStore.hold(
      test.disk, TestLog.paths, logID: writer.logID, name: "c", startingAt: .zero)
    let other = TestLog(seed: 2)
    _ = try other.openWriter()
    let foreign = try other.contents(TestLog.paths.meta)
    let own = try test.contents(TestLog.paths.meta)
    let commitPoint = try test.contents(TestLog.paths.commitPoint)
    var random = SplitMix64(seed: 9)
    let metas: [[UInt8]?] = [
      own, nil, [], Array(own.prefix(100)), [UInt8](repeating: 0, count: own.count), random.bytes(own.count), foreign,
    ]
    let commitPoints: [[UInt8]?] = [commitPoint, nil, [], random.bytes(commitPoint.count)]
    var refused = 0
    for meta in metas {
      for commitPoint in commitPoints {
        let image = test.killed()
        for (path, bytes) in [(TestLog.paths.meta, meta), (TestLog.paths.commitPoint, commitPoint)] {
          try image.remove(path)
          if let bytes { image.disk.install(path, bytes) }
        }
        func kept() -> [String: [UInt8]] {
          let files = image.disk.filePaths.filter { $0.hasSuffix(".seg") || $0.hasSuffix("small.slots") }
          // An opening gives back the zeros after the last block.
          return Dictionary(
            uniqueKeysWithValues: files.map { path in
              let bytes = image.disk.contents(path) ?? []
              return (path, Array(bytes.prefix((bytes.lastIndex { $0 != 0 } ?? -1) + 1)))
            })
        }
        let before = kept()
        try #require(before.count == 4)
        do throws(LogError) {
          let found = try image.openWriter()
          #expect(found.durableEnd == writer.durableEnd)
        } catch {
          refused += 1
        }
        let isKept = before.allSatisfy { kept()[$0.key] == $0.value }
        #expect(isKept, "META of \(meta?.count ?? -1) bytes, commit point of \(commitPoint?.count ?? -1)")
      }
    }
    #expect(refused > 0 && refused < metas.count * commitPoints.count)
  }
}
