@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// Retention drops segments while they are being sealed. Every meeting point of the two is tried: the sealing stops at
/// its nth step, a retention run takes the log's beginning, and the sealing continues.
@Suite(.timeLimit(.minutes(1))) struct SealingRetentionRaceTests {
  /// - Parameter drops: How many segments retention takes: the one that is being sealed alone, or with it the next one,
  ///   which the sealing asks for its chain.
  private func settled(_ step: Int, drops: Int) throws -> Bool {
    var bench = try SealFixture(segments: 4)
    let sizes = try bench.log.segments.map { try bench.log.contents($0).count }
    let kept = sizes.dropFirst(drops).reduce(0, +)
    bench.log.configuration.retention = RetentionPolicy(maxBytes: max(kept, 64 << 10))
    let writer = try bench.log.openWriter()
    let sealer = bench.sealer()
    let job = try #require(SealingPlan().next(in: writer.view.set.segments.map(\.name)))
    var steps = 0
    var dropped = 0
    let outcome = try sealer.seal(job, in: writer.view) { (_) throws(LogError) in
      steps += 1
      if steps == step { dropped = try writer.trimmer.trim().droppedSegments }
    }
    let wasReached = steps >= step
    if wasReached {
      #expect(dropped == drops && outcome == .dropped, "step \(step): \(outcome), \(dropped) segments dropped")
    } else {
      _ = try writer.trimmer.trim()
    }
    // What is gone stays gone, nothing is left of the sealing, and the rest is whole, also after a power cut.
    #expect(writer.view.set.segments.map { TestLog.paths.segment($0.name) } == bench.log.segments)
    #expect(!bench.log.disk.filePaths.contains { $0.hasSuffix(".sealing") })
    let next = try bench.log.afterPowerCut().openWriter()
    #expect(next.recovery.gaps.isEmpty && next.recovery.end == writer.end)
    #expect(next.view.set.segments.map(\.name) == writer.view.set.segments.map(\.name))
    #expect(try Reading(next.view).gaps.map(\.reason) == [.trimmed])
    return wasReached
  }

  @Test(arguments: [1, 3]) func `at whatever step retention comes, nothing that is dropped comes back`(
    drops: Int
  ) throws {
    var step = 1
    while try settled(step, drops: drops) { step += 1 }
    #expect(step > 10, "every block read is a step, and every block of the new file read back")
  }
}
