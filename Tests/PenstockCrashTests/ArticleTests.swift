import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

// The code of two articles of PenstockTestKit's documentation, word for word, so that what they say runs:
// test_snippets.py compares them.

/// Adds up numbers, and remembers how far it came, in one step: what a transaction would do.
struct Total: Equatable {
  var sum = 0
  var next = Offset.zero

  mutating func add(_ batch: Batch) {
    batch.forEachRecord { record in
      guard record.offset >= next else { return }  // it comes again after a crash
      sum += Int(String(decoding: record.bytes, as: UTF8.self)) ?? 0
      next = record.offset + 1
    }
  }
}

func consume(_ log: Log, into total: inout Total, upTo end: Offset) async throws {
  let cursor = try await log.cursor(named: "total")
  while cursor.state.committed < end, let batch = try await cursor.next(upTo: .init(records: 3)) {
    total.add(batch)
    try await cursor.commit(batch)
  }
}

func environment(on disk: SimulatedFileSystem) -> LogEnvironment {
  var random = SplitMix64(seed: 7)
  let salt = (0..<16).map { _ in UInt8(random.below(256)) }
  return LogEnvironment(fileSystem: disk, clock: ManualClock(), randomBytes: { salt })
}

@Test("The consumer adds every number once, whenever the power fails")
func consumerSurvivesEveryPowerCut() async throws {
  let numbers = 1...20
  let disk = SimulatedFileSystem()
  let log = try await Log.open(at: "log", environment: environment(on: disk))
  for number in numbers { try await log.append(String(number)) }
  try await log.close()

  var point = 1
  while true {
    // The machine goes down in this I/O of the consumer; of what was not synced, chance keeps some.
    let before = disk.processKill()
    before.crash(atIO: point)
    var total = Total()
    try? await run(on: before, into: &total)
    guard before.isDown else { break }  // it got through: every I/O has been the fatal one
    let after = before.powerCut(.seeded(UInt64(point), .tornSectors))
    try await run(on: after, into: &total)
    #expect(total == Total(sum: numbers.reduce(0, +), next: Offset(20)), "power cut at I/O \(point)")
    point += 1
  }
  #expect(point > 10)
}

func run(on disk: SimulatedFileSystem, into total: inout Total) async throws {
  let log = try await Log.open(at: "log", environment: environment(on: disk))
  do {
    try await consume(log, into: &total, upTo: Offset(20))
  } catch {
    try? await log.close()
    throw error
  }
  try await log.close()
}

@Test("The sink keeps the contract")
func contract() async throws {
  let records = [Array(#"{"id":1}"#.utf8), Array(#"{"id":2}"#.utf8)]
  try await SinkConformance.check(records: records, secrets: ["hunter2"]) { makeSink() }
}

@Test("A batch that is not full waits for its time")
func waits() async throws {
  let clock = ManualDeliveryClock()
  let source = InMemorySource(timeOfDay: clock.timeOfDay, clock: clock)
  let cursor = InMemoryCursor(named: "partner", of: source)
  let sink = makeSink()
  let delivery = Delivery(
    from: cursor.acquire(), source: source, to: sink, policy: BatchPolicy(maxRecords: 10, maxWait: .seconds(5)),
    environment: DeliveryEnvironment(clock: clock, wallClock: clock.timeOfDay))
  source.append("one", "two")
  let run = Task { try await delivery.run() }
  clock.advance(to: await clock.sleeper())
  await sink.destination.untilArrivals(1)
  #expect(sink.destination.content == Array("one\ntwo\n".utf8))
  delivery.stop()
  _ = try await run.value
}

@Test("Every record arrives, whatever step is the fatal one")
func dies() async throws {
  var step = 1
  var isThrough = false
  while !isThrough {
    let source = InMemorySource()
    let cursor = InMemoryCursor(named: "partner", of: source)
    source.append("one", "two", "three", "four", "five")
    let destination = RecordingDestination()
    for fatal in [step, nil] {
      let crash = CrashSwitch(at: fatal)
      let delivery = Delivery(
        from: cursor.acquire(crash: crash), source: source, to: ScriptedSink(destination, faults: .init(crash: crash)),
        policy: BatchPolicy(maxRecords: 2))
      let run = Task { try await delivery.run(untilCaughtUpWith: nil) }
      let reaper = Task { if await crash.untilDead() { run.cancel() } }
      _ = try await run.value
      reaper.cancel()
      if fatal != nil { isThrough = !crash.isDead }
    }
    #expect(destination.violations.isEmpty)
    #expect(destination.content == Array("one\ntwo\nthree\nfour\nfive\n".utf8))
    step += 1
  }
}

private func makeSink() -> ScriptedSink { ScriptedSink() }
