import PenstockDelivery
import PenstockLog
import PenstockTestKit

// The run of one process.
extension Simulation {
  /// What a process holds.
  struct Process {
    var writer: LogWriter
    var held: [String: HeldCursor] = [:]
    /// Moves the cursors of the routed destinations.
    var mover: CursorMover?
    var plan = SealingPlan()
    var readEnd: Offset

    /// Releases its cursors, in the same order in every process.
    func releaseCursors() {
      for (_, held) in held.sorted(by: { $0.key < $1.key }) { held.close() }
      mover?.close()
    }
  }

  /// Runs the steps until the machine goes down, or a fault ends the process.
  mutating func runProcess(_ processRun: SimulationScript.ProcessRun, _ disk: SimulatedFileSystem) {
    isStalled = processRun.isStalled
    (hasRouted, hasGrouped) = (false, false)
    if processRun.isDisturbed { disk.disturb(shortTransfers: 0.1, interruptions: 0.1) }
    if let crash = processRun.crash, crash.step < 0 { disk.crash(atIO: disk.ioCount + 1 + crash.io) }
    var process: Process
    do throws(LogError) { process = try start(disk) } catch {
      if !disk.isDown { note(.failed("a log without damage cannot be opened: \(error)")) }
      return
    }
    defer { process.releaseCursors() }
    for (number, step) in processRun.steps.enumerated() {
      if let crash = processRun.crash, crash.step == number { disk.crash(atIO: disk.ioCount + 1 + crash.io) }
      if case .failure(let io, let effect) = step.fault {
        disk.fail(atIO: disk.ioCount + 1 + io, .inputOutput, effect: effect)
      }
      if case .failedRead(let read) = step.fault { disk.fail(atRead: disk.readCount + 1 + read) }
      tell("  step \(number + 1): \(step.action)\(step.fault == .none ? "" : ", \(step.fault)")")
      do throws(LogError) { try take(step, &process, disk) } catch {
        drain()
        tell("    \(error)")
        if disk.isDown { return }
        // A process that meets an error of the disk ends, whatever it was doing.
        if step.fault != .none { return }
        return note(.failed("\(step.action) failed on a healthy machine: \(error)"))
      }
      drain()
      if hasFailed || disk.isDown { return }
      // The fault hit work that may continue without it. Recovery deals with what it left.
      if step.fault != .none { return }
    }
    if let crash = processRun.crash, crash.step == processRun.steps.count {
      disk.crash(atIO: disk.ioCount + 1 + crash.io)
      let wasClosed: Bool? = try? { () throws(LogError) in
        try process.writer.close()
        return true
      }()
      tell("  closing: \(wasClosed == nil ? "not finished" : "done")")
    }
  }

  mutating func start(_ disk: SimulatedFileSystem) throws(LogError) -> Process {
    let writer = try LogOpening.open(Self.path, configuration, environment(disk))
    // Kept as they are until the first crash has happened: what a second opening finds is what the first one left.
    return Process(writer: writer, readEnd: writer.view.set.first)
  }

  private mutating func take(
    _ step: SimulationScript.Step, _ process: inout Process, _ disk: SimulatedFileSystem
  ) throws(LogError) {
    var random = SplitMix64(seed: step.seed)
    if !isStalled { clock.advance(nanoseconds: 1_000_000) }
    switch step.action {
    case .append: try append(draw(&random), to: process.writer)
    case .read: try read(&process)
    case .consume: try consume(&process, disk, &random)
    case .deliver: try deliver(&process, disk, &random)
    case .seal: try seal(&process)
    case .prepare: try process.writer.preparer.prepare()
    case .trim: try trim(process, disk)
    case .reopen: try reopen(&process, disk)
    case .clock: jump(&random)
    case .intrude: try intrude(process, disk)
    case .fill: try fill(process, disk, &random)
    case .route: try route(&process, disk, &random)
    case .seek: try seek(&process, disk, &random)
    }
  }

  /// By up to 10,000 s or up to ten years, in both directions; a machine's clock is in 1970 at the earliest.
  private func jump(_ random: inout SplitMix64) {
    let most = random.below(2) == 0 ? 10_000 : 315_576_000
    let seconds = Int64(random.below(2 * most)) - Int64(most)
    let (sum, isOver) = clock.now().nanoseconds.addingReportingOverflow(seconds * 1_000_000_000)
    clock.set(Timestamp(nanoseconds: isOver ? 0 : max(0, min(sum, 7_000_000_000_000_000_000))))
  }

  // MARK: - Appending

  /// One to four appends, each with records of its own, some of the producer.
  mutating func draw(_ random: inout SplitMix64) -> [Outgoing] {
    var sequence = branch.sequence
    let all = (0..<[1, 1, 2, 4][random.below(4)]).map { _ in
      var records = (0..<(1 + random.below(3))).map { _ in record(&random) }
      // Not the first, by which the checker finds an append.
      if script.hasEmptyRecords, records.count > 2 { records[2] = [] }
      if random.below(2) == 0 { sequence += 1 }
      return (records, sequence)
    }
    var outgoing: [Outgoing] = []
    for (records, sequence) in all {
      let isProducers = sequence > branch.sequence
      branch.sequence = sequence
      outgoing.append(
        Outgoing(records: records, digests: records.map { History.digest($0) }, sequence: isProducers ? sequence : 0))
    }
    branch.unsent = outgoing.filter { $0.sequence > 0 }
    return outgoing
  }

