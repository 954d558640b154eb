public import Logging

/// How safe records are when an append returns. It also decides from when on readers see them.
public enum Durability: String, Hashable, Sendable, Codable, Comparable, CaseIterable {
  /// In the process's memory: lost with the process, and when the disk is full. The offset is a forecast.
  case accepted
  /// In the operating system: survives a killed process, not a power cut.
  case kernel
  /// On stable storage.
  case disk

  public static func < (a: Durability, b: Durability) -> Bool { a.rank < b.rank }
  private var rank: Int {
    switch self {
    case .accepted: 0
    case .kernel: 1
    case .disk: 2
    }
  }
}

/// What an append does when the disk has no space for it.
public enum WhenFull: String, Hashable, Sendable, Codable, CaseIterable {
  /// It throws `.noSpace`, and nothing is written.
  case fail
  /// The append waits, and so do all that come after it, until there is space. The log tries again when retention has
  /// removed something, and otherwise once a second.
  ///
  /// A cancelled append throws `.cancelled` and writes nothing. `tryAppend` throws `.noSpace` instead of waiting. A
  /// producer's append that is already in the queue keeps waiting even when it is cancelled, because later appends have
  /// the next numbers.
  case wait
}

/// What an append returns.
public struct Receipt: Hashable, Sendable {
  /// The records' offsets, in the order of the batch.
  public let offsets: Range<Offset>
  /// How safe they were when the append returned.
  public let durability: Durability
  /// Whether a producer had appended this number before. The offsets are then those of the first time, and this call
  /// wrote nothing.
  public internal(set) var isDuplicate = false
}

/// The configuration of a log. The defaults suit a service on an SSD.
public struct LogConfiguration: Hashable, Sendable {
  /// The largest size of a segment file before the log begins the next, in bytes. Default 64 MiB; 64 KiB … 4 GiB.
  /// Recovery reads one segment, so this bounds the time to open.
  public var segmentBytes = 64 << 20
  /// The most uncompressed bytes that the log groups into one block. Default 1 MiB; 4 KiB … 16 MiB. Larger blocks
  /// compress better and make a single read more expensive.
  public var blockBytes = 1 << 20
  /// The longest record, in bytes. Default 16 MiB; at most `batchBytes`.
  public var recordBytes = 16 << 20
  /// The most one append may hold, in bytes. The append becomes one block, because it is all or nothing. Default 32
  /// MiB; at most 1 GiB.
  public var batchBytes = 32 << 20
  /// The bytes in the queue from which `append` makes its callers wait. Default: 4 MiB for each core, at least 8 and at
  /// most 32, so that every encoder has work and memory stays small. A larger batch is accepted alone, when the queue
  /// is empty.
  public var queueBytes = min(32, max(8, 4 * ProcessorCount.online)) << 20
  /// zstd's level for new blocks. Default 1; −7 … 19.
  public var compressionLevel = 1
  /// Threads that compress ahead of the thread that writes and syncs. They start when a whole block waits. Default: one
  /// for each core, at most 8. 0 … 64; with 0 the writing thread compresses everything itself. Each uses up to about 4
  /// times `blockBytes`, and about 1 MiB for zstd.
  public var encoders = min(8, ProcessorCount.online)
  /// When readers see a record, and what `append` waits for by default. Default `.disk`. With `.kernel` the log syncs
  /// only when a segment is full, when the log closes, and when an append asks for `.disk`.
  public var durability = Durability.disk
  /// Refuses to open the log, instead of cutting, when recovery cannot prove that the last bytes are unacknowledged.
  /// Default off: recovery cuts them and keeps a copy.
  public var strictRecovery = false
  /// How many producers' last sequences the log remembers. Default 16,384; 1 … 65,536, at most about 1 KiB of memory
  /// each. Beyond it the log forgets the least recently used producer. It then refuses that producer's appends until
  /// the producer says how far it got.
  public var maxProducers = 16_384
  static let producersRange = 1...65_536
  /// What retention may remove from the log's beginning. Default: nothing.
  public var retention = RetentionPolicy()
  /// What an append does when the disk has no space. Default `.fail`.
  public var whenFull = WhenFull.fail
  /// Whether the log rewrites full segments, smaller, in the background. Default on.
  public var sealing = Sealing.on

