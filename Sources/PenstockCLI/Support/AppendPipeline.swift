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
  private let numbering: Numbering?
  private let state = Shared()
  private var inFlight: Task<Result<Void, LogError>, Never>?

  /// A producer, and the place in the input at which this run began.
  struct Numbering {
    let producer: Producer
    let start: Int
  }

  private final class Shared: Sendable {
    let tally = Mutex(Tally())
    let isBusy = Atomic(false)
  }

  init(
    _ log: Log, _ durability: Durability, _ numbering: Numbering? = nil,
    acknowledged: @escaping @Sendable (Receipt, Tally) -> Void
  ) {
    self.log = log
    self.numbering = numbering
    self.durability = durability
    self.acknowledged = acknowledged
  }

  var tally: Tally { state.tally.withLock { $0 } }
  /// Whether an append is under way.
  var isBusy: Bool { state.isBusy.load(ordering: .acquiring) }

  /// Like ``append(_:endingAt:)``.
  func append(_ full: RecordFeed.FullBatch) async throws(LogError) { try await append(full.batch, endingAt: full.end) }

  /// Waits for the append before, then begins this one. Throws what the one before threw; this one is then not begun.
  /// A producer notes where in what was fed the batch ends.
  func append(_ batch: RecordBatch, endingAt end: Int = 0) async throws(LogError) {
    try await finish()
    state.isBusy.store(true, ordering: .releasing)
    let (producer, start) = (numbering?.producer, numbering?.start ?? 0)
    inFlight = Task { [log, durability, state, acknowledged] in
      defer { state.isBusy.store(false, ordering: .releasing) }
      do throws(LogError) {
        let receipt: Receipt
        if let producer {
          receipt = try await producer.append(
            batch, sequence: (producer.lastSequence ?? 0) + 1, source: Array("\(start + end)".utf8))
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
