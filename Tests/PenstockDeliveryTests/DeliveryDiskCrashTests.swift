import PenstockDelivery
@testable import PenstockLog
import PenstockTestKit
import Testing

/// A cursor on a simulated disk, without a log.
struct SlotLease: CursorLease {
  let held: HeldCursor
  let epoch: UInt32
  let source: InMemorySource

  init(_ disk: SimulatedFileSystem, _ source: InMemorySource) throws(LogError) {
    held = try CursorStore.hold(disk, LogPaths("/log"), logID: Array(1...16), name: "billing", startingAt: .zero)
    epoch = try held.move { (state) throws(CursorMoveError) in state.acquired() }.epoch
    self.source = source
  }

  var name: String { held.name }
  var state: CursorState { get async { held.state } }

  func begin(_ intent: Intent, rejectionReason: String?) async throws(LogError) {
    let end = source.end
    try held.move { (state) throws(CursorMoveError) in
      try state.beginning(intent, rejectionReason: rejectionReason, epoch: epoch, durableEnd: end)
    }
  }
  func replace(_ id: DeliveryID, with intent: Intent, rejectionReason: String?) async throws(LogError) -> CursorState {
    try held.move { (state) throws(CursorMoveError) in
      try state.replacing(id, with: intent, rejectionReason: rejectionReason, epoch: epoch)
    }
  }
  func complete(_ id: DeliveryID, receipt: String, beginning next: Intent?) async throws(LogError) -> CursorState {
    let end = source.end
    return try held.move { (state) throws(CursorMoveError) in
      try state.completing(id, receipt: receipt, beginning: next, epoch: epoch, durableEnd: end)
    }
  }
  func settle(_ id: DeliveryID, _ change: EventMove) async throws(LogError) -> CursorState {
    try held.move { (state) throws(CursorMoveError) in try state.settling(id, change, epoch: epoch) }
  }
  func skip(to offset: Offset) async throws(LogError) -> CursorState {
    let end = source.end
    let skipped = try held.skip { (state) throws(CursorMoveError) in
      try state.committing(to: offset, epoch: epoch, durableEnd: end)
    }
    guard let skipped else { preconditionFailure("one thread moves the cursor") }
    return skipped
  }
  func save() async throws(LogError) { try held.save() }
}

