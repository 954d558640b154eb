import PenstockDelivery
import Synchronization

/// The status as a stream of server-sent events, one a second.
///
/// All streams with the same redaction scope share one snapshot a second. A stream writes a snapshot only after its
/// client has read the one before. A slow client therefore gets fewer snapshots and needs no more memory. After
/// ``maxAge`` a client must connect again, with its key.
final class StatusFeed: Sendable {
  /// One of the ``maxStreams`` streams; released when it is deallocated, however the stream ended.
  final class Seat: Sendable {
    private let feed: StatusFeed
    fileprivate init(_ feed: StatusFeed) { self.feed = feed }
    deinit { feed.state.withLock { $0.streams -= 1 } }
  }

  static let interval = Duration.seconds(1)
  static let maxAge = Duration.seconds(3600)
  static let maxStreams = 64

  private struct State {
    var streams = 0
    var snapshots: [RedactionScope: (at: MonotonicInstant, text: Task<String, Never>)] = [:]
    var history: StatusHistory
  }
  private let state: Mutex<State>
  private let clock: any DeliveryClock
  private let snapshot: @Sendable (RedactionScope) async -> String
  private let sample: @Sendable () -> StatusHistory.Sample
  private let ended = AsyncCondition(false)

  /// - Parameters:
  ///   - snapshot: The status as JSON on one line, for a redaction scope.
  ///   - sample: Reads memory only.
  init(
    clock: any DeliveryClock = SystemDeliveryClock(), destinations: [String],
    snapshot: @escaping @Sendable (RedactionScope) async -> String,
    sample: @escaping @Sendable () -> StatusHistory.Sample
  ) {
    self.clock = clock
    self.snapshot = snapshot
    self.sample = sample
    state = Mutex(State(history: StatusHistory(destinations: destinations)))
  }

  /// The number of open streams.
  var streams: Int { state.withLock { $0.streams } }
  var history: StatusHistory { state.withLock { $0.history } }

  /// Records the history until ``end()``.
  func run() async {
    repeat {
      let sample = sample()
      state.withLock { $0.history.add(sample) }
    } while await pause(until: clock.now() + StatusHistory.interval)
  }

  /// Ends every stream, and refuses new ones.
  func end() { ended.update { $0 = true } }

  var isEnded: Bool { ended.value }

  /// A seat for one more stream; nil when all are in use, or the service stops.
  func take() -> Seat? {
    guard !isEnded else { return nil }
    let isFree = state.withLock { state in
      guard state.streams < Self.maxStreams else { return false }
      state.streams += 1
      return true
    }
    return isFree ? Seat(self) : nil
  }

  /// Writes a snapshot now and each second, until the service stops, the key is no longer valid, or ``maxAge`` is over.
  func stream(
    for scope: RedactionScope = .company, whileAllowed isAllowed: () -> Bool, write: (String) async throws -> Void
  ) async throws {
    let end = clock.now() + Self.maxAge
    var next = clock.now()
    repeat {
      guard isAllowed() else { return }
      try await write("event: status\ndata: \(await text(for: scope))\n\n")
      next = max(next + Self.interval, clock.now())
    } while next < end ? await pause(until: next) : false
  }

  /// The status, at most half an interval old.
  private func text(for scope: RedactionScope) async -> String {
    let now = clock.now()
    let task = state.withLock { state in
      if let last = state.snapshots[scope], now - last.at < Self.interval / 2 { return last.text }
      let task = Task { [snapshot] in await snapshot(scope) }
      state.snapshots[scope] = (now, task)
      return task
    }
    return await task.value
  }

  /// False when the service stopped first, or the task was cancelled.
  private func pause(until moment: MonotonicInstant) async -> Bool {
    await withTaskGroup(of: Bool.self) { group in
      group.addTask { [clock] in (try? await clock.sleep(until: moment)) != nil }
      group.addTask { [ended] in
        _ = await ended.wait { $0 }
        return false
      }
      let isTime = await group.next() ?? false
      group.cancelAll()
      return isTime
    }
  }
}
