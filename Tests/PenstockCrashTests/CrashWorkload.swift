@testable import PenstockLog
import PenstockTestKit
import Synchronization

/// What the outside world has been promised, and what was being asked for when the power went.
struct Promises {
  struct Pending {
    var records: [[UInt8]]
    var mark: ProducerMark?

    var batch: RecordBatch {
      var batch = RecordBatch()
      for record in records { batch.append(record) }
      batch.producer = mark
      return batch
    }
  }

  /// Records that were acknowledged, or seen by a reader, by offset.
  var records: [[UInt8]] = []
  /// The batches whose appends had not returned, in order: each becomes a block of its own.
  var pending: [Pending] = []
  /// What the producer has had acknowledged.
  var producer: [ProducerTable.Append] = []
  /// Where the cursor may be found: the state last made durable alone, or, while a move has not returned, also the
  /// state it was going to. Nil: not created.
  var cursors: [CursorState?] = [nil]
  /// Where the log begins; while a run of retention has not returned, also everywhere it may make it begin.
  var starts: [Offset] = [.zero]
  /// Files that retention has said are gone.
  var dropped: Set<String> = []
  /// Segments whose sealing has returned: they stay sealed.
  var sealed: Set<SegmentName> = []
}

struct BrokenPromise: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A deterministic piece of work over the engine: appends of many shapes, rolls, a cursor with intents, orderly closes.
/// Every effect goes through the file system it is given; when that goes down the work stops where it is.
struct CrashWorkload {
  static let path = "/log"
  var random: SplitMix64
  var promises = Promises()
  let clock = ManualClock()
  /// Syncs for several blocks, and those of them whose blocks lie in two segments.
  private(set) var joinedSyncs = 0
  private(set) var rollsBetween = 0
  /// Runs of retention that passed the cursor, and of those the ones while nobody held it.
  private(set) var passes = (all: 0, unheld: 0)

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  static func configuration(_ durability: Durability = .disk) -> LogConfiguration {
    var configuration = LogConfiguration()
    configuration.segmentBytes = 64 << 10
    configuration.blockBytes = 8 << 10
    configuration.durability = durability
    // Small enough to drop something in every run, large enough for the hard cap to be needed now and then.
    configuration.retention = RetentionPolicy(maxBytes: 64 << 10, hardCapBytes: 80 << 10)
    var sealing = SealingSettings()
    sealing.blockBytes = 32 << 10
    configuration.sealing = .settings(sealing)
    return configuration
  }

  func environment(_ fileSystem: SimulatedFileSystem, salt: UInt64) -> LogEnvironment {
    let salts = SaltSource(seed: salt)
    return LogEnvironment(fileSystem: fileSystem, clock: clock, randomBytes: { salts.next() })
  }

  /// Opens the log, does `steps` pieces of work and leaves it open, as a crash would.
  mutating func run(_ fileSystem: SimulatedFileSystem, salt: UInt64, steps: Int) throws(LogError) {
    var writer: LogWriter? = try LogOpening.open(Self.path, Self.configuration(), environment(fileSystem, salt: salt))
    var cursor: HeldCursor?
    var plan = SealingPlan()
    for step in 0..<steps {
      guard let open = writer else { return }
      clock.advance(nanoseconds: 1_000_000)
      try append(to: open)
      if step % 3 == 1 { try moveCursor(&cursor, fileSystem, open) }
      if step % 4 == 3 { try seal(&plan, open) }
      if step % 11 == 7 { try open.preparer.prepare() }
      if step % 6 == 5 { try trim(open, cursor, fileSystem) }
      if step % 17 == 16 {
        try open.close()
        cursor = nil
        writer = nil
        writer = try LogOpening.open(
          Self.path, Self.configuration(), environment(fileSystem, salt: salt &+ UInt64(step)))
      }
    }
  }

  /// Seals the oldest segment that is not.
  private mutating func seal(_ plan: inout SealingPlan, _ writer: LogWriter) throws(LogError) {
    while let sealer = writer.sealer, let job = plan.next(in: writer.view.set.segments.map(\.name)) {
      let outcome = try sealer.seal(job, in: writer.view)
      plan.finished(job, .done)
      switch outcome {
      case .wasSealed, .dropped: break
      case .left(let reason): throw LogError(.damaged, "a whole segment was not sealed: \(reason)")
      case .sealed:
        promises.sealed.insert(job.segment)
        return
      }
    }
  }

  /// One block before a sync, or several, as when encoders have run ahead of the committer; now and then the segment is
  /// full between two of them.
  private mutating func append(to writer: LogWriter) throws(LogError) {
    promises.pending = []
    var appends = promises.producer.count
    for _ in 0..<[1, 1, 2, 4][random.below(4)] {
      var mark: ProducerMark?
      if random.below(2) == 0 {
        mark = ProducerWork.mark(promises.producer, ahead: appends - promises.producer.count)
        appends += 1
      }
      promises.pending.append(.init(records: (0..<(1 + random.below(3))).map { _ in record() }, mark: mark))
    }
    try appendPending(to: writer)
  }

