import Logging
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockServer

@Suite("Appends under keys, and machines that go down", .timeLimit(.minutes(4)))
struct IdempotentAppenderTests {
  static func environment(_ disk: SimulatedFileSystem, _ life: UInt8) -> LogEnvironment {
    LogEnvironment(
      fileSystem: disk, clock: SystemWallClock(), randomBytes: { [UInt8](repeating: life &+ 1, count: 16) },
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  /// What a client sends under its key: two records that no other sends.
  static func batch(_ number: Int) -> RecordBatch {
    var batch = RecordBatch()
    batch.append("\(number) first")
    batch.append("\(number) second")
    return batch
  }

  static func key(_ number: Int) -> Hash128 { Hash128(high: 77, low: UInt64(number)) }

  static func configuration(_ durability: Durability = .disk) -> LogConfiguration {
    var configuration = LogConfiguration()
    configuration.durability = durability
    configuration.segmentBytes = 64 << 10
    configuration.encoders = 0
    configuration.sealing = .off
    return configuration
  }

  /// One process: opens everything, sends the requests in order until something fails, and says what was acknowledged.
  ///
  /// - Parameter keys: the journal's disk, where it has one of its own.
  static func live(
    _ disk: SimulatedFileSystem, keys: SimulatedFileSystem? = nil, life: UInt8, producers: Int, _ numbers: [Int],
    _ durability: Durability = .disk
  ) async -> [(number: Int, first: Offset?, isDuplicate: Bool)] {
    let environment = environment(disk, life)
    guard let log = try? await Log.open(at: "/log", configuration: configuration(durability), environment: environment)
    else {
      return []
    }
    var acknowledged: [(number: Int, first: Offset?, isDuplicate: Bool)] = []
    if let appender = try? await IdempotentAppender.open(
      log, journal: "/keys", options: IdempotencyOptions(capacity: 100, window: 3600, producers: producers),
      environment: keys.map { Self.environment($0, life) } ?? environment)
    {
      for number in numbers {
        guard case .success(let (append, isDuplicate)) = await appender.append(batch(number), key: key(number)) else {
          break
        }
        acknowledged.append((number, append.first, isDuplicate))
      }
      try? await appender.close()
    }
    try? await log.close()
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
    let log = try await Log.open(at: "/log", configuration: configuration(), environment: environment(disk, 2))
    var rows: [String] = []
    for try await record in log.records() { rows.append(record.text) }
    try await log.close()
    #expect(rows.sorted() == (0..<5).flatMap { ["\($0) first", "\($0) second"] }, "\(death)")
  }

  static let numbers = [0, 1, 0, 2, 3, 1, 4]

  @Test("each key is appended once, whatever is lost at whichever I/O", arguments: [1, 2])
  func everyCrash(_ producers: Int) async throws {
    let whole = SimulatedFileSystem()
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

  @Test(
    "a journal that fails on its own disk costs requests with keys their answers, and no key its memory",
    arguments: [1, 2])
  func journalFails(_ producers: Int) async throws {
    let whole = SimulatedFileSystem()
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

  @Test("a log that answers before it syncs may lose what it answered, but no key then stands for nothing")
  func everyCrashOfAnEarlyAnswer() async throws {
    let whole = SimulatedFileSystem()
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

  @Test(
    "a journal whose disk is full costs keys their answers until there is room, and holds up neither them nor the end")
  func fullJournal() async throws {
    let (disk, keys) = (SimulatedFileSystem(), SimulatedFileSystem())
    let log = try await Log.open(
      at: "/log", configuration: Self.configuration(), environment: Self.environment(disk, 0))
    let told = Mutex<[LogError.Code?]>([])
    let appender = try await IdempotentAppender.open(
      log, journal: "/keys",
      options: IdempotencyOptions(capacity: 100, window: 3600, producers: 2, retryInterval: .milliseconds(1)),
      environment: Self.environment(keys, 1)
    ) { trouble in told.withLock { $0.append(trouble?.code) } }
    func send(_ number: Int) async -> Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError> {
      await appender.append(Self.batch(number), key: Self.key(number))
    }
    _ = try await send(0).get()
    keys.capacityBytes = 0
    // Until the file's own room is used up, and both producers with it.
    var (number, taken) = (1, 1)
    while true {
      let result = await send(number)
      if case .failure(.journalUnavailable(let error)) = result {
        #expect(error.code == .noSpace)
        break
      }
      #expect(try result.get().0.count == 2)
      number += 1
      taken += 1
      try #require(number < 20_000, "the journal never filled its disk")
    }
    #expect(appender.trouble?.code == .noSpace)
    #expect(log.end == Offset(UInt64(taken) * 2), "what was refused is not in the log")
    keys.capacityBytes = nil
    // Attempts that began before there was room may still fail, and be told, after one that succeeded.
    var again = await send(number)
    while case .failure(.journalUnavailable) = again {
      await Task.yield()
      again = await send(number)
    }
    #expect(try again.get().isDuplicate == false)
    while told.withLock({ $0.last != .some(nil) }) { await Task.yield() }
    #expect(told.withLock { $0.first } == .noSpace)
    // And once more, to the end.
    keys.capacityBytes = 0
    while case .success = await send(number) { number += 1 }
    try? await appender.close()
    try await log.close()
    keys.capacityBytes = nil
    let second = try await Log.open(at: "/log", environment: Self.environment(disk.processKill(), 2))
    let reopened = try await IdempotentAppender.open(
      second, journal: "/keys", options: IdempotencyOptions(capacity: 100_000, window: 3600, producers: 2),
      environment: Self.environment(keys.processKill(), 3))
    for known in 0..<number {
      #expect(try await reopened.append(Self.batch(known), key: Self.key(known)).get().isDuplicate, "key \(known)")
    }
    try await reopened.close()
    try await second.close()
  }

  @Test("a producer that the log is not certain of any more still tells its key")
  func uncertainProducer() async throws {
    let (disk, keys) = (SimulatedFileSystem(), SimulatedFileSystem())
    let log = try await Log.open(
      at: "/log", configuration: Self.configuration(), environment: Self.environment(disk, 0))
    let appender = try await IdempotentAppender.open(
      log, journal: "/keys", options: IdempotencyOptions(capacity: 100, window: 3600, producers: 1),
      environment: Self.environment(keys, 1))
    // The log has it, the journal never will.
    keys.fail(fromIO: keys.ioCount + 1, .inputOutput)
    let first = try await appender.append(Self.batch(0), key: Self.key(0)).get()
    #expect(!first.isDuplicate && first.0.first == .zero)
    try await log.append("lost")
    try await log.append("kept")
    try? await appender.close()
    try await log.close()
    let damaged = disk.processKill()
    let segment = try #require(damaged.filePaths.first { $0.hasPrefix("/log/data/") && $0.hasSuffix(".seg") })
    // The header of the second of three blocks of a page each: whose records it had, nobody can tell.
    try #require(damaged.flipBit(segment, at: 8192 + 4096 + 20, bit: 0))
    let after = try await Log.open(
      at: "/log", configuration: Self.configuration(), environment: Self.environment(damaged, 2))
    #expect(after.recovery.producers.uncertain == [IdempotentAppender.producerName(0)])
    let again = try await IdempotentAppender.open(
      after, journal: "/keys", options: IdempotencyOptions(capacity: 100, window: 3600, producers: 1),
      environment: Self.environment(keys.processKill(), 3))
    let second = try await again.append(Self.batch(0), key: Self.key(0)).get()
    #expect(second.isDuplicate && second.0.first == .zero, "the key's records are in the log twice")
    #expect(try await again.append(Self.batch(1), key: Self.key(1)).get().isDuplicate == false)
    try await again.close()
    try await after.close()
  }

  @Test("a key that was forgotten does not come back to life at a start, however often", arguments: [1, 3])
  func revival(producers: Int) async throws {
    var (disk, keys, life) = (SimulatedFileSystem(), SimulatedFileSystem(), UInt8(0))
    let clock = ManualClock()
    func environment(_ disk: SimulatedFileSystem) -> LogEnvironment {
      life += 1
      let salt = life
      return LogEnvironment(
        fileSystem: disk, clock: clock, randomBytes: { [UInt8](repeating: salt, count: 16) },
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
    /// Sends these keys in a process of its own, and says which had been sent before.
    func live(_ numbers: [Int]) async throws -> [Bool] {
      let log = try await Log.open(at: "/log", configuration: Self.configuration(), environment: environment(disk))
      let appender = try await IdempotentAppender.open(
        log, journal: "/keys",
        options: IdempotencyOptions(capacity: 5, window: 3600, producers: producers, clock: clock),
        environment: environment(keys))
      var known: [Bool] = []
      for number in numbers {
        known.append(try await appender.append(Self.batch(number), key: Self.key(number)).get().isDuplicate)
      }
      try await appender.close()
      try await log.close()
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

  @Test("keys that were noted in another order than they were appended are forgotten in that of their appends")
  func notedInAnyOrder() async throws {
    let (disk, keys) = (SimulatedFileSystem(), SimulatedFileSystem())
    let log = try await Log.open(
      at: "/log", configuration: Self.configuration(), environment: Self.environment(disk, 0))
    func open(_ journal: String, capacity: Int, life: UInt8) async throws -> IdempotentAppender {
      try await IdempotentAppender.open(
        log, journal: journal,
        options: IdempotencyOptions(capacity: capacity, window: 3600, producers: 2, clock: ManualClock()),
        environment: Self.environment(keys, life))
    }
    let first = try await open("/keys", capacity: 100, life: 1)
    var appends: [KeyedAppend] = []
    for number in 0..<5 {
      appends.append(try await first.append(Self.batch(number), key: Self.key(number)).get().0)
    }
    try await first.close()
    let journal = try await IdempotencyJournal.open(
      at: "/noted", window: 3600, newest: 100, environment: Self.environment(keys, 2)
    ) { _, _ in }
    for number in [0, 1, 4, 3, 2] {
      try await journal.note(appends[number], at: ManualClock().now().nanoseconds / 1_000_000_000)
    }
    try await journal.close()
    let second = try await open("/noted", capacity: 2, life: 3)
    #expect(second.count == 2)
    for number in [3, 4] {
      #expect(try await second.append(Self.batch(number), key: Self.key(number)).get().isDuplicate, "key \(number)")
    }
    try await second.close()
    try await log.close()
  }

  @Test("the last key of a producer that rests is forgotten as every other, by number and by time")
  func idleProducer() async throws {
    for (later, seconds) in [([1, 2, 3, 4, 5], Int64(1)), ([1], 3601)] {
      var (disk, keys, life) = (SimulatedFileSystem(), SimulatedFileSystem(), UInt8(0))
      let clock = ManualClock()
      /// The first producer has the first key; from the second process on the other producer is taken first.
      func live(producers: Int, _ numbers: [Int]) async throws -> [Bool] {
        life += 1
        let salt = life
        func environment(_ disk: SimulatedFileSystem) -> LogEnvironment {
          LogEnvironment(
            fileSystem: disk, clock: clock, randomBytes: { [UInt8](repeating: salt, count: 16) },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }
        let log = try await Log.open(at: "/log", configuration: Self.configuration(), environment: environment(disk))
        var known: [Bool] = []
        for number in numbers.isEmpty ? [-1] : numbers {
          let appender = try await IdempotentAppender.open(
            log, journal: "/keys",
            options: IdempotencyOptions(capacity: 5, window: 3600, producers: producers, clock: clock),
            environment: environment(keys))
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

  @Test("whenever the clock is wrong once, every key is known until its window is over", arguments: [10, -10])
  func wrongReading(years: Int64) async throws {
    var (number, looks) = (0, 1)
    while number < looks {
      number += 1
      let clock = LyingClock(lyingAt: number, by: years)
      var (disk, keys) = (SimulatedFileSystem(), SimulatedFileSystem())
      func live(_ life: UInt8) async throws -> [Bool] {
        let log = try await Log.open(
          at: "/log", configuration: Self.configuration(), environment: Self.environment(disk, life))
        let appender = try await IdempotentAppender.open(
          log, journal: "/keys",
          options: IdempotencyOptions(capacity: 100, window: 3600, producers: 2, clock: clock, pace: clock),
          environment: Self.environment(keys, life + 1))
        var known: [Bool] = []
        for number in 0..<4 {
          known.append(try await appender.append(Self.batch(number), key: Self.key(number)).get().isDuplicate)
          clock.advance(seconds: 10)
        }
        try await appender.close()
        try await log.close()
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

  @Test("requests with one key at once are one append, and all are told where it is")
  func atOnce() async throws {
    let disk = SimulatedFileSystem()
    let log = try await Log.open(at: "/log", environment: Self.environment(disk, 0))
    let appender = try await IdempotentAppender.open(
      log, journal: "/keys", options: IdempotencyOptions(capacity: 100, window: 3600),
      environment: Self.environment(disk, 1))
    let firsts = try await withThrowingTaskGroup(of: (Offset?, Bool).self) { group in
      for number in 0..<200 {
        group.addTask {
          let (append, isDuplicate) = try await appender.append(Self.batch(number % 4), key: Self.key(number % 4)).get()
          return (append.first, isDuplicate)
        }
      }
      return try await group.reduce(into: [(Offset?, Bool)]()) { $0.append($1) }
    }
    #expect(Set(firsts.map(\.0)).count == 4)
    #expect(firsts.filter { !$0.1 }.count == 4)
    #expect(log.end == Offset(8))
    let result = await appender.append(Self.batch(9), key: Self.key(1))
    guard case .failure(.otherContent) = result else {
      Issue.record("other records under the same key: \(result)")
      return
    }
    try await appender.close()
    try await log.close()
  }
}
