public import PenstockLog

/// An event of a replay.
public enum ReplayObserverEvent: Sendable {
  /// An event of a batch.
  case delivery(DeliveryObserverEvent)
  /// Records of the window are lost, and the replay has skipped them.
  case skipped(Gap)
}

/// The result of a replay's run.
public struct ReplayReport: Sendable, Hashable {
  /// How the run ended.
  public enum Ending: String, Sendable, Hashable, CaseIterable {
    /// The whole window is delivered, and the cursor removed.
    case finished
    /// An earlier run delivered the window; this one did nothing.
    case alreadyFinished
    /// Stopped before the end. Another run resumes it.
    case stopped
  }

  /// The replay's durable state when the run ended.
  public internal(set) var manifest: ReplayManifest
  /// How the run ended.
  public internal(set) var ending: Ending
  /// Everything of the window below this offset is delivered or was skipped.
  public internal(set) var committed: Offset
  // Of this run:
  /// Batches delivered.
  public internal(set) var batches = 0
  /// Records that were passed: delivered, or left out by the sink's selection.
  public internal(set) var records = 0
  /// Records that passed the filter.
  public internal(set) var events = 0
  /// Records without a readable event time, in a replay by event times. The window says whether they were delivered.
  public internal(set) var untimed = 0
  /// Bytes of those records, as they are in the log.
  public internal(set) var bytes = 0
  /// Attempts at all batches, answered or not.
  public internal(set) var attempts = 0
  /// Attempts that were not the first at their batch.
  public internal(set) var retries = 0

  init(manifest: ReplayManifest, ending: Ending, committed: Offset) {
    self.manifest = manifest
    self.ending = ending
    self.committed = committed
  }

  mutating func add(_ progress: DeliveryProgress) {
    committed = max(committed, progress.committed)
    batches += progress.batches
    records += progress.records
    events += progress.events
    untimed += progress.untimed
    bytes += progress.bytes
    attempts += progress.attempts
    retries += progress.retries
  }
}

/// The progress of a replay.
public struct ReplayProgress: Sendable, Hashable {
  /// Nil before the run has read or fixed the window.
  public let manifest: ReplayManifest?
  /// The progress of this run's present delivery; nil before it begins.
  public let delivery: DeliveryProgress?
  /// Records of the window that are delivered, filtered or skipped, by this run and earlier ones.
  public let done: Int
  /// Records of the window.
  public let total: Int
  /// Time left at the speed of this run so far; nil before the first batch is committed.
  public let timeLeft: Duration?

  /// `done` of `total`, 0 … 1; 0 before the window is known.
  public var fraction: Double { total == 0 ? (manifest == nil ? 0 : 1) : Double(done) / Double(total) }

  init(manifest: ReplayManifest?, delivery: DeliveryProgress?, first: Offset?, elapsed: Duration?) {
    self.manifest = manifest
    self.delivery = delivery
    let window = manifest?.window ?? Offset.zero..<Offset.zero
    let known = manifest?.isFinished == true ? window.upperBound : delivery?.committed ?? first ?? window.lowerBound
    let committed = min(max(known, window.lowerBound), window.upperBound)
    done = committed - window.lowerBound
    total = window.upperBound - window.lowerBound
    guard let first, let elapsed, committed > first else {
      timeLeft = manifest?.isFinished == true ? .zero : nil
      return
    }
    timeLeft = elapsed * (Double(window.upperBound - committed) / Double(committed - first))
  }
}
