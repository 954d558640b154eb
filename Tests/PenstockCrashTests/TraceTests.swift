import Foundation
import PenstockSimulation
import PenstockTestKit
import Testing

/// Equal seeds take equal ways in every process, whatever order its hash tables have.
@Suite struct TraceTests {
  /// Where another process is to write its trace.
  private static let variable = "PENSTOCK_TRACE_FILE"
  private static let file = ProcessInfo.processInfo.environment[variable]
  private let seeds: Range<UInt64> = 300..<312

  private func trace() -> [String] {
    (seeds.map { SimulationScript(seed: $0) } + seeds.map { SimulationScript(routingSeed: $0) }).map { script in
      let result = Simulation.run(script)
      return "\(script.seed) \(String(result.hash, radix: 16)) \(result.recoveries) \(result.violations)"
    }
  }

  /// Its first line tells whether two processes hash alike.
  @Test(.enabled(if: file != nil, "another process asks for it"))
  func `the trace for the process that asked`() throws {
    let lines = ["\("order".hashValue)"] + trace()
    try lines.joined(separator: "\n").write(toFile: try #require(Self.file), atomically: true, encoding: .utf8)
  }

  #if os(Linux)
    /// This test binary once more, with the variables it has but for the one that fixes the order.
    private func another(deterministic: Bool) throws -> [String] {
      let file = FileManager.default.temporaryDirectory.appendingPathComponent("penstock-\(UUID().uuidString)")
      defer { try? FileManager.default.removeItem(at: file) }
      let process = Process()
      process.executableURL = URL(
        fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      process.arguments = ["--testing-library", "swift-testing", "--filter", "TraceTests"]
      var environment = ProcessInfo.processInfo.environment
      environment["SWIFT_DETERMINISTIC_HASHING"] = deterministic ? "1" : nil
      environment[Self.variable] = file.path
      process.environment = environment
      process.standardOutput = Foundation.FileHandle.nullDevice
      process.standardError = Foundation.FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      try #require(process.terminationStatus == 0, "the other process failed")
      return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    @Test(.enabled(if: file == nil)) func `is the same in other processes that hash in another order`() throws {
      let mine = trace()
      let fixed = try another(deterministic: true)
      let (first, second) = (try another(deterministic: false), try another(deterministic: false))
      try #require(Set([fixed[0], first[0], second[0]]).count == 3, "processes that hash alike prove nothing")
      for other in [fixed, first, second] { #expect(Array(other.dropFirst()) == mine) }
    }
  #endif
}