  /// The defaults: appends are on stable storage when they return.
  public init() {}

  /// Throws `.invalidConfiguration`, naming the setting and its range.
  package func validate() throws(LogError) {
    func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(LogError) {
      guard range.contains(value) else {
        throw LogError(
          .invalidConfiguration, "\(name) is \(value); it must be \(range.lowerBound) … \(range.upperBound)")
      }
    }
    try check("segmentBytes", segmentBytes, (64 << 10)...(4 << 30))
    try check("blockBytes", blockBytes, (4 << 10)...(16 << 20))
    try check("batchBytes", batchBytes, 1...(1 << 30))
    try check("recordBytes", recordBytes, 1...batchBytes)
    try check("queueBytes", queueBytes, 1...(4 << 30))
    try check("compressionLevel", compressionLevel, -7...19)
    try check("encoders", encoders, 0...64)
    try check("maxProducers", maxProducers, Self.producersRange)
    try retention.validate(segmentBytes: segmentBytes)
    if case .settings(let settings) = sealing {
      try check("sealing.level", settings.level, -7...19)
      try check("sealing.blockBytes", settings.blockBytes, (4 << 10)...(16 << 20))
      try check("sealing.bytesPerSecond", settings.bytesPerSecond, 0...(1 << 40))
    }
  }
}

/// The disk, the clock and the randomness of a log. Injected, so that a test can replace them.
public struct LogEnvironment: Sendable {
  /// Where the log's files are.
  public var fileSystem: any FileSystem
  /// Gives the append times.
  public var clock: any WallClock
  /// 16 unpredictable bytes, for the log's UUID and the segments' salts.
  public var randomBytes: @Sendable () -> [UInt8]
  /// Receives one message per opening, when recovery had something to do. The log writes no message per record.
  public var logger: Logger
  /// Waits between two checks for space on a full disk. Replaceable, so that a test decides when time has passed.
  public var sleep: @Sendable (Duration) async -> Void = { try? await Task.sleep(for: $0) }
  /// How long after the last commit the log syncs the commit point, so that a power cut in a quiet time leaves evidence
  /// of every commit. Nil: never, the default of a file system that is not the machine's.
  var commitPointSyncDelay: Duration?
  /// Receives events of the log, for metrics and traces. Default nil: nothing is measured.
  public var observer: (any LogObserver)?
  /// The clock that measures for the observer.
  var paceClock: any MonotonicClock = SystemMonotonicClock()
  var observation: Observation { Observation(observer, clock: paceClock) }
  /// The clock that checks the wall clock; see ``LogClock``. Nil: the wall clock is always believed, which is the rule
  /// for a caller's own clock.
  var monotonicClock: (any MonotonicClock)? {
    get { givenMonotonicClock ?? (clock is SystemWallClock ? SystemMonotonicClock() : nil) }
    set { givenMonotonicClock = newValue }
  }
  private var givenMonotonicClock: (any MonotonicClock)?

  /// The given file system, clock and random bytes, no observer.
  public init(
    fileSystem: any FileSystem, clock: any WallClock, randomBytes: @escaping @Sendable () -> [UInt8],
    logger: Logger = Logger(label: "penstock.log")
  ) {
    self.logger = logger
    self.fileSystem = fileSystem
    commitPointSyncDelay = fileSystem is POSIXFileSystem ? .seconds(1) : nil
    self.clock = clock
    self.randomBytes = randomBytes
  }

  /// This machine.
  public static var system: LogEnvironment {
    LogEnvironment(
      fileSystem: POSIXFileSystem(), clock: SystemWallClock(), randomBytes: { Randomness.system.bytes16() })
  }
}
