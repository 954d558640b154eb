import PenstockLog
import Synchronization

/// Appends one batch at a time while the caller reads the next.
///
/// So the acknowledged records are always a prefix of the input, even when the disk is full for a moment. Several
/// appends at once could not guarantee that.
final class AppendPipeline {
  /// The acknowledged part of the input.
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
  /// If set, batches are appended as this producer, and the log drops duplicates.
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
  /// Whether an append is in flight.
  var isBusy: Bool { state.isBusy.load(ordering: .acquiring) }

  /// Waits for the previous append, then starts this one. If the previous one failed, throws its error and does not
  /// start.
  ///
  /// - Parameter source: The producer's position in its input, stored with the batch.
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
