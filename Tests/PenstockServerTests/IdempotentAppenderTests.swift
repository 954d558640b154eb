import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

/// One life of a process: a log, and an appender over it whose journal may be on a disk of its own.
struct KeyedLife {
  let log: Log
  let appender: IdempotentAppender

  /// - Parameter time: the clock of the logs; `clock` and `pace` are the appender's.
  init(
    _ disk: SimulatedFileSystem, keys: SimulatedFileSystem? = nil, life: UInt8, capacity: Int = 100,
    producers: Int = 2, _ durability: Durability = .disk, retryInterval: Duration = .seconds(1),
    time: any WallClock = SystemWallClock(), clock: any WallClock = SystemWallClock(),
    pace: (any MonotonicClock)? = nil, onTrouble: @escaping @Sendable (LogError?) -> Void = { _ in }
  ) async throws {
    log = try await Log.open(
      at: "/log", configuration: Self.configuration(durability), environment: Self.environment(disk, life, time))
    do {
      appender = try await IdempotentAppender.open(
        log, journal: "/keys",
        options: IdempotencyOptions(
          capacity: capacity, window: 3600, producers: producers, retryInterval: retryInterval, clock: clock,
          pace: pace),
        environment: Self.environment(keys ?? disk, life &+ 100, time), onTrouble: onTrouble)
    } catch {
      try? await log.close()
      throw error
    }
  }

  static func environment(
    _ disk: SimulatedFileSystem, _ life: UInt8, _ time: any WallClock = SystemWallClock()
  ) -> LogEnvironment {
    LogEnvironment(
      fileSystem: disk, clock: time, randomBytes: { [UInt8](repeating: life &+ 1, count: 16) },
      logger: ConnectionTimeoutTests.quiet)
  }

  static func configuration(_ durability: Durability = .disk) -> LogConfiguration {
    var configuration = LogConfiguration()
    (configuration.durability, configuration.segmentBytes) = (durability, 64 << 10)
    (configuration.encoders, configuration.sealing) = (0, .off)
    return configuration
  }

  func append(_ number: Int) async -> Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError> {
    await appender.append(IdempotentAppenderTests.batch(number), key: IdempotentAppenderTests.key(number))
  }

  /// Appends it, and says whether it was there.
  func isKnown(_ number: Int) async throws -> Bool { try await append(number).get().isDuplicate }

  func close() async throws {
    try await appender.close()
    try await log.close()
  }
}

