import Logging

/// The one writer of a log. It writes blocks into segments and segments into a directory, and shows readers what is
/// durable. It has no lock, and every method that writes or syncs blocks the calling thread: `Log` confines it to its
/// committer thread, and the crash tests call it directly.
///
/// Order of effects, each durable before the next begins: header of a segment → its name → its blocks → the commit
/// point → readers. A failed write or sync leaves the writer *poisoned*: every later call throws.
package final class LogWriter {
  package let view: LogView
  package let logID: [UInt8]
  package let recovery: RecoveryReport
  /// Prepares the next segment; another thread may call it while blocks are written.
  package let preparer: SegmentPreallocator
  private(set) var epoch: UInt32
  package let producers: ProducerRegistry

  /// Removes the log's oldest segments; from any thread.
  package let trimmer: LogTrimmer

  private let environment: LogEnvironment
  private let clock: AppendClock
  private let configuration: LogConfiguration
  private let paths: LogPaths
  /// Held until the log is closed.
  private var lock: OpenFile?
  private let commitPoint: OpenFile
  private let metaFile: MetaFile
  private var segments: [Segment]
  private var active: SegmentWriter
  private var activeSegment: Segment
  private var encoder: BlockEncoder
  /// For batches that no encoder has compressed.
  private let block = EncodedBlock()
  private var durable: CommitPoint.End
  /// Blocks that readers do not see yet.
  private var unpublished: [BlockEntry] = []
  /// Small blocks among them, already decoded for readers at the end.
  private var handover: [DecodedBlock] = []
  /// The producers of their records.
  private var unapplied: [ProducerRegistry.Written] = []
  private var producerStore: ProducerStore
  private var poison: LogError?
  private var isClosed = false

  private var fileSystem: any FileSystem { environment.fileSystem }
  private let observation: Observation

  init(_ parts: sending Parts) throws(LogError) {
    environment = parts.environment
    observation = parts.environment.observation
    configuration = parts.configuration
    paths = parts.paths
    lock = parts.lock
    commitPoint = parts.commitPoint
    metaFile = parts.metaFile
    segments = parts.segments
    active = parts.active
    activeSegment = parts.activeSegment
    recovery = parts.recovery
    producers = parts.producers
    producerStore = parts.producerStore
    clock = parts.clock
    preparer = SegmentPreallocator(
      parts.environment.fileSystem, parts.paths, bytes: UInt64(parts.configuration.segmentBytes))
    logID = parts.metaFile.value.logID
    epoch = parts.metaFile.value.epoch
    encoder = try BlockEncoder(level: parts.configuration.compressionLevel)
    durable = parts.active.end
    view = LogView(observation: parts.environment.observation)
    if let start = parts.metaFile.value.start { view.trim(to: start) }
    trimmer = LogTrimmer(
      parts.environment, parts.configuration.retention, parts.paths, parts.metaFile, view,
      LogTrimmer.Writer(
        clock: parts.clock, snapshotEnd: { [producers = parts.producers] in producers.snapshotEnd }))
    try publish()
  }

  /// Seals segments of this log; nil when sealing is off.
  package var sealer: SegmentSealer? {
    guard case .settings(let settings) = configuration.sealing else { return nil }
    return SegmentSealer(fileSystem, paths, settings, randomBytes: environment.randomBytes)
  }
  var segmentCount: Int { segments.count }
  var logger: Logger { environment.logger }

  /// The error that poisoned the writer, if any.
  var failure: LogError? { poison }
  /// One past the last written record, durable or not.
  var end: Offset { active.next.offset }
  package var durableEnd: Offset { durable.offset }

  /// The number of the segment being written.
  package var segment: UInt64 { active.header.sequence }

  /// Whether the next segment should be prepared now, because half of this one is used.
  var wantsNextSegment: Bool {
    active.next.position > UInt64(configuration.segmentBytes / 2)
  }

  /// Writes the batches as one block; see ``write(_:)-(EncodedBlock)``.
  package func write(_ batches: some Collection<RecordBatch>) throws(LogError) -> Range<Offset> {
    try checkUsable()
    try encoder.compress(batches, into: block)
    let place = try put(block)
    // Blocks that encoders compress are too large to pass on decoded.
    if view.isAwaited, let decoded = DecodedBlock(small: batches, at: place) { handover.append(decoded) }
    return place.baseOffset..<active.next.offset
  }

  /// Writes a compressed block, and begins a new segment when this one is full; returns the block's offsets. It is
  /// volatile until ``synchronize()`` and invisible until ``publish()``. Several blocks may be written before either.
  /// Blocks the calling thread.
  ///
  /// Throws `.noSpace` when there is no space for the next segment, or no descriptor to open it with. Nothing is then
  /// written, and a later call may succeed. Any other failure poisons the writer.
  package func write(_ block: EncodedBlock) throws(LogError) -> Range<Offset> {
    try put(block).baseOffset..<active.next.offset
  }

  private func put(_ block: EncodedBlock) throws(LogError) -> BlockAddress {
    try checkUsable()
    let start = observation.start()
    let length = UInt64(block.length)
    if active.next.position + length > UInt64(configuration.segmentBytes), !active.isEmpty { try roll() }
    try fillAhead(for: length)
    let place = active.place(epoch: epoch, appendTime: clock.appendTime(notBefore: active.next.appendTime))
    do throws(FileSystemError) {
      let entry = try block.finish(at: place) { (header, bytes) throws(FileSystemError) in
        try active.write(header, bytes)
        return BlockEntry(header)
      }
      unpublished.append(entry)
      if let trailer = block.producers {
        unapplied.append(.init(trailer: trailer, offsets: entry.baseOffset..<entry.endOffset))
      }
    } catch {
      throw poisoned(by: error, while: "write a block")
    }
    let offsets = place.baseOffset..<active.next.offset
    observation.tell(since: start) { duration in
      .wroteBlock(
        LogObserverEvent.Block(
          offsets: offsets, rawBytes: block.rawLength, storedBytes: block.length, duration: duration))
    }
    return place
  }

  /// Returns when everything written is on stable storage, in the directory that readers and the next opening use.
  /// Blocks the calling thread.
  package func synchronize() throws(LogError) {
    try checkUsable()
    guard durable != active.end else { return try checkNames() }
    let start = observation.start()
    do throws(FileSystemError) {
      try active.synchronize()
      observation.tell(since: start) { .synced(duration: $0) }
    } catch {
      throw poisoned(by: error, while: "sync the log")
    }
    try checkNames()
    durable = active.end
  }

  /// Checks that the newest segment and the lock still have their names: two name lookups, about 3 µs. Open files
  /// outlive their names. Without the check, a log whose directory was removed or replaced would continue, and
  /// acknowledge records that no opening finds. Without the lock's file a second writer could begin.
  func checkNames() throws(LogError) {
    guard let lock else { return }
    for (path, file) in [(active.path, active.file), (paths.lock, lock)] {
      do throws(FileSystemError) {
        if try fileSystem.path(path, names: file.handle) { continue }
      } catch {
        throw poisoned(by: error, while: "check that the log's files still have their names")
      }
      throw poisoned(
        by: LogError(
          .poisoned,
          "the log's directory, or this file of it, was removed or replaced while the log was open; the log refuses "
            + "appends, and records appended since may be lost. Stop the cause, then open the log again",
          location: .init(path: path)))
    }
  }

  /// Shows readers what is durable (in a log of weaker durability, what is written).
  package func publish() throws(LogError) {
    let visible = configuration.durability == .disk ? durable : active.end
    if visible == active.end {
      activeSegment.append(unpublished, scanned: active.next)
      unpublished.removeAll(keepingCapacity: true)
    }
    try writeCommitPoint(CommitPoint(durable: durable, visible: visible, epoch: epoch))
    view.publish(
      SegmentSet(segments: segments, end: visible.offset), durable: durable.offset,
      decoded: visible == active.end ? handover : [])
    guard visible == active.end else { return }
    handover.removeAll(keepingCapacity: true)
    guard !unapplied.isEmpty else { return }
    producers.apply(unapplied)
    unapplied.removeAll(keepingCapacity: true)
  }

  /// The commit point is not synced: whatever version of it survives was true when it was written.
  private func writeCommitPoint(_ value: CommitPoint) throws(LogError) {
    var failure: FileSystemError?
    value.encoded(logID: logID).withUnsafeBytes { bytes in
      do throws(FileSystemError) { try fileSystem.writeAll(commitPoint.handle, bytes, at: 0) } catch { failure = error }
    }
    if let failure { throw poisoned(by: failure, while: "write the commit point") }
  }

  /// Makes the commit point durable; from any thread. No guarantee depends on it, so a failure is not reported. After a
  /// power cut a newer commit point lets recovery distinguish damage from a torn write.
  var syncCommitPoint: @Sendable () -> Void {
    { [commitPoint] in try? commitPoint.fileSystem.synchronize(commitPoint.handle) }
  }

  /// Ends this segment and begins the next.
  private func roll() throws(LogError) {
    let (start, finished) = (observation.start(), segment)
    try prepareNext()
    try synchronize()
    try publish()
    let hasProducers = saveSnapshot()
    // In memory: the newest segment's index is the writer's own.
    let blocks = try activeSegment.entries(upTo: active.next.offset)
    let next = try beginNext(hasProducers: hasProducers, after: blocks)
    try leaveActive(blocks, for: next)
    try publish()
    observation.tell(since: start) { .rolled(segment: finished, duration: $0) }
  }

  /// Step 1 of a roll: the next segment's file is there, zero-filled. A full disk, or a process without a free
  /// descriptor, changes nothing.
  private func prepareNext() throws(LogError) {
    do throws(LogError) {
      try preparer.prepare()
    } catch {
      if error.code == .noSpace {
        try retrySnapshot()
        throw error
      }
      if let cause = error.cause as? FileSystemError, cause.isHarmless {
        throw Self.transient(cause, while: "prepare the next segment")
      }
      throw poisoned(by: error, at: error.location.path, while: "prepare the next segment")
    }
  }

  /// Step 2 of a roll: the file becomes a segment, durably. Until its rename the file is no segment, so a harmless
  /// failure changes nothing.
  private func beginNext(hasProducers: Bool, after blocks: [BlockEntry]) throws(LogError) -> (SegmentWriter, Segment) {
    do throws(FileSystemError) {
      try probeDescriptors()
      let header = nextHeader(hasProducers: hasProducers, after: blocks)
      return try SegmentWriter.begin(fileSystem, paths, header: header, filled: UInt64(configuration.segmentBytes))
    } catch {
      throw error.isHarmless
        ? Self.transient(error, while: "begin a segment") : poisoned(by: error, while: "begin a segment")
    }
  }

  /// Opens two descriptors and closes them again. After the rename, the directory is opened besides the segment: a
  /// process with one free descriptor must fail before it.
  private func probeDescriptors() throws(FileSystemError) {
    let spare = OpenFile(fileSystem, try fileSystem.open(paths.next, .readOnly))
    try withExtendedLifetime(spare) { () throws(FileSystemError) in
      fileSystem.close(try fileSystem.open(paths.next, .readOnly))
    }
  }

  /// Step 3 of a roll: the old segment gets its index, and the new one takes its place. Only now, because recovery
  /// reads the newest segment alone and must not meet an index where it expects a block.
  private func leaveActive(_ blocks: [BlockEntry], for next: (SegmentWriter, Segment)) throws(LogError) {
    preparer.taken()
    do throws(FileSystemError) { try active.finish(blocks) } catch {
      throw poisoned(by: error, while: "finish the segment")
    }
    // Readers find its blocks again when they need them; a long log must not fill the memory with old indexes.
    activeSegment.release()
    (active, activeSegment) = next
    // The view's list, because retention may have dropped some.
    segments = view.set.segments + [activeSegment]
    durable = active.end
  }

  /// A failure that changed nothing: a full disk, or a process without a free descriptor. A later call may succeed.
  private static func transient(_ failure: FileSystemError, while doing: String) -> LogError {
    LogError(.noSpace, "could not \(doing)", location: .init(path: failure.path), cause: failure)
  }

  /// Saves the producers' snapshot before the next segment takes blocks, because recovery reads the blocks after the
  /// newest snapshot. If that fails, as on a full disk, the older snapshot stays: recovery reads more, and retention
  /// keeps what it reads. False where there are no producers to save.
  @discardableResult
  private func saveSnapshot() -> Bool {
    let table = producers.table
    let end = active.end.offset
    guard !table.isTrivial else {
      producers.note(snapshotEnd: end)
      return false
    }
    do throws(LogError) {
      try producerStore.save(table, at: end)
      producers.note(snapshotEnd: end)
    } catch {
      environment.logger.warning("\(error)")
    }
    return true
  }

  /// The disk is full, and retention may be blocked by a snapshot that earlier found no space. A snapshot is small.
  private func retrySnapshot() throws(LogError) {
    guard producers.snapshotEnd < active.header.baseOffset else { return }
    try synchronize()
    try publish()
    saveSnapshot()
  }

  private func nextHeader(hasProducers: Bool, after blocks: [BlockEntry]) -> SegmentHeader {
    var header = SegmentHeader(
      readOnlyFeatures: !hasProducers ? 0 : SegmentHeader.producersFeature,
      logID: logID, sequence: active.header.sequence + 1, epoch: epoch, baseOffset: active.next.offset,
      salt: environment.randomBytes(), previousChain: active.next.chain ?? 0,
      begunAt: clock.appendTime(notBefore: active.next.appendTime))
    header.latestEventTime = blocks.latestEventTime(after: active.header)
    return header
  }

  /// The first segment of an opening is filled with zeros by doubling, so that a small log stays small; later ones are
  /// filled whole.
  private func fillAhead(for length: UInt64) throws(LogError) {
    let needed = active.next.position + length
    guard needed > active.filledEnd else { return }
    let doubled = min(max(active.filledEnd * 2, SegmentWriter.firstFill), UInt64(configuration.segmentBytes))
    // A nearly full disk may have space for the block alone.
    for end in [max(needed, doubled), needed] {
      do throws(FileSystemError) {
        return try active.fill(upTo: end)
      } catch {
        // A write of zeros that finds no space changes nothing; a failed sync is a failure of the disk.
        if error.isHarmless {
          if end > needed { continue }
          try retrySnapshot()
          throw LogError(error, while: "make space for a block")
        }
        throw poisoned(by: error, while: "make space for a block")
      }
    }
  }

  /// Syncs, stores the end, frees unused space and releases the lock. The writer is unusable afterwards. Throws the
  /// error that poisoned the writer, if any: then nothing was synced. Blocks the calling thread.
  package func close() throws(LogError) {
    guard !isClosed else { return }
    defer {
      isClosed = true
      trimmer.close()
      // However the log ends, it makes no more files: another writer may begin as soon as the lock is free. This waits
      // for a file that is being made. After a failure the names may lead into another log, so nothing is removed: the
      // next opening removes it.
      if poison == nil { try? preparer.end() } else { preparer.stop() }
      lock = nil
      view.close()
    }
    if let poison { throw poison }
    try synchronize()
    try publish()
    do throws(FileSystemError) {
      try active.trim()
      try preparer.end()
    } catch {
      throw poisoned(by: error, while: "close the log")
    }
    try metaFile.update { $0.cleanEnd = durable }
  }

  private func checkUsable() throws(LogError) {
    if let poison {
      throw LogError(
        .poisoned, "an earlier write failed, so the log refuses appends; open it again to recover", cause: poison)
    }
    if isClosed { throw LogError(.closed, "the log is closed") }
  }

  private func poisoned(by failure: FileSystemError, while doing: String) -> LogError {
    poisoned(by: failure, at: failure.path, while: doing)
  }

  private func poisoned(by failure: any Error, at path: String?, while doing: String) -> LogError {
    let message = "could not \(doing); the log refuses appends"
    return poisoned(by: LogError(.poisoned, message, location: .init(path: path), cause: failure))
  }

  private func poisoned(by error: LogError) -> LogError {
    if poison == nil { poison = error }
    view.noteFailure()
    return error
  }
}
