import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

@Suite("The status as a stream", .timeLimit(.minutes(1))) struct StatusFeedTests {
  /// A feed that counts its snapshots, on a clock that a test moves.
  final class Rig: Sendable {
    let clock = ManualDeliveryClock()
    let snapshots = Atomic(0)
    let written = AsyncCondition<[String]>([])
    let isAllowed = Atomic(true)
    /// How often it was asked whether the watcher may snapshot.
    let asked = AsyncCondition(0)

    var feed: StatusFeed {
      StatusFeed(
        clock: clock, destinations: ["shop"],
        snapshot: {
          "{\"snapshot\":\(self.snapshots.add(1, ordering: .relaxed).newValue)\($0 == .company ? "" : ",\"app\":1")}"
        },
        sample: { .init(time: self.clock.timeOfDay.now(), end: Offset(7), committed: [nil]) })
    }

    func watch(_ feed: StatusFeed) -> Task<Void, any Error> {
      Task {
        try await feed.stream {
          self.asked.update { $0 += 1 }
          return self.isAllowed.load(ordering: .relaxed)
        } write: { text in
          self.written.update { $0.append(text) }
        }
      }
    }

    func tick() async { clock.advance(to: await clock.sleeper()) }
    func untilWritten(_ count: Int) async { _ = await written.wait { $0.count >= count } }
  }

  private let rig = Rig()
  private let feed: StatusFeed

  init() { feed = rig.feed }

  @Test func `a watcher gets a snapshot at once and one a second, until the service ends`() async throws {
    let watching = rig.watch(feed)
    await rig.untilWritten(1)
    #expect(await rig.clock.sleeper() == MonotonicInstant(sinceStart: .seconds(1)))
    await rig.tick()
    await rig.untilWritten(2)
    feed.end()
    try await watching.value
    #expect(rig.written.value == [1, 2].map { "event: status\ndata: {\"snapshot\":\($0)}\n\n" })
    #expect(feed.take() == nil)
  }

  @Test func `all watchers share one snapshot a second`() async throws {
    let watchers = (0..<10).map { _ in rig.watch(feed) }
    await rig.untilWritten(10)
    #expect(rig.snapshots.load(ordering: .relaxed) == 1)
    feed.end()
    for watcher in watchers { try await watcher.value }
  }

  @Test func `who may not see everything has snapshots of his own, one a second for all of them`() async throws {
    struct Enough: Error {}
    func snapshot(_ scope: RedactionScope) async -> String {
      let shown = AsyncCondition("")
      try? await feed.stream(for: scope, whileAllowed: { true }) { text in
        shown.update { $0 = text }
        throw Enough()
      }
      return shown.value
    }
    for _ in 0..<3 {
      #expect(await snapshot(.company) == "event: status\ndata: {\"snapshot\":1}\n\n")
      #expect(await snapshot(.oneApp) == "event: status\ndata: {\"snapshot\":2,\"app\":1}\n\n")
    }
  }

  @Test func `a watcher that reads slowly misses snapshots, and nothing waits for it in memory`() async throws {
    // Each write takes half an hour: of 3600 snapshots two are taken.
    try await feed.stream(whileAllowed: { true }) { text in
      rig.written.update { $0.append(text) }
      rig.clock.advance(by: .seconds(1800))
    }
    #expect(rig.written.value.count == 2)
  }

  @Test func `a watcher whose key is revoked is shown nothing more`() async throws {
    let watching = rig.watch(feed)
    await rig.untilWritten(1)
    rig.isAllowed.store(false, ordering: .relaxed)
    await rig.tick()
    _ = await rig.asked.wait { $0 == 2 }
    feed.end()
    try await watching.value
    #expect(rig.written.value.count == 1)
  }

  @Test func `who has watched for an hour asks again, and a client that is gone ends its stream`() async throws {
    rig.clock.advance(by: .seconds(5))
    let watching = rig.watch(feed)
    await rig.untilWritten(1)
    _ = await rig.clock.sleeper()
    rig.clock.advance(by: .seconds(3599))
    await rig.untilWritten(2)
    // The next snapshot would be an hour after the first.
    try await watching.value
    struct Gone: Error {}
    await #expect(throws: Gone.self) { try await feed.stream(whileAllowed: { true }) { _ in throw Gone() } }
  }

  @Test func `there are so many places and no more, and one that is left is free again`() throws {
    var seats = (0..<StatusFeed.maxStreams).compactMap { _ in feed.take() }
    #expect(seats.count == StatusFeed.maxStreams && feed.take() == nil)
    seats.removeLast()
    #expect(feed.streams == StatusFeed.maxStreams - 1)
    #expect(feed.take() != nil)
    withExtendedLifetime(seats) {}
  }

  @Test func `the history is of a quarter of an hour, however long the service runs`() async throws {
    let running = Task { await feed.run() }
    for _ in 0..<3 { await rig.tick() }
    _ = await rig.clock.sleeper()
    #expect(feed.history.samples.count == 4)
    feed.end()
    await running.value
    var history = StatusHistory(destinations: ["a", "b"])
    for number in 0..<500 {
      history.add(
        .init(
          time: Timestamp(nanoseconds: Int64(number) * 5_000_000_000), end: Offset(UInt64(number)),
          committed: [Offset(UInt64(number / 2)), nil]))
    }
    #expect(history.samples.count == StatusHistory.capacity && history.samples.last?.end == Offset(499))
    history = StatusHistory(destinations: ["a", "b"])
    history.add(.init(time: Timestamp(nanoseconds: 0), end: Offset(9), committed: [Offset(4), nil]))
    #expect(
      history.json.text
        == #"{"intervalSeconds":5,"times":["1970-01-01T00:00:00.000Z"],"end":[9],"committed":{"a":[4],"b":[null]}}"#)
  }
}
