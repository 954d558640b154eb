package import Logging
import PenstockDelivery
package import PenstockLog

/// Salts that are equal in every run.
package final class SimulationSalts: Sendable {
  private let random: AsyncCondition<SplitMix64>
  package init(seed: UInt64) { random = AsyncCondition(SplitMix64(seed: seed)) }
  package func next() -> [UInt8] {
    random.update { random in (0..<16).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
  }
}

extension LogEnvironment {
  /// Of a simulated machine, on which nothing is logged.
  package static func simulated(
    _ disk: any FileSystem, clock: any WallClock = ManualClock(), salts: SimulationSalts
  ) -> LogEnvironment {
    LogEnvironment(fileSystem: disk, clock: clock, randomBytes: { salts.next() }, logger: .silent)
  }
}

extension Logger {
  package static let silent = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
}
