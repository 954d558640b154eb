import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@Suite("Destinations that share a router", .timeLimit(.minutes(4))) struct EventRouterTests {
  private let rig = DeliveryRig()
  private let source: CountingSource

  init() { source = CountingSource(rig.source) }

  /// A destination of the events of one app.
  private struct Place {
    let cursor: InMemoryCursor
    let sink: ScriptedSink
    let delivery: Delivery
    let run: Task<DeliveryReport, any Error>
  }

  private func router(_ change: (inout Routing.Limits) -> Void = { _ in }) -> EventRouter {
    var limits = Routing.Limits()
    change(&limits)
    return EventRouter(limits, of: source, clock: rig.clock)
  }

  /// Starts a destination; without a router it reads for itself.
  private func start(
    _ app: String, _ router: EventRouter?,
    sink: ScriptedSink = ScriptedSink(
      RecordingDestination(rangesMayNotTouch: true)), cursor: InMemoryCursor? = nil,
    malformed: EventFilter.Malformed = .drop, deadLetters: (any DeadLetterStore)? = nil, maxRecords: Int = 3
  ) throws -> Place {
    let cursor = cursor ?? InMemoryCursor(named: app.replacing(" ", with: "-"), of: rig.source)
    let selecting = SelectingSink(sink: sink, selection: try only(app, malformed: malformed))
    let (delivery, run) = rig.delivery(
      to: selecting, cursor: cursor, policy: BatchPolicy(maxRecords: maxRecords), deadLetters: deadLetters,
      source: source, router: router
    ).started()
    return Place(cursor: cursor, sink: sink, delivery: delivery, run: run)
  }

  /// Appends the next events, of so many apps in turn.
  private func append(_ count: Int, apps: Int = 10) {
    let first = Int(rig.source.end.rawValue)
    rig.source.append((first..<first + count).map { Array(event($0, of: "app \($0 % apps)").utf8) })
  }

  private func rows(_ offsets: some Sequence<Int>) -> [UInt8] {
    let all = rig.source.allRecords
    return offsets.flatMap { all[$0] + [UInt8(ascii: "\n")] }
  }

  /// Those of one of ten apps.
  private func rows(of app: Int) -> [UInt8] { rows((0..<Int(rig.source.end.rawValue)).filter { $0 % 10 == app }) }

  @Test func `get exactly their events, and the log is read once for all`() async throws {
    append(300)
    let router = router()
    let places = try (0..<10).map { try start("app \($0)", router, maxRecords: 5) }
    for place in places { #expect(await place.cursor.wait { $0.committed > Offset(280) }) }
    append(300)
    for place in places { #expect(await place.cursor.wait { $0.committed > Offset(580) }) }
    for (app, place) in places.enumerated() {
      try await stop(place.delivery, place.run)
      #expect(place.sink.destination.content == rows(of: app) && place.sink.destination.violations.isEmpty)
    }
    // Each that joins makes the pass go back once, at most.
    #expect(source.read.withLock { $0 } <= 300 * 11 + 300, "\(source.read.withLock { $0 }) records were read")
    #expect(router.memberCount == 0)
  }

  @Test func `also when they end as soon as they have caught up, wherever that is`() async throws {
    append(300)
    // The router gives out its first events long before it has read everything.
    source.mostRecords.withLock { $0 = 7 }
    for (last, enoughBytes) in [(300, 1), (300, 1 << 20), (157, 1)] {
      let end = Offset(UInt64(last))
      let router = router { $0.enoughBytes = enoughBytes }
      let sinks = (0..<12).map { _ in ScriptedSink(RecordingDestination(rangesMayNotTouch: true)) }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (app, sink) in sinks.enumerated() {
          let delivery = rig.delivery(
            to: SelectingSink(sink: sink, selection: try only("app \(app)")),
            cursor: InMemoryCursor(named: "app-\(app)", of: rig.source), policy: BatchPolicy(maxRecords: 4),
            source: source, router: router)
          group.addTask {
            let report = try await delivery.run(untilCaughtUpWith: end)
            #expect(report.ending == .caughtUp && report.end == end)
          }
        }
        try await group.waitForAll()
      }
      for (app, sink) in sinks.enumerated() {
        let wanted = (0..<Int(end.rawValue)).filter { $0 % 10 == app }
        #expect(sink.destination.content == rows(wanted) && sink.destination.violations.isEmpty)
        #expect(sink.destination.arrivals.count == (wanted.count + 3) / 4, "partial batches only at the end")
      }
    }
  }

  @Test func `old events fill their batches, however few of them each read finds`() async throws {
    append(300)
    rig.clock.advance(by: .seconds(3600))
    source.mostRecords.withLock { $0 = 7 }
    // They are called for each event, long before the end.
    let router = router { $0.enoughBytes = 1 }
    let places = try (0..<10).map { try start("app \($0)", router, maxRecords: 7) }
    for (app, place) in places.enumerated() {
      // The last batch is not full, and does not wait any longer.
      #expect(await place.cursor.wait { $0.committed > Offset(290) })
      try await stop(place.delivery, place.run)
      #expect(place.sink.destination.content == rows(of: app))
      #expect(place.sink.destination.arrivals.count == 5, "30 events, 7 a batch")
    }
  }

  @Test func `a destination without events learns each second how far all were compared`() async throws {
    let router = router()
    let nobody = try start("nobody", router)
    let one = try start("app 1", router, maxRecords: 1)
    await source.untilSomebodyWaits(past: .zero)
    append(20)
    #expect(await one.cursor.wait { $0.committed == Offset(12) })
    // At the end of the log for the first time, all learn it at once.
    append(20)
    #expect(await one.cursor.wait { $0.committed == Offset(32) })
    await rig.clock.untilSomebodySleeps(until: rig.clock.now() + .seconds(1))
    rig.clock.advance(by: .seconds(1))
    #expect(await nobody.delivery.waitForProgress { $0.committed == Offset(40) })
    for place in [nobody, one] { try await stop(place.delivery, place.run) }
    #expect(nobody.cursor.state.committed == Offset(40) && nobody.sink.attempts.isEmpty)
  }

  @Test func `of many destinations some learn it four times a second, and write at once where they are`() async throws {
    let router = router { $0.many = 2 }
    let places = try (0..<5).map { number in
      try start("nobody", router, cursor: InMemoryCursor(named: "nobody-\(number)", of: rig.source))
    }
    await source.untilSomebodyWaits(past: .zero)
    while router.memberCount < 5 { await Task.yield() }
    for end: UInt64 in [20, 40] {
      append(20)
      for most in [2, 4, 5] {
        await rig.clock.untilSomebodySleeps(until: rig.clock.now() + .milliseconds(250))
        rig.clock.advance(by: .milliseconds(250))
        func written() -> Int { places.count { $0.cursor.state.committed == Offset(end) } }
        while written() < most { await Task.yield() }
        #expect(written() == most)
      }
    }
    for place in places { try await stop(place.delivery, place.run) }
    #expect(places.allSatisfy { $0.cursor.history == [.saved(Offset(20)), .saved(Offset(40))] })
  }

  /// Two destinations, of which the first hangs in its first delivery. Returns once it is sent away.
  private func withSlowOne(catchingUp: Bool, _ body: (Place, Place) async throws -> Void) async throws {
    let router = router { $0.mostBytesOfOne = 400 }
    if catchingUp { append(3_000) }
    let slow = try start("app 1", router, sink: ScriptedSink(last: .acceptWhenReleased))
    let quick = try start("app 2", router)
    if !catchingUp {
      await source.untilSomebodyWaits(past: .zero)
      append(3_000)
    }
    await slow.sink.untilDeliveries(1)
    // The second begins again whenever the other one takes something.
    while catchingUp, router.memberCount == 2 {
      rig.clock.advance(by: .seconds(1))
      await Task.yield()
    }
    try await body(slow, quick)
    slow.sink.release()
    #expect(await slow.cursor.wait { $0.committed == Offset(2_992) })
    // It has caught up, and may take its events from the router again.
    append(30)
    #expect(await slow.cursor.wait { $0.committed == Offset(3_022) })
    for place in [slow, quick] { try await stop(place.delivery, place.run) }
    #expect(slow.sink.destination.content == rows((0..<3_022).filter { $0 % 10 == 1 }))
    #expect(quick.sink.destination.content.starts(with: rows((0..<3_000).filter { $0 % 10 == 2 })))
    #expect(quick.sink.destination.violations.isEmpty)
  }

  @Test func `new events wait for no slow destination`() async throws {
    // No clock moves.
    try await withSlowOne(catchingUp: false) { _, quick in
      #expect(await quick.cursor.wait { $0.committed == Offset(2_993) })
    }
  }

  @Test func `while they catch up, a slow destination is sent away after a second`() async throws {
    try await withSlowOne(catchingUp: true) { _, quick in
      #expect(await quick.cursor.wait { $0.committed == Offset(2_993) })
    }
  }

  @Test func `a record that cannot be read stops each destination there, and none passes it`() async throws {
    append(40)
    source.unreadable.withLock { $0 = Offset(25) }
    let router = router()
    let places = try (0..<3).map { try start("app \($0)", router, maxRecords: 1) }
    for (app, place) in places.enumerated() {
      #expect(await place.delivery.waitForProgress { $0.trouble != nil })
      #expect(place.sink.destination.content == rows((0..<25).filter { $0 % 10 == app }))
      #expect(place.cursor.state.committed <= Offset(25))
    }
    source.unreadable.withLock { $0 = nil }
    for place in places { place.delivery.retryNow() }
    for (app, place) in places.enumerated() {
      #expect(await place.delivery.waitForProgress { $0.committed >= Offset(31 + UInt64(app)) })
      try await stop(place.delivery, place.run)
      #expect(place.sink.destination.content == rows(of: app))
    }
  }

  @Test func `who waits for an end ahead of the log reads for itself when the router has sent it away`() async throws {
    append(20)
    let router = router()
    let sink = ScriptedSink(RecordingDestination(rangesMayNotTouch: true))
    let delivery = rig.delivery(
      to: SelectingSink(sink: sink, selection: try only("app 1")), source: source, router: router)
    let run = Task { try await delivery.run(untilCaughtUpWith: Offset(40)) }
    #expect(await delivery.waitForProgress { $0.committed == Offset(20) })
    source.unreadable.withLock { $0 = Offset(10) }
    let other = try start("app 2", router)
    #expect(await other.delivery.waitForProgress { $0.trouble != nil })
    while router.memberCount > 0 { await Task.yield() }
    append(20)
    #expect(try await outcome(of: run).ending == .caughtUp && sink.destination.content == rows(of: 1))
    try await stop(other.delivery, other.run)
  }

  @Test func `a record that is no event concerns the destination alone whose filter halts`() async throws {
    rig.source.append(event(0, of: "app 3"), "no JSON", event(2, of: "app 3"))
    let (router, dead) = (router(), InMemoryDeadLetters())
    let halting = try start("app 3", router, malformed: .halt, deadLetters: dead.box(), maxRecords: 1)
    let passing = try start(
      "app 3", router, cursor: InMemoryCursor(named: "passing", of: rig.source), malformed: .pass, maxRecords: 1)
    for place in [halting, passing] {
      #expect(await place.cursor.wait { $0.committed == Offset(3) })
      try await stop(place.delivery, place.run)
    }
    #expect(halting.sink.destination.content == rows([0, 2]) && dead.letters.map(\.offset) == [Offset(1)])
    #expect(passing.sink.destination.content == rows([0, 1, 2]))
  }

  @Test func `what waits under one filter is not given under another`() async throws {
    let router = router()
    let cursor = InMemoryCursor(named: "changing", of: rig.source)
    let other = try start("app 9", router)
    let before = try start("app 1", router, sink: ScriptedSink(last: .acceptWhenReleased), cursor: cursor)
    append(100)
    await before.sink.untilDeliveries(1)
    #expect(await other.cursor.wait { $0.committed > Offset(80) })
    before.run.cancel()
    before.sink.release()
    try await outcome(of: before.run)
    // What the cursor has begun is delivered under the filter that began it.
    let begun = cursor.state.nextFirst
    let after = try start("app 2", router, cursor: cursor, maxRecords: 1)
    #expect(await cursor.wait { $0.committed > Offset(90) })
    for place in [after, other] { try await stop(place.delivery, place.run) }
    let wanted = (Int(begun.rawValue)..<100).filter { $0 % 10 == 2 }
    #expect(begun == Offset(22) || begun == .zero)
    #expect(
      before.sink.destination.content + after.sink.destination.content
        == rows(begun == .zero ? [] : [1, 11, 21]) + rows(wanted))
  }

  @Test func `a death at any step loses and doubles nothing`() async throws {
    func lives(_ steps: [Int]) async throws -> [Int] {
      let test = EventRouterTests()
      test.append(60)
      let destination = RecordingDestination(rangesMayNotTouch: true)
      let cursor = InMemoryCursor(named: "mortal", of: test.rig.source)
      let router = test.router()
      let other = try test.start("app 9", router)
      let counts = try await eachLife(dyingAt: steps) { number, crash in
        let sink = ScriptedSink(destination, faults: .init(crash: crash))
        let selecting = SelectingSink(sink: sink, selection: try only("app 3"))
        let delivery = test.rig.delivery(
          to: selecting, cursor: cursor, policy: BatchPolicy(maxRecords: 2), crash: crash, source: test.source,
          router: router)
        let watcher = Task {
          if await cursor.wait(until: { $0.committed >= Offset(54) && $0.inFlight.isEmpty }) { delivery.stop() }
        }
        let result = await live(until: crash) { try await delivery.run() }
        watcher.cancel()
        if number == steps.count { _ = try result.get() }
      }
      try await stop(other.delivery, other.run)
      #expect(destination.content == test.rows(of: 3), "dying at \(steps)")
      #expect(destination.violations.isEmpty && router.memberCount == 0, "dying at \(steps)")
      return counts
    }
    let steps = try await lives([])[0]
    #expect(steps > 12)
    for first in 0..<steps { _ = try await lives([first]) }
  }
}

/// Counts the records that were read, reads few at once, and cannot read one.
private final class CountingSource: RecordSource {
  private let source: InMemorySource
  let read = Mutex(0)
  let unreadable = Mutex<Offset?>(nil)
  let mostRecords = Mutex(Int.max)

  init(_ source: InMemorySource) { self.source = source }

  var logID: String { source.logID }
  var durableEnd: Offset { get async { source.end } }
  func untilSomebodyWaits(past offset: Offset) async { await source.untilSomebodyWaits(past: offset) }

  func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    let few = mostRecords.withLock { $0 }
    if few < maxRecords { for _ in 0..<20 { await Task.yield() } }
    var most = min(few, maxRecords)
    if let bad = unreadable.withLock({ $0 }), first <= bad {
      guard first < bad else { throw LogError(.damaged, "a test", location: .init(offset: bad)) }
      most = min(most, bad - first)
    }
    let batch = try await source.records(from: first, maxRecords: most, maxBytes: maxBytes)
    read.withLock { $0 += batch?.count ?? 0 }
    return batch
  }

  func records(in range: Range<Offset>) async throws(LogError) -> Batch { try await source.records(in: range) }

  func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    await source.waitForRecords(past: offset, timeout: timeout)
  }
}