/// Power cuts at every I/O of a delivery whose cursor and dead letters are on one simulated disk. Batches are closed by
/// the time of day and by age. The sink's configuration and the policies are others after each restart. The destination
/// loses answers and rejects records.
@Suite("A delivery whose machine loses its power", .timeLimit(.minutes(4))) struct DeliveryDiskCrashTests {
  struct Setting: Sendable {
    var maxInFlight: Int
    var isSingle = false
  }
  static let settings = [
    Setting(maxInFlight: 1), Setting(maxInFlight: 2), Setting(maxInFlight: 1, isSingle: true),
    Setting(maxInFlight: 3, isSingle: true),
  ]

  /// One world: what survives the deaths of processes, besides the disk.
  final class World: Sendable {
    let rig = DeliveryRig()
    let destination = RecordingDestination()
    let maxInFlight: Int
    let isSingle: Bool

    init(_ setting: Setting) {
      (maxInFlight, isSingle) = (setting.maxInFlight, setting.isSingle)
      // Minutes apart, so that the boundary of a minute closes batches, and age does under the other policy.
      for number in 0..<9 {
        rig.source.append("record \(number)")
        rig.clock.advance(by: .seconds(25))
      }
      rig.clock.advance(by: .seconds(600))
    }

    /// One process, until it has delivered everything or its disk is gone. Returns why it closed its batches.
    func live(_ disk: SimulatedFileSystem, number: Int) async -> [CloseReason] {
      guard let lease = try? SlotLease(disk, rig.source) else { return [] }
      let environment = DeadLetterLogTests.environment(disk, salt: UInt64(number) + 10)
      let box = DeadLetterLog(in: "/dead", cursor: "billing", environment: environment)
      let isFirst = number % 2 == 0
      let sink = ScriptedSink(
        destination, lineEnding: isFirst ? "\n" : "\r\n", script: [.loseAnswer, .accept, .loseAnswer],
        faults: .init(rejects: [Offset(2), Offset(7)]))
      let policy =
        isFirst
        ? BatchPolicy(maxRecords: 4, maxWait: .seconds(3600), boundary: .seconds(60))
        : BatchPolicy(maxRecords: 3, maxWait: .seconds(10))
      let notices = NoticeLog()
      let (delivery, run) = Delivery(
        from: lease, source: rig.source,
        to: SelectingSink(sink: sink, selection: .all, sendsSingleEvents: isSingle),
        options: DeliveryOptions(
          policy: policy, retry: RetryPolicy(first: .zero, cap: .zero), maxInFlight: maxInFlight), deadLetters: box,
        environment: rig.environment(notices.observer)
      ).started()
      let end = rig.source.end
      _ = await delivery.waitForProgress { $0.committed == end || $0.activity == .halted || $0.activity == .ended }
      delivery.stop()
      _ = try? await run.value
      lease.held.close()
      return notices.closeReasons
    }

    func check(_ disk: SimulatedFileSystem, _ story: String) async throws {
      let state = try CursorStore.peek(disk, LogPaths("/log"), name: "billing")
      #expect(state.committed == Offset(9) && state.nextFirst == Offset(9), "\(story)")
      let letters = try await DeadLetters(in: "/dead", environment: DeadLetterLogTests.environment(disk, salt: 99))
        .list(of: "billing")
      #expect(letters.map(\.letter.offset.rawValue) == [2, 7], "\(story)")
      var contents: [DeliveryID: RecordingDestination.Arrival] = [:]
      for arrival in destination.arrivals {
        let known = contents.updateValue(arrival, forKey: arrival.id) ?? arrival
        let isEqual = known.bytes == arrival.bytes && known.range == arrival.range && known.plan == arrival.plan
        #expect(isEqual, "\(story): delivery \(arrival.id) came with two contents")
      }
      let held = destination.distinct.flatMap { Array($0.range.lowerBound.rawValue..<$0.range.upperBound.rawValue) }
      #expect(held.sorted() == [0, 1, 3, 4, 5, 6, 8], "\(story): every record once")
    }
  }

  func freshDisk() throws -> SimulatedFileSystem {
    let disk = SimulatedFileSystem()
    try LogDirectory.create(disk, LogPaths("/log"))
    // The cursor's own birth is another suite's business.
    _ = try CursorStore.hold(disk, LogPaths("/log"), logID: Array(1...16), name: "billing", startingAt: .zero)
    return disk.powerCut(.nothingUnsynced)
  }

  @Test(arguments: settings)
  func `at any I/O keeps every batch's range, bytes and id, also of batches that the clock closed`(
    setting: Setting
  ) async throws {
    let whole = try freshDisk()
    let world = World(setting)
    let reasons = await world.live(whole, number: 0)
    try await world.check(whole, "without a crash")
    #expect(setting.isSingle || reasons.contains(.boundary) && reasons.contains(.split))
    var (points, lives) = (0, 0)
    var other: Set<CloseReason> = []
    for number in 1...whole.ioCount {
      for policy in [CrashPolicy.nothingUnsynced, .everything, .seeded(UInt64(number))] {
        let world = World(setting)
        let disk = try freshDisk()
        disk.crash(atIO: number)
        _ = await world.live(disk, number: 0)
        let next = disk.powerCut(policy)
        // The second one may die, too, a few steps on.
        next.crash(atIO: 1 + number % 23)
        _ = await world.live(next, number: 1)
        let last = next.powerCut(policy)
        other.formUnion(await world.live(last, number: 2))
        try await world.check(last, "power cut at I/O \(number), \(policy)")
        points += 1
        lives += 3
      }
    }
    print(
      "delivery crash points on disk, \(setting.maxInFlight) in flight\(setting.isSingle ? ", event by event" : ""): "
        + "\(whole.ioCount) I/Os, \(points) power cuts, "
        + "\(lives) lives")
    #expect(whole.ioCount > 30 && other.contains(.reopened) && (setting.isSingle || other.contains(.boundary)))
  }

  @Test(arguments: settings)
  func `in the next process, after one was killed at any I/O, loses nothing that was in the killed one's cache alone`(
    setting: Setting
  ) async throws {
    let whole = try freshDisk()
    _ = await World(setting).live(whole, number: 0)
    for number in 1...whole.ioCount {
      for later in [5, 29].map({ $0 + number % 24 }) {
        let world = World(setting)
        let disk = try freshDisk()
        disk.crash(atIO: number)
        _ = await world.live(disk, number: 0)
        let next = disk.processKill()
        next.crash(atIO: later)
        _ = await world.live(next, number: 1)
        let last = next.powerCut(.nothingUnsynced)
        _ = await world.live(last, number: 2)
        try await world.check(last, "killed at I/O \(number), power cut \(later) later")
      }
    }
  }
}