  mutating func appendPending(to writer: LogWriter) throws(LogError) {
    var offsets: [Range<Offset>] = []
    let segment = writer.segment
    // Compressed ahead of time, as encoders do it.
    var encoder = try BlockEncoder(level: Self.configuration().compressionLevel)
    for pending in promises.pending {
      let block = EncodedBlock()
      try encoder.compress(CollectionOfOne(pending.batch), into: block)
      offsets.append(try writer.write(block))
      try writer.publish()
      // Not synced, so not to be seen, unless the segment was full.
      guard writer.view.end <= writer.durableEnd else { preconditionFailure("shown before it was synced") }
    }
    if offsets.count > 1, writer.segment != segment { rollsBetween += 1 }
    if offsets.count > 1 { joinedSyncs += 1 }
    try writer.synchronize()
    try writer.publish()
    for offsets in offsets { settle(promises.pending.removeFirst(), offsets) }
  }

  /// The pending append is in the log.
  mutating func settle(_ pending: Promises.Pending, _ offsets: Range<Offset>) {
    if let mark = pending.mark {
      promises.producer.append(ProducerTable.Append(sequence: mark.sequence, offsets: offsets))
    }
    promises.records += pending.records
  }

  /// From nothing to larger than a block, some with line feeds, some that do not compress.
  private mutating func record() -> [UInt8] {
    let size = [0, 1, 60, 500, 3_000, 9_000][random.below(6)]
    switch random.below(4) {
    case 0: return (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    case 1:
      return Array(String(repeating: "{\"event\":\"Home\",\n\"n\":\(random.next() % 1000)}", count: size / 30).utf8)
    default:
      return Array(String(repeating: "{\"event\":\"Goal\",\"n\":\(random.next() % 1000)}", count: size / 30).utf8)
    }
  }

  private mutating func moveCursor(
    _ held: inout HeldCursor?, _ fileSystem: SimulatedFileSystem, _ writer: LogWriter
  ) throws(LogError) {
    let end = writer.durableEnd
    guard let cursor = held else {
      // Creating is a promise only once it has returned; so is taking over.
      held = try takeCursor(fileSystem, writer.logID)
      return
    }
    let state = cursor.state
    let next: CursorState
    do throws(CursorMoveError) {
      if let lost = state.lost {
        next = try state.acknowledging(lost, epoch: state.epoch, durableEnd: end)
      } else if let open = state.inFlight.first {
        next = try state.completing(open.intent.id, receipt: "200", epoch: state.epoch)
      } else if state.committed < end {
        next = try state.beginning(intent(from: state.committed, to: end), epoch: state.epoch, durableEnd: end)
      } else {
        return
      }
    } catch {
      preconditionFailure("the workload made an illegal move: \(error)")
    }
    promises.cursors.append(next)
    promises.cursors = [try cursor.move { (_) throws(CursorMoveError) in next }]
  }

  /// Retention, which may pass the cursor, held or not.
  private mutating func trim(
    _ writer: LogWriter, _ held: HeldCursor?, _ fileSystem: SimulatedFileSystem
  ) throws(LogError) {
    let names = writer.view.set.segments.map(\.name)
    let bases = names.map(\.baseOffset)
    promises.starts = bases
    promises.cursors += promises.cursors.flatMap { cursor in bases.map { cursor?.passed(upTo: $0) } }
    let report = try writer.trimmer.trim(held: held.map { ["webhook": $0] } ?? [:])
    if !report.losses.isEmpty {
      passes.all += 1
      if held == nil { passes.unheld += 1 }
    }
    promises.starts = [report.first]
    promises.dropped.formUnion(names.filter { $0.baseOffset < report.first }.map(LogPaths(Self.path).segment))
    if let held {
      promises.cursors = [held.state]
    } else {
      let paths = LogPaths(Self.path)
      let isThere = try CursorStore.names(fileSystem, paths).contains("webhook")
      promises.cursors = [isThere ? try CursorStore.peek(fileSystem, paths, name: "webhook") : nil]
    }
  }

  private mutating func takeCursor(_ fileSystem: SimulatedFileSystem, _ logID: [UInt8]) throws(LogError) -> HeldCursor {
    let fresh = CursorState(startingAt: .zero)
    promises.cursors += promises.cursors.map { ($0 ?? fresh).acquired() }
    if promises.cursors.contains(nil) { promises.cursors.append(fresh) }
    let cursor = try CursorStore.hold(
      fileSystem, LogPaths(Self.path), logID: logID, name: "webhook", startingAt: .zero)
    promises.cursors = [try cursor.move { (state) throws(CursorMoveError) in state.acquired() }]
    return cursor
  }

  private mutating func intent(from first: Offset, to end: Offset) -> Intent {
    let last = first + 1 + random.below(end - first)
    return Intent(
      id: DeliveryID("\(first)-\(last)"), first: first, end: last,
      contentDigest: [UInt8](repeating: UInt8(truncatingIfNeeded: first.rawValue), count: 32),
      plan: Array("plan \(random.next())".utf8), createdAt: clock.now())
  }

  /// Opens the log that a crash left, and holds it against what was promised. What is found becomes promised: a reader
  /// may have seen it.
  @discardableResult
  mutating func check(_ fileSystem: SimulatedFileSystem, salt: UInt64) throws -> RecoveryReport {
    if let file = fileSystem.filePaths.first(where: promises.dropped.contains) {
      throw BrokenPromise("retention said that \(file) is gone, and it is back")
    }
    let writer = try LogOpening.open(Self.path, Self.configuration(), environment(fileSystem, salt: salt))
    if writer.recovery.outcome == .damaged {
      throw BrokenPromise("recovery calls an honest crash damage: \(writer.recovery)")
    }
    let found = try Self.readAll(writer.view)
    let start = try checkStart(writer, fileSystem)
    let first = start - .zero
    guard first + found.count >= promises.records.count else {
      throw BrokenPromise(
        "\(promises.records.count) records were acknowledged, \(first) dropped, \(found.count) are there")
    }
    for (offset, record) in promises.records.enumerated().dropFirst(first) where found[offset - first] != record {
      throw BrokenPromise("offset \(offset) holds other bytes than were acknowledged")
    }
    try checkPending(writer, Array(found[(promises.records.count - first)...]))
    for segment in writer.view.set.segments where promises.sealed.contains(segment.name) {
      guard try segment.open().1.isSealed else {
        throw BrokenPromise("segment \(segment.name.text) is not sealed any more")
      }
    }
    guard !fileSystem.filePaths.contains(where: { $0.hasSuffix(".sealing") }) else {
      throw BrokenPromise("a leftover of sealing was not removed")
    }
    // A producer sends again what was not acknowledged; where it is in the log, that must change nothing.
    if let unsent = promises.pending.firstIndex(where: { $0.mark == nil }) {
      promises.pending.removeSubrange(unsent...)
    }
    try appendPending(to: writer)
    try checkCursor(fileSystem, writer.logID, start: start, end: writer.durableEnd)
    return writer.recovery
  }

  /// Of the appends that had not returned, the first few may be there, each of them whole.
  private mutating func checkPending(_ writer: LogWriter, _ extra: [[UInt8]]) throws {
    var rest = extra[...]
    var there = 0
    while let next = promises.pending.dropFirst(there).first, !rest.isEmpty {
      guard rest.starts(with: next.records) else { break }
      rest = rest.dropFirst(next.records.count)
      there += 1
    }
    guard rest.isEmpty else {
      throw BrokenPromise(
        "\(extra.count) records nobody appended, or half a batch of \(promises.pending.map(\.records.count))")
    }
    try checkProducer(writer, pendingThere: there)
  }

  /// The log begins where retention left it, and nothing of what it dropped lies about.
  private mutating func checkStart(_ writer: LogWriter, _ fileSystem: SimulatedFileSystem) throws -> Offset {
    let set = writer.view.set
    guard promises.starts.contains(set.first) else {
      throw BrokenPromise("the log begins at \(set.first), it may begin at \(promises.starts)")
    }
    let files = fileSystem.filePaths.filter { $0.hasSuffix(".seg") }
    guard files.count == set.segments.count else {
      throw BrokenPromise("\(files.count) files for \(set.segments.count) segments: \(files)")
    }
    promises.starts = [set.first]
    return set.first
  }

  private mutating func checkCursor(
    _ fileSystem: SimulatedFileSystem, _ logID: [UInt8], start: Offset, end: Offset
  ) throws {
    let paths = LogPaths(Self.path)
    let names = try CursorStore.names(fileSystem, paths)
    let found = try names.contains("webhook") ? CursorStore.peek(fileSystem, paths, name: "webhook") : nil
    guard promises.cursors.contains(found) else {
      throw BrokenPromise("the cursor is \(String(describing: found)), it may be \(promises.cursors)")
    }
    if let violation = found?.violations(durableEnd: end).first { throw BrokenPromise("the cursor: \(violation)") }
    // No gap but a reported one: nothing is dropped that the cursor needs and was not told of.
    if let found, found.committed < start {
      throw BrokenPromise("the log begins at \(start), the cursor stands at \(found.committed) and knows of no loss")
    }
    // Looking is no promise; taking it over is, for what was found.
    if found != nil { _ = try takeCursor(fileSystem, logID) }
  }

  static func readAll(_ view: LogView) throws(LogError) -> [[UInt8]] {
    var records: [[UInt8]] = []
    var offset = view.set.first
    while let batch = try view.batch(from: offset, maxRecords: 1_000, maxBytes: 1 << 20) {
      batch.forEachRecord { records.append(Array($0.bytes)) }
      offset = batch.end
    }
    return records
  }
}

/// Salts that are equal in every run of one seed.
final class SaltSource: Sendable {
  private let random: Mutex<SplitMix64>
  init(seed: UInt64) { random = Mutex(SplitMix64(seed: seed)) }
  func next() -> [UInt8] {
    random.withLock { random in (0..<16).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
  }
}
