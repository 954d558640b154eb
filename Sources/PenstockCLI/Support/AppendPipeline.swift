import PenstockLog
import Synchronization

/// Appends batches one after the other while the next is being read: what was acknowledged is always a prefix of the
/// input, even when the disk fills up and has room again in between, which several appends at once could not promise.
final class AppendPipeline {
  /// What is durable of the input.
  struct Tally: Sendable {
    var records = 0
    /// Record bytes, without line ends.
    var bytes = 0
    var first: Offset?
    var end: Offset?
  }

  private let log: Log
  private let durability: Durability
  private let acknowledged: @Sendable (Receipt, Tally) -> Void
  /// Set to append as a producer: what was appended before is left out by the log.
  private let producer: Producer?
  private let state = Shared()
  private var inFlight: Task<Result<Void, LogError>, Never>?

  private final class Shared: Sendable {
    let tally = Mutex(Tally())
    let isBusy = Atomic(false)
  }

  init(
    _ log: Log, _ durability: Durability, _ producer: Producer? = nil,
    acknowledged: @escaping @Sendable (Receipt, Tally) -> Void
  ) {
    self.log = log
    self.producer = producer
    self.durability = durability
    self.acknowledged = acknowledged
  }

  var tally: Tally { state.tally.withLock { $0 } }
  /// Whether an append is under way.
  var isBusy: Bool { state.isBusy.load(ordering: .acquiring) }

  /// Waits for the append before, then begins this one. Throws what the one before threw; this one is then not begun.
  ///
  /// - Parameter source: What a producer notes with the batch: how far in its input it came.
  func append(_ batch: RecordBatch, source: [UInt8] = []) async throws(LogError) {
    try await finish()
    state.isBusy.store(true, ordering: .releasing)
    inFlight = Task { [log, durability, state, acknowledged, producer] in
      defer { state.isBusy.store(false, ordering: .releasing) }
      do throws(LogError) {
        let receipt: Receipt
        if let producer {
          receipt = try await producer.append(
            batch, sequence: (producer.lastSequence ?? 0) + 1, source: source)
        } else {
          receipt = try await log.append(batch, durability: durability)
        }
        let tally = state.tally.withLock { tally in
          tally.records += batch.count
          tally.bytes += batch.byteCount
          tally.first = tally.first ?? receipt.offsets.lowerBound
          tally.end = receipt.offsets.upperBound
          return tally
        }
        acknowledged(receipt, tally)
        return .success(())
      } catch {
        return .failure(error)
      }
    }
  }

  /// Returns when everything appended is acknowledged.
  func finish() async throws(LogError) {
    guard let task = inFlight else { return }
    inFlight = nil
    try await task.value.get()
  }
}
