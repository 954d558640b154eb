import PenstockDelivery

/// Salts that are equal in every run.
package final class SimulationSalts: Sendable {
  private let random: AsyncCondition<SplitMix64>
  package init(seed: UInt64) { random = AsyncCondition(SplitMix64(seed: seed)) }
  package func next() -> [UInt8] {
    random.update { random in (0..<16).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
  }
}
