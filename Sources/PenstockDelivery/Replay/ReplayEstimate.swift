public import PenstockLog

/// What a replay would deliver.
public struct ReplayEstimate: Sendable, Hashable {
  /// The window's offsets. Records and stored bytes are counted; record bytes are an estimate.
  public let extent: RangeEstimate
  /// The window by event times; nil when every record of ``extent`` is included.
  public let window: EventWindow?
  /// Records in the window. The destination's filter may leave some out.
  public let events: Int
  /// The bytes of these records: counted in a window by event times, else an estimate.
  public let eventBytes: Int
  /// Records of the extent without a readable event time; counted in a window by event times.
  public let untimed: Int
  /// Requests or objects, if nothing is filtered. An estimate, since batches end at bytes that are an estimate.
  public let batches: Int
  /// The time at the settings' rate; nil without a rate, since the destination's speed is unknown.
  public let duration: Duration?

  /// The estimate for a window that includes every record of `extent`.
  public init(_ extent: RangeEstimate, policy: BatchPolicy, rate: DeliveryRate) {
    func pieces(_ amount: Int, _ most: Int) -> Int { amount / most + (amount % most == 0 ? 0 : 1) }
    let batches = max(pieces(extent.records, policy.maxRecords), pieces(extent.recordBytes, policy.maxBytes))
    self.extent = extent
    (window, events, eventBytes, untimed) = (nil, extent.records, extent.recordBytes, 0)
    self.batches = batches
    duration = Self.duration(extent.records, extent.recordBytes, batches, rate)
  }

  init(_ extent: RangeEstimate, _ count: EventCount, rate: DeliveryRate) {
    self.extent = extent
    window = count.window
    (events, eventBytes, untimed, batches) = (count.events, count.bytes, count.untimed, count.batches)
    duration = Self.duration(count.events, count.bytes, count.batches, rate)
  }

  private static func duration(_ events: Int, _ bytes: Int, _ batches: Int, _ rate: DeliveryRate) -> Duration? {
    rate.seconds(records: events, bytes: bytes, requests: batches).map { .seconds(min($0, 1e10)) }
  }
}

/// Counts the events of a window, record by record. Pure.
struct EventCount {
  let window: EventWindow
  private let policy: BatchPolicy
  private(set) var events = 0
  private(set) var bytes = 0
  private(set) var untimed = 0
  /// Batches, as the policy's limits make them.
  private(set) var batches = 0
  /// What the open batch holds.
  private var (openEvents, openBytes) = (0, 0)

  init(_ window: EventWindow, policy: BatchPolicy) {
    self.window = window
    self.policy = policy
  }

  mutating func add(_ record: RecordView) {
    let verdict = window.verdict(on: record)
    if !verdict.isTimed { untimed += 1 }
    guard verdict.isInside else { return }
    let size = record.bytes.count
    let isFull = openEvents >= policy.maxRecords || openBytes + size > policy.maxBytes
    if openEvents == 0 || isFull { (batches, openEvents, openBytes) = (batches + 1, 0, 0) }
    openEvents += 1
    openBytes += size
    events += 1
    bytes += size
  }
}

extension Replay {
  /// What a replay would deliver, without beginning it. For a replay that has begun, what all of it delivers.
  ///
  /// Reads indexes and at most three blocks. A window by event times is counted exactly, which reads all blocks of its
  /// offsets. Lost records are not counted; ``RangeEstimate/missing`` has them. Ends soon after its task is cancelled.
  ///
  /// - Parameters:
  ///   - settings: Without a window, the call uses the window of the replay with that id.
  ///   - progress: Called while blocks are read, with how many of how many records were read; must return soon.
  /// - Throws: ``ReplayError`` for an impossible window, `LogError`, `CancellationError`.
  public static func dryRun(
    _ settings: ReplaySettings, of log: any ReplayStore & RecordSource,
    progress: (@Sendable (_ counted: Int, _ total: Int) -> Void)? = nil
  ) async throws -> ReplayEstimate {
    // Reading the durable end makes a log reader see how far the log reaches now.
    _ = await log.durableEnd
    let manifest: ReplayManifest
    if let window = settings.window {
      let fixed = try await log.offload { () throws(LogError) in
        try log.window(from: window.from, to: window.to, untimed: window.untimed)
      }
      manifest = try ReplayDecision.manifest(
        settings, window, fixed: fixed, destination: "", durableEnd: await log.durableEnd,
        now: Timestamp(nanoseconds: 0))
    } else if let known = try await log.replay(settings.id) {
      manifest = known
    } else {
      throw ReplayError(.unknown, "there is no replay \(settings.id) yet; a dry run of a new one needs a window")
    }
    let rate = settings.rate ?? DeliveryRate(manifest.rate)
    let range = manifest.window
    let extent = try await log.offload { () throws(LogError) in try log.extent(of: range) }
    guard let events = manifest.events else {
      return ReplayEstimate(extent, policy: settings.policy ?? BatchPolicy(), rate: rate)
    }
    var count = EventCount(events, policy: settings.policy ?? BatchPolicy())
    try await count.addAll(of: manifest.window, in: log, progress)
    return ReplayEstimate(extent, count, rate: rate)
  }
}

extension EventCount {
  fileprivate mutating func addAll(
    of range: Range<Offset>, in source: any RecordSource, _ progress: (@Sendable (Int, Int) -> Void)?
  ) async throws {
    var next = range.lowerBound
    while next < range.upperBound {
      try Task.checkCancellation()
      do throws(LogError) {
        let most = min(range.upperBound - next, 10_000)
        guard let batch = try await source.records(from: next, maxRecords: most, maxBytes: 4 << 20) else { return }
        batch.forEachRecord { add($0) }
        next = batch.end
      } catch {
        guard let gap = error.gap, gap.end > next else { throw error }
        next = gap.end
      }
      progress?(min(next, range.upperBound) - range.lowerBound, range.upperBound - range.lowerBound)
      await Task.yield()
    }
  }
}