  /// Unlike every other; some with a line feed, some that do not compress, some larger than a block.
  private mutating func record(_ random: inout SplitMix64) -> [UInt8] {
    branch.made += 1
    if script.routes {
      let (traits, bytes) = EventTraits.draw(branch.made, &random)
      branch.traits[History.digest(bytes)] = traits
      return bytes
    }
    var bytes = Array("\(branch.made)\(random.below(8) == 0 ? "\n" : "")".utf8)
    let size = [0, 20, 200, 2_000, 9_000, 16_000][random.below(6)]
    if size == 0 { return bytes }
    if random.below(3) == 0 {
      bytes += [UInt8](repeating: UInt8(ascii: "x"), count: size)
    } else {
      while bytes.count < size { withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) } }
    }
    return bytes
  }

  mutating func begin(_ append: Outgoing) -> UInt64 {
    let id = UInt64(branch.checker.events) << 1 | 1
    note(.appending(id: id, records: append.digests, producer: append.producer))
    return id
  }

  /// Writes each append as a block, syncs them together and shows them.
  mutating func append(_ all: [Outgoing], to writer: LogWriter) throws(LogError) {
    let ids = all.map { begin($0) }
    branch.unanswered = all.flatMap(\.digests)
    let segment = writer.segment
    var offsets: [Range<Offset>] = []
    var refusal: LogError?
    var encoder = try BlockEncoder(level: configuration.compressionLevel)
    for append in all {
      let block = EncodedBlock()
      try encoder.compress(CollectionOfOne(append.batch), into: block)
      do throws(LogError) { offsets.append(try writer.write(block)) } catch {
        guard error.code == .noSpace else { throw error }
        refusal = error
        break
      }
      try writer.publish()
      if writer.view.end > writer.durableEnd {
        branch.checker.report(.readIsDurable, "\(writer.view.end) is shown, \(writer.durableEnd) is durable")
      }
    }
    try writer.synchronize()
    try writer.publish()
    if offsets.count > 1 {
      result.joinedSyncs += 1
      if writer.segment != segment { result.rollsBetween += 1 }
    }
    for (id, offsets) in zip(ids, offsets) { note(.acknowledged(id: id, offsets: offsets)) }
    for id in ids.dropFirst(offsets.count) { note(.refused(id: id)) }
    branch.unanswered = []
    if refusal == nil { return branch.unsent.removeAll() }
    // The numbers were not used up.
    let unused = all.dropFirst(offsets.count).lazy.map(\.sequence).filter { $0 > 0 }.first
    if let unused { branch.sequence = unused - 1 }
    branch.unsent.removeAll()
  }

  private mutating func read(_ process: inout Process) throws(LogError) {
    let view = process.writer.view
    process.readEnd = max(process.readEnd, view.set.first)
    while let batch = try view.batch(from: process.readEnd, maxRecords: 1_000, maxBytes: 1 << 20) {
      note(.read(first: batch.first, records: History.digests(of: batch)))
      process.readEnd = batch.end
    }
  }

  // MARK: - The log's own work

  mutating func seal(_ process: inout Process) throws(LogError) {
    let writer = process.writer
    while let sealer = writer.sealer, let job = process.plan.next(in: writer.view.set.segments.map(\.name)) {
      let outcome = try sealer.seal(job, in: writer.view)
      process.plan.finished(job, .done)
      switch outcome {
      case .wasSealed, .dropped: break
      case .left(let reason): throw LogError(.damaged, "a whole segment was not sealed: \(reason)")
      case .sealed:
        collectCrashPoints()
        branch.sealed.insert(job.segment)
        result.sealed += 1
        return
      }
    }
  }

  mutating func trim(_ process: Process, _ disk: SimulatedFileSystem) throws(LogError) {
    let writer = process.writer
    let names = writer.view.set.segments.map(\.name)
    let bases = names.map(\.baseOffset)
    note(.trimming(to: bases))
    for name in cursors {
      let present = try state(of: name, process, disk)
      note(.cursorMoving(name, to: bases.map { base in present?.passed(upTo: base) }))
    }
    let report = try writer.trimmer.trim(held: process.held)
    note(.trimmed(first: report.first))
    branch.dropped.formUnion(names.filter { $0.baseOffset < report.first }.map(LogPaths(Self.path).segment))
    for name in cursors {
      note(.cursorMoved(name, try state(of: name, process, disk)))
    }
    if report.droppedSegments > 0 { result.trims += 1 }
    if !report.losses.isEmpty { result.passes += 1 }
  }

  /// The names of all cursors that there may be.
  private var cursors: [String] {
    [Self.consumer, Self.webhook] + (script.routes ? Self.destinations.map(\.name) : [])
  }

  func state(
    of cursor: String, _ process: Process, _ disk: SimulatedFileSystem
  ) throws(LogError) -> CursorState? {
    if let held = process.held[cursor] { return held.state }
    let paths = LogPaths(Self.path)
    guard try CursorStore.names(disk, paths).contains(cursor) else { return nil }
    return try CursorStore.peek(disk, paths, name: cursor)
  }

  mutating func reopen(_ process: inout Process, _ disk: SimulatedFileSystem) throws(LogError) {
    process.releaseCursors()
    try process.writer.close()
    process = try start(disk)
  }

  /// A disk without room for another segment, for one group of appends and a run of retention.
  private mutating func fill(
    _ process: Process, _ disk: SimulatedFileSystem, _ random: inout SplitMix64
  ) throws(LogError) {
    let used = disk.filePaths.reduce(0) { $0 + (disk.size(of: $1) ?? 0) }
    disk.capacityBytes = used + random.below(70_000)
    defer { disk.capacityBytes = nil }
    try append(draw(&random), to: process.writer)
    try append(draw(&random), to: process.writer)
    try trim(process, disk)
  }
}