@Suite("Appends under keys, and machines that go down", .timeLimit(.minutes(4))) struct IdempotentAppenderTests {
  private let whole = SimulatedFileSystem()

  /// What a client sends under its key: two records that no other sends.
  static func batch(_ number: Int) -> RecordBatch {
    var batch = RecordBatch()
    batch.append("\(number) first")
    batch.append("\(number) second")
    return batch
  }

  static func key(_ number: Int) -> Hash128 { Hash128(high: 77, low: UInt64(number)) }

  /// One process: opens everything, sends the requests in order until something fails, and says what was acknowledged.
  ///
  /// - Parameter keys: the journal's disk, where it has one of its own.
  static func live(
    _ disk: SimulatedFileSystem, keys: SimulatedFileSystem? = nil, life: UInt8, producers: Int, _ numbers: [Int],
    _ durability: Durability = .disk
  ) async -> [(number: Int, first: Offset?, isDuplicate: Bool)] {
    guard let life = try? await KeyedLife(disk, keys: keys, life: life, producers: producers, durability) else {
      return []
    }
    var acknowledged: [(number: Int, first: Offset?, isDuplicate: Bool)] = []
    for number in numbers {
      guard case .success(let (append, isDuplicate)) = await life.append(number) else { break }
      acknowledged.append((number, append.first, isDuplicate))
    }
    try? await life.appender.close()
    try? await life.log.close()
    return acknowledged
  }

  /// What the next process must find: sends every key again.
  static func checkAgain(
    _ before: [(number: Int, first: Offset?, isDuplicate: Bool)], _ disk: SimulatedFileSystem,
    keys: SimulatedFileSystem? = nil, producers: Int, _ death: String
  ) async throws {
    let after = await live(disk, keys: keys, life: 1, producers: producers, [0, 1, 2, 3, 4])
    #expect(after.map(\.number) == [0, 1, 2, 3, 4], "\(death)")
    for (number, first, _) in before {
      let again = try #require(after.first { $0.number == number }, "\(death)")
      #expect(again.isDuplicate && again.first == first, "\(death): key \(number) was appended again")
    }
    let log = try await Log.open(
      at: "/log", configuration: KeyedLife.configuration(), environment: KeyedLife.environment(disk, 2))
    var rows: [String] = []
    for try await record in log.records() { rows.append(record.text) }
    try await log.close()
    #expect(rows.sorted() == (0..<5).flatMap { ["\($0) first", "\($0) second"] }, "\(death)")
  }

  static let numbers = [0, 1, 0, 2, 3, 1, 4]

  @Test(arguments: [1, 2])
  func `each key is appended once, whatever is lost at whichever I/O`(_ producers: Int) async throws {
    #expect(await Self.live(whole, life: 0, producers: producers, Self.numbers).count == Self.numbers.count)
    var covered = 0
    for io in 1...whole.ioCount {
      let dying = SimulatedFileSystem()
      dying.crash(atIO: io)
      let before = await Self.live(dying, life: 0, producers: producers, Self.numbers)
      let disks = [
        ("kill", dying.processKill()), ("nothing unsynced", dying.powerCut(.nothingUnsynced)),
        ("seed \(io)", dying.powerCut(.seeded(UInt64(io)))),
      ]
      for (name, disk) in disks {
        covered += 1
        try await Self.checkAgain(before, disk, producers: producers, "\(name) at I/O \(io), \(producers) producers")
      }
    }
    print("keys and crashes: \(covered) deaths at \(whole.ioCount) I/Os, producers: \(producers)")
  }

  @Test(arguments: [1, 2])
  func `a journal that fails on its own disk costs requests with keys their answers, and no key its memory`(
    _ producers: Int
  ) async throws {
    _ = await Self.live(SimulatedFileSystem(), keys: whole, life: 0, producers: producers, Self.numbers)
    var refused = 0
    for io in 1...whole.ioCount {
      let (log, keys) = (SimulatedFileSystem(), SimulatedFileSystem())
      keys.crash(atIO: io)
      let before = await Self.live(log, keys: keys, life: 0, producers: producers, Self.numbers)
      if !before.isEmpty, before.count < Self.numbers.count { refused += 1 }
      try await Self.checkAgain(
        before, log.processKill(), keys: keys.powerCut(.nothingUnsynced), producers: producers,
        "journal gone at I/O \(io)")
    }
    #expect(refused > 0, "no failure came while keys were in use")
  }

  @Test func `a log that answers before it syncs may lose what it answered, but leaves no empty key`() async throws {
    _ = await Self.live(whole, life: 0, producers: 1, Self.numbers, .kernel)
    var forgotten = 0
    for io in 1...whole.ioCount {
      let dying = SimulatedFileSystem()
      dying.crash(atIO: io)
      let before = await Self.live(dying, life: 0, producers: 1, Self.numbers, .kernel)
      let disk = dying.powerCut(.nothingUnsynced)
      // Whatever is left: each key sent again ends in one pair of its records.
      try await Self.checkAgain([], disk, producers: 1, "power cut at I/O \(io)")
      if !before.isEmpty { forgotten += 1 }
    }
    #expect(forgotten > 0, "nothing was acknowledged before a power cut")
  }

  @Test func `a journal whose disk is full refuses keys until there is room, and blocks no end`() async throws {
    let (disk, keys) = (SimulatedFileSystem(), SimulatedFileSystem())
    let told = Mutex<[LogError.Code?]>([])
    let first = try await KeyedLife(disk, keys: keys, life: 0, retryInterval: .milliseconds(1)) { trouble in
      told.withLock { $0.append(trouble?.code) }
    }
    _ = try await first.append(0).get()
    keys.capacityBytes = 0
    // Until the file's own room is used up, and both producers with it.
    var (number, taken) = (1, 1)
    while true {
      let result = await first.append(number)
      if case .failure(.journalUnavailable(let error)) = result {
        #expect(error.code == .noSpace)
        break
      }
      #expect(try result.get().0.count == 2)
      number += 1
      taken += 1
      try #require(number < 20_000, "the journal never filled its disk")
    }
    #expect(first.appender.trouble?.code == .noSpace)
    #expect(first.log.end == Offset(UInt64(taken) * 2), "what was refused is not in the log")
    keys.capacityBytes = nil
    // Attempts that began before there was room may still fail, and be told, after one that succeeded.
    var again = await first.append(number)
    while case .failure(.journalUnavailable) = again {
      await Task.yield()
      again = await first.append(number)
    }
    #expect(try again.get().isDuplicate == false)
    while told.withLock({ $0.last != .some(nil) }) { await Task.yield() }
    #expect(told.withLock { $0.first } == .noSpace)
    // And once more, to the end.
    keys.capacityBytes = 0
    while case .success = await first.append(number) { number += 1 }
    try? await first.appender.close()
    try await first.log.close()
    keys.capacityBytes = nil
    let second = try await KeyedLife(disk.processKill(), keys: keys.processKill(), life: 2, capacity: 100_000)
    for known in 0..<number { #expect(try await second.isKnown(known), "key \(known)") }
    try await second.close()
  }

  @Test func `a producer that the log is not certain of any more still tells its key`() async throws {
    let (disk, keys) = (SimulatedFileSystem(), SimulatedFileSystem())
    let before = try await KeyedLife(disk, keys: keys, life: 0, producers: 1)
    // The log has it, the journal never will.
    keys.fail(fromIO: keys.ioCount + 1, .inputOutput)
    let first = try await before.append(0).get()
    #expect(!first.isDuplicate && first.0.first == .zero)
    for text in ["lost", "kept"] { try await before.log.append(text) }
    try? await before.appender.close()
    try await before.log.close()
    let damaged = disk.processKill()
    let segment = try #require(damaged.filePaths.first { $0.hasPrefix("/log/data/") && $0.hasSuffix(".seg") })
    // The header of the second of three blocks of a page each: whose records it had, nobody can tell.
    try #require(damaged.flipBit(segment, at: 8192 + 4096 + 20, bit: 0))
    let after = try await KeyedLife(damaged, keys: keys.processKill(), life: 2, producers: 1)
    #expect(after.log.recovery.producers.uncertain == [IdempotentAppender.producerName(0)])
    let second = try await after.append(0).get()
    #expect(second.isDuplicate && second.0.first == .zero, "the key's records are in the log twice")
    #expect(try await after.isKnown(1) == false)
    try await after.close()
  }

  @Test(arguments: [1, 3])
  func `a key that was forgotten does not come back to life at a start, however often`(producers: Int) async throws {
    var (disk, keys, life) = (SimulatedFileSystem(), SimulatedFileSystem(), UInt8(0))
    let clock = ManualClock()
    /// Sends these keys in a process of its own, and says which had been sent before.
    func live(_ numbers: [Int]) async throws -> [Bool] {
      life += 1
      let process = try await KeyedLife(
        disk, keys: keys, life: life, capacity: 5, producers: producers, time: clock, clock: clock)
      var known: [Bool] = []
      for number in numbers { known.append(try await process.isKnown(number)) }
      try await process.close()
      (disk, keys) = (disk.processKill(), keys.processKill())
      return known
    }
    #expect(try await live([0, 1, 2]) == [false, false, false])
    clock.advance(seconds: 3500)
    #expect(try await live([0, 1, 2]) == [true, true, true])
    clock.advance(seconds: 101)
    // Every producer still has the key of its newest append.
    for _ in 0..<3 { #expect(try await live([]) == []) }
    #expect(try await live([2, 0, 1]) == [false, false, false], "they are remembered past their time")
    #expect(try await live([2, 0, 1]) == [true, true, true], "they are as old as their first use")
    // By number as well.
    #expect(try await live([10, 11, 12, 13, 14]) == [false, false, false, false, false])
    #expect(try await live([0, 1, 2]) == [false, false, false])
  }

  @Test func `keys that were noted in another order are forgotten in that of their appends`() async throws {
    let keys = SimulatedFileSystem()
    let first = try await KeyedLife(SimulatedFileSystem(), keys: keys, life: 0, clock: ManualClock())
    var appends: [KeyedAppend] = []
    for number in 0..<5 { appends.append(try await first.append(number).get().0) }
    try await first.appender.close()
    let journal = try await IdempotencyJournal.open(
      at: "/noted", window: 3600, newest: 100, environment: KeyedLife.environment(keys, 2)
    ) { _, _ in }
    for number in [0, 1, 4, 3, 2] {
      try await journal.note(appends[number], at: ManualClock().now().nanoseconds / 1_000_000_000)
    }
    try await journal.close()
    let second = try await IdempotentAppender.open(
      first.log, journal: "/noted",
      options: IdempotencyOptions(capacity: 2, window: 3600, producers: 2, clock: ManualClock()),
      environment: KeyedLife.environment(keys, 3))
    #expect(second.count == 2)
    for number in [3, 4] {
      #expect(try await second.append(Self.batch(number), key: Self.key(number)).get().isDuplicate, "key \(number)")
    }
    try await second.close()
    try await first.log.close()
  }

  @Test func `the last key of a producer that rests is forgotten as every other, by number and by time`() async throws {
    for (later, seconds) in [([1, 2, 3, 4, 5], Int64(1)), ([1], 3601)] {
      var (disk, keys, life) = (SimulatedFileSystem(), SimulatedFileSystem(), UInt8(0))
      let clock = ManualClock()
      /// The first producer has the first key; from the second process on the other producer is taken first.
      func live(producers: Int, _ numbers: [Int]) async throws -> [Bool] {
        life += 1
        let log = try await Log.open(
          at: "/log", configuration: KeyedLife.configuration(), environment: KeyedLife.environment(disk, life, clock))
        var known: [Bool] = []
        for number in numbers.isEmpty ? [-1] : numbers {
          let appender = try await IdempotentAppender.open(
            log, journal: "/keys",
            options: IdempotencyOptions(capacity: 5, window: 3600, producers: producers, clock: clock),
            environment: KeyedLife.environment(keys, life, clock))
          if number >= 0 {
            known.append(try await appender.append(Self.batch(number), key: Self.key(number)).get().isDuplicate)
          }
          try await appender.close()
        }
        try await log.close()
        (disk, keys) = (disk.processKill(), keys.processKill())
        return known
      }
      #expect(try await live(producers: 1, [0]) == [false])
      clock.advance(seconds: seconds)
      #expect(try await live(producers: 2, later).allSatisfy { !$0 })
      for _ in 0..<2 { #expect(try await live(producers: 2, []) == []) }
      #expect(try await live(producers: 2, [0]) == [false], "a start brought it back to life, after \(later)")
    }
  }

  /// Says once that it is another time, by years.
  final class LyingClock: WallClock, MonotonicClock {
    private let time = Atomic<Int64>(1_767_225_600_000_000_000)
    private let count = Atomic<Int>(0)
    private let lyingAt: Int
    private let lie: Int64
    init(lyingAt: Int, by years: Int64) { (self.lyingAt, lie) = (lyingAt, years * 31_536_000_000_000_000) }
    var looks: Int { count.load(ordering: .relaxed) }
    func now() -> Timestamp {
      let look = count.add(1, ordering: .relaxed).newValue
      return Timestamp(nanoseconds: now() + (look == lyingAt ? lie : 0))
    }
    func now() -> Int64 { time.load(ordering: .relaxed) }
    func sleep(nanoseconds: Int64) {}
    func advance(seconds: Int64) { time.add(seconds * 1_000_000_000, ordering: .relaxed) }
  }

  @Test(arguments: [10, -10])
  func `whenever the clock is wrong once, every key is known until its window is over`(years: Int64) async throws {
    var (number, looks) = (0, 1)
    while number < looks {
      number += 1
      let clock = LyingClock(lyingAt: number, by: years)
      var (disk, keys) = (SimulatedFileSystem(), SimulatedFileSystem())
      func live(_ life: UInt8) async throws -> [Bool] {
        let process = try await KeyedLife(disk, keys: keys, life: life, clock: clock, pace: clock)
        var known: [Bool] = []
        for number in 0..<4 {
          known.append(try await process.isKnown(number))
          clock.advance(seconds: 10)
        }
        try await process.close()
        (disk, keys) = (disk.processKill(), keys.processKill())
        return known
      }
      #expect(try await live(0) == [false, false, false, false])
      for life in [2, 4] as [UInt8] {
        #expect(try await live(life) == [true, true, true, true], "reading \(number) was wrong")
      }
      clock.advance(seconds: 3600)
      #expect(try await live(6) == [false, false, false, false], "reading \(number) was wrong")
      looks = clock.looks
    }
    #expect(number > 20)
  }

  @Test func `requests with one key at once are one append, and all get its place`() async throws {
    let disk = SimulatedFileSystem()
    let process = try await KeyedLife(disk, life: 0, producers: IdempotencyOptions.standardProducers)
    let firsts = try await withThrowingTaskGroup(of: (Offset?, Bool).self) { group in
      for number in 0..<200 {
        group.addTask {
          let (append, isDuplicate) = try await process.append(number % 4).get()
          return (append.first, isDuplicate)
        }
      }
      return try await group.reduce(into: [(Offset?, Bool)]()) { $0.append($1) }
    }
    #expect(Set(firsts.map(\.0)).count == 4)
    #expect(firsts.filter { !$0.1 }.count == 4)
    #expect(process.log.end == Offset(8))
    let result = await process.appender.append(Self.batch(9), key: Self.key(1))
    guard case .failure(.otherContent) = result else {
      Issue.record("other records under the same key: \(result)")
      return
    }
    try await process.close()
  }
}
