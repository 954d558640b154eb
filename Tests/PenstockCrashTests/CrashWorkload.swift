import PenstockLog
import PenstockTestKit
import Synchronization

/// What the outside world has been promised, and what was being asked for when the power went.
struct Promises {
  /// Records that were acknowledged, or seen by a reader, by offset.
  var records: [[UInt8]] = []
  /// The batch whose append had not returned.
  var pending: [[UInt8]] = []
  /// What the producer has had acknowledged, and the append of it that had not returned.
  var producer: [ProducerTable.Append] = []
  var pendingMark: ProducerMark?
  /// Where the cursor may be found: the state last made durable alone, or, while a move has not returned, also the state it
  /// was going to. Nil: not created.
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

/// A deterministic piece of work over the engine: appends of many shapes, rolls, a cursor with intents, orderly closes. Every
/// effect goes through the file system it is given; when that goes down the work stops where it is.
struct CrashWorkload {
  static let path = "/log"
  var random: SplitMix64
  var promises = Promises()
  let clock = ManualClock()

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  static func configuration(_ durability: Durability = .disk) -> LogConfiguration {
    var configuration = LogConfiguration()
    configuration.segmentBytes = 64 << 10
    configuration.blockBytes = 8 << 10
    configuration.durability = durability
    // Small enough to drop something in every run, large enough for the hard cap to be needed now and then.
    configuration.retention = RetentionPolicy(maxBytes: 64 << 10, hardCapBytes: 160 << 10)
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

  private mutating func append(to writer: LogWriter) throws(LogError) {
    promises.pending = (0..<(1 + random.below(3))).map { _ in record() }
    promises.pendingMark = random.below(2) == 0 ? nil : ProducerWork.mark(after: promises.producer)
    try appendPending(to: writer)
  }

  mutating func appendPending(to writer: LogWriter) throws(LogError) {
    var batch = RecordBatch()
    for record in promises.pending { batch.append(record) }
    batch.producer = promises.pendingMark
    let offsets = try writer.write([batch])
    try writer.synchronize()
    try writer.publish()
    settle(offsets)
    promises.records += promises.pending
    promises.pending = []
  }

  /// The pending append is in the log.
  mutating func settle(_ offsets: Range<Offset>) {
    if let mark = promises.pendingMark {
      promises.producer.append(ProducerTable.Append(sequence: mark.sequence, offsets: offsets))
    }
    promises.pendingMark = nil
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

  /// Opens the log that a crash left, and holds it against what was promised. What is found becomes promised: a reader may
  /// have seen it.
  mutating func check(_ fileSystem: SimulatedFileSystem, salt: UInt64, allowingDamage: Bool = false) throws {
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
    let extra = Array(found[(promises.records.count - first)...])
    guard extra.isEmpty || extra == promises.pending else {
      throw BrokenPromise("\(extra.count) records nobody appended, or half a batch of \(promises.pending.count)")
    }
    try checkProducer(writer, isPendingThere: !extra.isEmpty)
    promises.records += extra
    for segment in writer.view.set.segments where promises.sealed.contains(segment.name) {
      guard try segment.open().1.isSealed else {
        throw BrokenPromise("segment \(segment.name.text) is not sealed any more")
      }
    }
    guard !fileSystem.filePaths.contains(where: { $0.hasSuffix(".sealing") }) else {
      throw BrokenPromise("a leftover of sealing was not removed")
    }
    // A producer sends again what was not acknowledged; where it is in the log, that must change nothing.
    if promises.pendingMark != nil {
      try appendPending(to: writer)
    } else {
      promises.pending = []
    }
    try checkCursor(fileSystem, writer.logID, start: start, end: writer.durableEnd)
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
