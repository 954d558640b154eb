package import Logging

/// The one writer of a log: blocks into segments, segments into a directory, and what is durable to the readers. Synchronous
/// and without a lock: `Log` confines it to its committer thread, the crash tests drive it directly.
///
/// Order of effects, each durable before the next begins: header of a segment → its name → its blocks → the commit point →
/// readers. A failed write or sync leaves the writer *poisoned*: every later call throws, for ever.
package final class LogWriter {
  package let view: LogView
  package let logID: [UInt8]
  package let recovery: RecoveryReport
  /// Makes the next segment ready; may be called from another thread while blocks are written.
  package let preparer: SegmentPreallocator
  package private(set) var epoch: UInt32
  package let producers: ProducerRegistry

  /// Removes the log's beginning; from any thread.
  package let trimmer: LogTrimmer

  private let environment: LogEnvironment
  private let clock: AppendClock
  private let configuration: LogConfiguration
  private let paths: LogPaths
  /// Until the log is closed.
  private var lock: OpenFile?
  private let commitPoint: OpenFile
  private let metaFile: MetaFile
  private var segments: [Segment]
  private var active: SegmentWriter
  private var activeSegment: Segment
  private var encoder: BlockEncoder
  /// For batches that nobody has compressed ahead of time.
  private let block = EncodedBlock()
  private var durable: CommitPoint.End
  /// Blocks that readers do not see yet.
  private var unpublished: [BlockEntry] = []
  /// Those of them that readers at the end need not decode.
  private var handover: [DecodedBlock] = []
  /// What they say of producers.
  private var unapplied: [ProducerRegistry.Written] = []
  private var producerStore: ProducerStore
  private var poison: LogError?
  private var isClosed = false

  private var fileSystem: any FileSystem { environment.fileSystem }
  private let observation: Observation

  package init(_ parts: sending Parts) throws(LogError) {
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
      clock: parts.clock, snapshotEnd: { [producers = parts.producers] in producers.snapshotEnd })
    try publish()
  }

  /// Seals segments of this log; nil when that is switched off.
  package var sealer: SegmentSealer? {
    guard case .settings(let settings) = configuration.sealing else { return nil }
    return SegmentSealer(fileSystem, paths, settings, randomBytes: environment.randomBytes)
  }
  package var segmentCount: Int { segments.count }
  package var logger: Logger { environment.logger }

  /// What poisoned the writer, if anything did.
  package var failure: LogError? { poison }
  /// One past the last record written, durable or not.
  package var end: Offset { active.next.offset }
  package var durableEnd: Offset { durable.offset }

  /// The number of the segment being written.
  package var segment: UInt64 { active.header.sequence }

  /// Whether the next segment should be made ready now, because half of this one is used.
  package var wantsNextSegment: Bool {
    active.next.position > UInt64(configuration.segmentBytes / 2)
  }

  /// Writes the batches as one block; see ``write(_:)-(EncodedBlock)``.
  package func write(_ batches: some Collection<RecordBatch>) throws(LogError) -> Range<Offset> {
    try checkUsable()
    try encoder.compress(batches, into: block)
    let place = try put(block)
    // What encoders compress is too large to be handed over.
    if view.isAwaited, let decoded = DecodedBlock(small: batches, at: place) { handover.append(decoded) }
    return place.baseOffset..<active.next.offset
  }

  /// Writes a block that somebody has compressed, beginning a new segment when this one is full; returns its offsets. Volatile
  /// until ``synchronize()``, unseen until ``publish()``; several may be written before either.
  ///
  /// Throws `.noSpace` when there is no room for the next segment, or no descriptor to open it with: nothing is written, and a
  /// later call may succeed. Any other failure poisons.
  package func write(_ block: EncodedBlock) throws(LogError) -> Range<Offset> {
    try put(block).baseOffset..<active.next.offset
  }

  private func put(_ block: EncodedBlock) throws(LogError) -> BlockAddress {
    try checkUsable()
    let start = observation.start()
    let length = UInt64(block.length)
    if active.next.position + length > UInt64(configuration.segmentBytes), !active.isEmpty { try roll() }
    try makeRoom(for: length)
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

  /// Returns when everything written is on stable storage, in the directory that readers and the next opening look into.
  package func synchronize() throws(LogError) {
    try checkUsable()
    guard durable != active.end else { return try checkPlace() }
    let start = observation.start()
    do throws(FileSystemError) {
      try active.synchronize()
      observation.tell(since: start) { .synced(duration: $0) }
    } catch {
      throw poisoned(by: error, while: "sync the log")
    }
    try checkPlace()
    durable = active.end
  }

  /// Proves that the newest segment and the lock are still what their names lead to: two looks at names, about 3 µs. Open files
  /// outlive their names, so without it a log whose directory was removed or replaced would go on and acknowledge records
  /// that no opening finds. Without the lock's file a second writer could begin.
  package func checkPlace() throws(LogError) {
    guard let lock else { return }
    for (path, file) in [(active.path, active.file), (paths.lock, lock)] {
      do throws(FileSystemError) {
        if try fileSystem.path(path, names: file.handle) { continue }
      } catch {
        throw poisoned(by: error, while: "prove that the log is still in its place")
      }
      throw poisoned(
        by: LogError(
          .poisoned,
          "the log's directory was removed or replaced while the log was open, or this file of it; the log takes no more "
            + "appends, and what was appended since may be gone. Stop what does that, then open the log again",
          location: .init(path: path)))
    }
  }

  /// Lets readers see what is durable (what is written, in a log of weaker durability).
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

  /// Makes the commit point durable; from any thread. No promise depends on it, so a failure is not reported: after a power cut a newer
  /// commit point lets recovery tell damage from a torn write.
  package var syncCommitPoint: @Sendable () -> Void {
    { [commitPoint] in try? commitPoint.fileSystem.synchronize(commitPoint.handle) }
  }

  /// Ends this segment and begins the next.
  private func roll() throws(LogError) {
    let (start, finished) = (observation.start(), segment)
    do throws(LogError) {
      try preparer.prepare()
    } catch {
      if error.code == .noSpace {
        try retrySnapshot()
        throw error
      }
      if let passing = Self.passing(error.cause, while: "make the next segment ready") { throw passing }
      throw poisoned(by: error, at: error.location.path, while: "make the next segment ready")
    }
    try synchronize()
    try publish()
    let hasProducers = noteProducers()
    // In memory: the newest segment's index is the writer's own.
    let blocks = try activeSegment.entries(upTo: active.next.offset)
    let opened: (SegmentWriter, Segment)
    do throws(FileSystemError) {
      // Behind the rename the directory is opened beside the segment: who has but one descriptor left is to learn it now.
      let spare = OpenFile(fileSystem, try fileSystem.open(paths.next, .readOnly))
      try withExtendedLifetime(spare) { () throws(FileSystemError) in
        fileSystem.close(try fileSystem.open(paths.next, .readOnly))
      }
    } catch {
      throw Self.passing(error, while: "begin a segment") ?? poisoned(by: error, while: "begin a segment")
    }
    do throws(FileSystemError) {
      opened = try SegmentWriter.begin(
        fileSystem, paths, header: nextHeader(hasProducers: hasProducers, after: blocks),
        filled: UInt64(configuration.segmentBytes))
    } catch {
      // The prepared file has no name of a segment yet, so nothing has changed.
      if error.code == .noSpace, error.operation == "rename" || error.operation == "write" {
        throw LogError(error, while: "begin a segment")
      }
      if error.operation == "open", let passing = Self.passing(error, while: "begin a segment") { throw passing }
      throw poisoned(by: error, while: "begin a segment")
    }
    preparer.taken()
    // Only now: recovery looks at the newest segment alone, so it meets no index where it looks for a block.
    do throws(FileSystemError) {
      try active.finish(blocks)
    } catch {
      throw poisoned(by: error, while: "finish the segment")
    }
    // Readers find its blocks again when they need them; a long log must not fill the memory with old indexes.
    activeSegment.release()
    (active, activeSegment) = opened
    // As readers have them: retention may have dropped some.
    segments = view.set.segments
    segments.append(activeSegment)
    durable = active.end
    try publish()
    observation.tell(since: start) { .rolled(segment: finished, duration: $0) }
  }

  /// A process without a free descriptor is like a disk without room: what could not be opened is unchanged, and others are closed
  /// again. Nil for every other failure.
  private static func passing(_ failure: (any Error)?, while doing: String) -> LogError? {
    guard let failure = failure as? FileSystemError, failure.code == .tooManyOpenFiles else { return nil }
    return LogError(.noSpace, "could not \(doing)", location: .init(path: failure.path), cause: failure)
  }

  /// Recovery reads the blocks behind the newest note, so it is renewed before the next segment takes any. Where it cannot
  /// be, on a full disk say, the older one stays, recovery reads more, and retention leaves what it reads. False where there
  /// is nothing to note.
  @discardableResult
  private func noteProducers() -> Bool {
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

  /// There is no room, and retention may be kept from making some by a note that found none earlier. A note is small.
  private func retrySnapshot() throws(LogError) {
    guard producers.snapshotEnd < active.header.baseOffset else { return }
    try synchronize()
    try publish()
    noteProducers()
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

  /// The first segment of an opening is filled with zeros by doubling, so that a small log stays small; the ones after it
  /// come whole.
  private func makeRoom(for length: UInt64) throws(LogError) {
    let needed = active.next.position + length
    guard needed > active.filledEnd else { return }
    let doubled = min(max(active.filledEnd * 2, SegmentWriter.firstFill), UInt64(configuration.segmentBytes))
    // On a nearly full disk there may be room for the block alone.
    for end in [max(needed, doubled), needed] {
      do throws(FileSystemError) {
        return try active.fill(upTo: end)
      } catch {
        // A write of zeros that found no room has harmed nothing; a sync that failed has.
        if error.code == .noSpace, error.operation != "synchronize" {
          if end > needed { continue }
          try retrySnapshot()
          throw LogError(error, while: "make room for a block")
        }
        throw poisoned(by: error, while: "make room for a block")
      }
    }
  }

  /// Syncs, notes the end, gives back unused room and lets go of the lock. The writer is unusable afterwards. Throws what
  /// poisoned the writer, if anything did: then nothing was synced.
  package func close() throws(LogError) {
    guard !isClosed else { return }
    defer {
      isClosed = true
      trimmer.close()
      // However the log ends, no file of it is made any more: another writer may begin as soon as the lock is free. This waits
      // for one that is being made. After a failure the names may lead into another log, so nothing is removed: the next
      // opening does that.
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
        .poisoned, "an earlier write failed, so the log takes no more appends; open it again to recover", cause: poison)
    }
    if isClosed { throw LogError(.closed, "the log is closed") }
  }

  private func poisoned(by failure: FileSystemError, while doing: String) -> LogError {
    poisoned(by: failure, at: failure.path, while: doing)
  }

  private func poisoned(by failure: any Error, at path: String?, while doing: String) -> LogError {
    poisoned(
      by: LogError(
        .poisoned, "could not \(doing); the log takes no more appends", location: .init(path: path), cause: failure))
  }

  private func poisoned(by error: LogError) -> LogError {
    if poison == nil { poison = error }
    view.noteFailure()
    return error
  }
}
