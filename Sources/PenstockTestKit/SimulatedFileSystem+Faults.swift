public import PenstockLog
import Synchronization

// Crashes and faults.
extension SimulatedFileSystem {
  // MARK: - Crashes

  /// The disk that a machine finds after a power loss at this moment: a new file system with nothing open, no locks, no
  /// faults ordered and ``ioCount`` at zero. This file system stays as it is.
  ///
  /// Cost: the files that have unsynced sectors are copied, all others are shared until one side writes.
  public func powerCut(_ policy: CrashPolicy) -> SimulatedFileSystem {
    SimulatedFileSystem(disk.withLock { $0.afterPowerCut(policy) })
  }

  /// Every disk that a machine can find after a power loss at this moment. Disks with equal names and bytes appear
  /// once.
  ///
  /// Any subset of directory operations may survive, as with ``CrashOptions/unorderedDirectories``. There are at most
  /// 2ⁿ disks for n unsynced items. Several writes of one sector add little, because only the last that survives
  /// matters.
  ///
  /// - Parameter limit: The most combinations to try.
  /// - Returns: The disks; nil if more than `limit` combinations are possible.
  public func everyPowerCut(atMost limit: Int = 1 << 12) -> [SimulatedFileSystem]? {
    guard let cuts = PowerCuts(disk.withLock { $0 }, atMost: limit) else { return nil }
    var seen: Set<UInt64> = []
    return (0..<cuts.count).filter { seen.insert(cuts.digest($0)).inserted }.map { SimulatedFileSystem(cuts.disk($0)) }
  }

  /// The disk that the next process finds after this one was killed: everything written is there, unsynced things are
  /// unsynced still, handles and locks are gone, no faults are ordered. This file system stays as it is.
  public func processKill() -> SimulatedFileSystem {
    SimulatedFileSystem(disk.withLock { $0.afterProcessKill() })
  }

  /// ``powerCut(_:)`` in place, for callers that hold on to one file system. Old handles are invalid and stay so.
  public func restart(_ policy: CrashPolicy) { disk.withLock { $0 = $0.afterPowerCut(policy) } }

  /// How many things a power loss now may or may not take: the bits of ``CrashPolicy/subset(_:_:)``. Sector writes that
  /// changed nothing are not counted, because no outcome depends on them.
  public var unsyncedItemCount: Int { disk.withLock { $0.unsyncedItemCount } }

  /// How many I/Os that change something were begun since the start or the last restart: the crash points. Counted are
  /// creation, write, synchronize, truncate, rename, remove, makeDirectory and synchronizeDirectory. Calls refused
  /// before they reach the disk (no such file, bad handle, interrupted) are not.
  public var ioCount: Int { disk.withLock { $0.ioCount } }

  /// How many reads reached the disk since the start or the last restart.
  public var readCount: Int { disk.withLock { $0.readCount } }

  /// How many bytes all reads together have returned since the start or the last restart.
  public var readBytes: Int { disk.withLock { $0.readBytes } }

  /// Whether an ordered crash has happened: every verb fails with `.inputOutput` until ``restart(_:)``, or use the new
  /// file system that ``powerCut(_:)`` or ``processKill()`` returns.
  public var isDown: Bool { disk.withLock { $0.isDown } }

  // MARK: - Ordered faults

  /// Lets the machine go down in the `number`-th I/O (the first is 1). How much of that I/O happens is `effect`, or is
  /// chosen by the seed. A later order for the same number replaces an earlier one.
  public func crash(atIO number: Int, effect: FaultEffect? = nil) {
    disk.withLock { $0.plan.atIO[number] = .crash(effect) }
  }

  /// Lets the `number`-th I/O fail with `code`, once.
  public func fail(atIO number: Int, _ code: FileSystemError.Code = .inputOutput, effect: FaultEffect = .nothing) {
    disk.withLock { $0.plan.atIO[number] = .error(code, effect) }
  }

  /// Lets the `number`-th I/O and every later one fail with `code`, until ``clearFaults()``; nothing of them happens.
  public func fail(fromIO number: Int, _ code: FileSystemError.Code) {
    disk.withLock { $0.plan.fromIO = (number, code) }
  }

  /// Lets the `number`-th I/O report success and do nothing: a lost write, a disk that lies about a sync. A creation
  /// takes place all the same.
  public func pretend(atIO number: Int) { disk.withLock { $0.plan.atIO[number] = .pretence } }

  /// Lets the `number`-th I/O, if it is a write, put its bytes at `position` instead and report success.
  public func misdirect(atIO number: Int, to position: Int) {
    precondition(position >= 0, "a position is not negative")
    disk.withLock { $0.plan.atIO[number] = .misdirection(UInt64(position)) }
  }

  /// Lets one write report success, and lose its bytes or put them at another position of the file.
  /// It is the `number`-th write from now on (the first is 1) into a file whose path contains `part`. It happens once;
  /// a later order replaces an earlier one. For callers that do not know the number of the I/O.
  public func lie(atWrite number: Int, into part: String, misdirectedTo position: Int? = nil) {
    precondition(number > 0, "the first write is 1")
    precondition((position ?? 0) >= 0, "a position is not negative")
    disk.withLock { $0.plan.lie = FaultPlan.Lie(writes: number, part: part, elsewhere: position) }
  }

  /// Whether such a lie is still to come.
  public var isLieToCome: Bool { disk.withLock { $0.plan.lie != nil } }

  /// Lets the `number`-th read (the first is 1) fail with `code`, once.
  public func fail(atRead number: Int, _ code: FileSystemError.Code = .inputOutput) {
    disk.withLock { $0.plan.atRead[number] = code }
  }

  /// Lets reads and writes, with these probabilities below 1 and by the seed, transfer less than asked for, or throw
  /// `.interrupted` before anything happened.
  public func disturb(shortTransfers: Double = 0, interruptions: Double = 0) {
    precondition(shortTransfers >= 0 && shortTransfers <= 1, "a probability is in 0...1")
    precondition(
      interruptions >= 0 && interruptions < 1, "callers retry, so the probability is below 1")
    disk.withLock {
      $0.plan.shortTransfers = UInt64(shortTransfers * 65536)
      $0.plan.interruptions = UInt64(interruptions * 65536)
    }
  }

  /// The space on the disk in bytes, as the sum of the sizes of files that have a name or are open; nil for no limit.
  /// A write that does not fit is short, and then `.noSpace`. Bytes within a file's size can always be overwritten.
  public var capacityBytes: Int? {
    get { disk.withLock { $0.capacityBytes } }
    set { disk.withLock { $0.capacityBytes = newValue } }
  }

  /// What `dropCache` does.
  public enum CacheDropping: Sendable, Equatable {
    case works
    /// It drops nothing and cannot prove anything: a file system without such means.
    case isNotProven
    /// Pages that differ from the disk stay, because another process has them locked.
    case fails
  }

  /// What `dropCache` does from now on; kept over restarts.
  public var cacheDropping: CacheDropping {
    get { disk.withLock { $0.cacheDropping } }
    set { disk.withLock { $0.cacheDropping = newValue } }
  }

  /// The machine is down from now on, as after an ordered crash.
  package func goDown() { disk.withLock { $0.isDown = true } }

  /// The newest I/O, in words.
  var lastIO: String? { disk.withLock { $0.lastIO.map { "\($0.verb) \($0.path)" } } }

  /// Takes back every order for a fault; the capacity and unreadable sectors stay.
  public func clearFaults() { disk.withLock { $0.plan = FaultPlan() } }
}
