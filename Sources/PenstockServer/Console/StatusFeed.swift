import PenstockDelivery
import Synchronization

/// The status for those who watch: as a stream of server-sent events, one a second.
///
/// All streams for the same audience share one look a second, and each writes a look only when the one before has been taken by its client: a slow client
/// sees fewer looks and holds no more memory. Whoever looked for ``maxAge`` asks again, and shows its key again.
final class StatusFeed: Sendable {
  /// One watcher's place; given back when it is let go of, however its stream ended.
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
    var looks: [RedactionScope: (at: MonotonicInstant, text: Task<String, Never>)] = [:]
    var history: StatusHistory
  }
  private let state: Mutex<State>
  private let clock: any DeliveryClock
  private let look: @Sendable (RedactionScope) async -> String
  private let sample: @Sendable () -> StatusHistory.Sample
  private let ended = AsyncCondition(false)

  /// - Parameters:
  ///   - look: The status as JSON on one line, as it is for an audience.
  ///   - sample: Reads memory alone.
  init(
    clock: any DeliveryClock = SystemDeliveryClock(), destinations: [String],
    look: @escaping @Sendable (RedactionScope) async -> String, sample: @escaping @Sendable () -> StatusHistory.Sample
  ) {
    self.clock = clock
    self.look = look
    self.sample = sample
    state = Mutex(State(history: StatusHistory(destinations: destinations)))
  }

  /// Watchers at present.
  var streams: Int { state.withLock { $0.streams } }
  var history: StatusHistory { state.withLock { $0.history } }

  /// Remembers where everything stands, until ``end()``.
  func run() async {
    repeat {
      let sample = sample()
      state.withLock { $0.history.add(sample) }
    } while await pause(until: clock.now() + StatusHistory.interval)
  }

  /// Ends every stream, and takes no other.
  func end() { ended.update { $0 = true } }

  var isEnded: Bool { ended.value }

  /// A place for one more; nil when all are taken, or the service ends.
  func take() -> Seat? {
    guard !isEnded else { return nil }
    let isFree = state.withLock { state in
      guard state.streams < Self.maxStreams else { return false }
      state.streams += 1
      return true
    }
    return isFree ? Seat(self) : nil
  }

  /// Writes a look now and each second, until the service ends, the watcher may not look any more, or has looked long enough.
  func stream(
    for audience: RedactionScope = .company, whileAllowed isAllowed: () -> Bool, write: (String) async throws -> Void
  ) async throws {
    let end = clock.now() + Self.maxAge
    var next = clock.now()
    repeat {
      guard isAllowed() else { return }
      try await write("event: status\ndata: \(await text(for: audience))\n\n")
      next = max(next + Self.interval, clock.now())
    } while next < end ? await pause(until: next) : false
  }

  /// The status, not older than half an interval.
  private func text(for audience: RedactionScope) async -> String {
    let now = clock.now()
    let task = state.withLock { state in
      if let last = state.looks[audience], now - last.at < Self.interval / 2 { return last.text }
      let task = Task { [look] in await look(audience) }
      state.looks[audience] = (now, task)
      return task
    }
    return await task.value
  }

  /// False when the service ended first, or the task was cancelled.
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
