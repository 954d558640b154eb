public import PenstockLog

/// Something that happened in a replay.
public enum ReplayObserverEvent: Sendable {
  case delivery(DeliveryObserverEvent)
  /// Records of the window are lost and were passed, as asked.
  case skipped(Gap)
}

/// What a run of a replay did.
public struct ReplayReport: Sendable, Hashable {
  public enum Ending: String, Sendable, Hashable, CaseIterable {
    /// The whole window is delivered, and the cursor removed.
    case finished
    /// It was delivered by an earlier run; nothing was done.
    case alreadyFinished
    /// Stopped before the end; run it again to go on.
    case stopped
  }

  public internal(set) var manifest: ReplayManifest
  public internal(set) var ending: Ending
  /// Everything of the window below is delivered or was skipped.
  public internal(set) var committed: Offset
  // Of this run:
  public internal(set) var batches = 0
  public internal(set) var records = 0
  /// Records that the filter let pass.
  public internal(set) var events = 0
  /// Records without a readable event time, in a replay by event times; what became of them the window says.
  public internal(set) var untimed = 0
  public internal(set) var bytes = 0
  public internal(set) var attempts = 0
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

/// How far a replay is.
public struct ReplayProgress: Sendable, Hashable {
  /// Nil before the run has found or fixed the window.
  public let manifest: ReplayManifest?
  public let delivery: DeliveryProgress?
  /// Records of the window that are delivered, filtered or skipped, by this run and those before.
  public let done: Int
  /// Records of the window.
  public let total: Int
  /// Time left at the pace of this run so far; nil before the first batch is through.
  public let timeLeft: Duration?

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
