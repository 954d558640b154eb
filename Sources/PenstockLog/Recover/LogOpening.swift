internal import Logging

/// Opens a log for writing: takes the lock, reads everything, decides, and only then writes.
package enum LogOpening {
  /// Opens or creates the log at `path`. Blocks the calling thread; reads at most one segment whole.
  package static func open(
    _ path: String, _ configuration: LogConfiguration, _ environment: LogEnvironment,
    as holder: LogDirectory.Holder = .writer
  ) throws(LogError) -> LogWriter {
    try configuration.validate()
    let paths = LogPaths(path)
    let fileSystem = environment.fileSystem
    let isNew = try !LogDirectory.exists(fileSystem, paths)
    if isNew { try LogDirectory.create(fileSystem, paths) } else { try LogDirectory.restore(fileSystem, paths) }
    let lock = try LogDirectory.lock(fileSystem, paths, as: holder)
    fileSystem.volume(of: paths.root)?.warn(environment.logger)
    var report = RecoveryReport(outcome: .clean, rule: "clean")
    let found = try LogDirectory.listSegments(fileSystem, paths)
    report.unknownFiles = found.unknown
    let metaFile = try openMeta(environment, paths, found.names, isNew: isNew, &report)
    let meta = metaFile.value

    var snapshots = try ProducerStore.open(fileSystem, paths, logID: meta.logID)
    let recovered = try recover(environment, paths, configuration, meta, found.names, snapshots.newest, &report)
    var producers = rebuildProducers(snapshots, recovered, configuration, &report)
    try metaFile.update { $0.epoch = max(meta.epoch, recovered.highestEpoch) + 1 }
    let raised = metaFile.value
    report.epoch = raised.epoch
    producers.begin(logEpoch: raised.epoch)

    var snapshotEnd = report.producers.readFrom
    if recovered.writable == nil, !producers.isTrivial {
      // Best effort, as at every new segment: recovery then reads past a hole once, and not at every opening.
      do throws(LogError) {
        try snapshots.store.save(producers, at: recovered.nextOffset)
        snapshotEnd = recovered.nextOffset
      } catch {
        environment.logger.warning("\(error)")
      }
    }
    let commitPoint = try LogDirectory.openCommitPoint(fileSystem, paths)
    let newest = recovered.writable?.0.next.appendTime ?? recovered.appendTime
    let clock = AppendClock(environment, newest: newest.nanoseconds == .min ? nil : newest)
    let (active, segment): (SegmentWriter, Segment)
    if let writable = recovered.writable {
      (active, segment) = writable
    } else {
      (active, segment) = try begin(
        environment, paths, after: recovered, meta: raised, hadProducers: !producers.isTrivial,
        segmentBytes: UInt64(configuration.segmentBytes), clock: clock)
    }
    report.end = active.next.offset
    log(report, environment.logger)
    var segments = recovered.earlier
    segments.append(segment)
    return try LogWriter(
      LogWriter.Parts(
        environment: environment, configuration: configuration, paths: paths, lock: lock, commitPoint: commitPoint,
        metaFile: metaFile, segments: segments, active: active, activeSegment: segment, recovery: report,
        producers: ProducerRegistry(producers, snapshotEnd: snapshotEnd), producerStore: snapshots.store, clock: clock))
  }

  private static func rebuildProducers(
    _ snapshots: ProducerStore.Opened, _ recovered: Recovered, _ configuration: LogConfiguration,
    _ report: inout RecoveryReport
  ) -> ProducerTable {
    var segments = recovered.earlier
    if let (_, active) = recovered.writable { segments.append(active) }
    let end = recovered.writable?.0.next.offset ?? recovered.nextOffset
    let (table, producers) = ProducerReplay.rebuild(
      snapshots.newest, segments, end: end, capacity: configuration.maxProducers)
    report.producers = producers
    report.producers.damagedSnapshots = snapshots.damaged
    return table
  }

  private static func log(_ report: RecoveryReport, _ logger: Logger) {
    let metadata: Logger.Metadata = [
      "rule": "\(report.rule)", "segment": "\(report.segment ?? "")", "position": "\(report.position ?? 0)",
      "cutBytes": "\(report.cutBytes)", "end": "\(report.end)",
    ]
    if !report.isDiskProven {
      logger.warning(
        "this file system cannot prove what is on the disk; after an I/O error restart the machine before the log")
    }
    switch report.outcome {
    case .created, .clean: logger.debug("the log is open", metadata: metadata)
    case .torn, .undecidable: logger.notice("the log was cut at its last valid block", metadata: metadata)
    case .damaged:
      logger.error("the log has lost acknowledged records", metadata: metadata)
      for gap in report.gaps { logger.error("\(gap)") }
    }
  }

  private static func openMeta(
    _ environment: LogEnvironment, _ paths: LogPaths, _ names: [SegmentName], isNew: Bool,
    _ report: inout RecoveryReport
  ) throws(LogError) -> MetaFile {
    let fileSystem = environment.fileSystem
    let isThere: Bool
    do throws(FileSystemError) { isThere = try fileSystem.exists(paths.meta) } catch {
      throw LogError(error, while: "find META")
    }
    if !isThere {
      // A killed creation may have left the directories in memory alone, and META must not be durable before them.
      if !isNew { try LogDirectory.create(fileSystem, paths) }
      var meta = LogMeta(
        logID: environment.randomBytes(), epoch: 0, createdAt: environment.clock.now(),
        start: names.first ?? SegmentName(sequence: 1, baseOffset: .zero))
      if let newest = names.last {
        // META is missing, the segments are not: their headers hold the same facts.
        let segment = Segment(fileSystem, newest, path: paths.segment(newest))
        let header = try segment.open().1
        meta.logID = header.logID
        meta.epoch = header.epoch
        report.rebuiltMeta = true
      } else {
        report = RecoveryReport(outcome: .created, rule: "created")
      }
      try SlotFile.create(
        fileSystem, paths.meta, kind: LogMeta.slotKind, slotSize: LogMeta.slotSize, value: meta.encoded())
    }
    let (slots, value) = try SlotFile.open(
      fileSystem, paths.meta, kind: LogMeta.slotKind, slotSize: LogMeta.slotSize)
    return MetaFile(slots, try LogMeta(decoding: value))
  }

  /// The result of recovery, for the writer.
  private struct Recovered {
    /// All segments except the one to be written.
    var earlier: [Segment] = []
    /// The newest segment, when it can be appended to.
    var writable: (SegmentWriter, Segment)?
    /// Otherwise, what a new segment must continue.
    var nextSequence: UInt64 = 1
    var nextOffset = Offset.zero
    var chain: UInt64 = 0
    var appendTime = Timestamp(nanoseconds: .min)
    var highestEpoch: UInt32 = 0
    var latestEventTime: Int64?

    /// A segment is sealed only when there is a later one. So that later one is missing, even if nothing shows how far
    /// it reached. Its number is not used again.
    mutating func continueAfter(
      _ seal: SegmentSeal, _ tail: TailRecovery, _ evidence: DurabilityEvidence, _ report: inout RecoveryReport
    ) {
      report.segment = tail.path
      report.position = seal.footerPosition
      report.outcome = .damaged
      report.rule = "lost tail"
      nextOffset = max(seal.endOffset, evidence.highestOffset)
      if nextOffset > seal.endOffset {
        report.gaps.append(Gap(first: seal.endOffset, end: nextOffset, reason: .missing))
      }
      nextSequence = max(tail.header.sequence + 1, evidence.highestSegment) + 1
      chain = seal.chain
      appendTime = seal.lastAppendTime
      highestEpoch = tail.header.epoch
      let segment = Segment(tail.environment.fileSystem, tail.header.name, path: tail.path)
      latestEventTime = (try? segment.entries(upTo: seal.endOffset))?.latestEventTime(after: tail.header)
      earlier.append(segment)
    }
  }

  private static func recover(
    _ environment: LogEnvironment, _ paths: LogPaths, _ configuration: LogConfiguration, _ meta: LogMeta,
    _ all: [SegmentName], _ producers: ProducerSnapshot?, _ report: inout RecoveryReport
  ) throws(LogError) -> Recovered {
    let fileSystem = environment.fileSystem
    // Segments below the start were dropped by retention, but not yet removed.
    let names = all.filter { $0.sequence >= meta.start?.sequence ?? 0 }
    var evidence = try DurabilityEvidence.accumulate(fileSystem, paths, meta: meta)
    // The snapshot was written only after everything below its end had been synced.
    if let end = producers?.end { evidence.offsets.append(end) }
    var recovered = Recovered()
    recovered.earlier = names.dropLast().map {
      Segment(fileSystem, $0, path: paths.segment($0), logID: meta.logID)
    }
    report.gaps += try missingSegments(names, recovered.earlier)
    if let start = meta.start, let oldest = names.first, oldest.baseOffset > start.baseOffset {
      report.gaps.insert(Gap(first: start.baseOffset, end: oldest.baseOffset, reason: .missing), at: 0)
    }
    guard let newest = names.last else {
      try clear(fileSystem, paths, [])
      recovered.nextSequence = evidence.highestSegment + 1
      recovered.nextOffset = evidence.highestOffset
      // No record with an event time is left.
      recovered.latestEventTime = .min
      if evidence.highestOffset > .zero {
        report.outcome = .damaged
        report.rule = "lost tail"
        report.gaps.append(Gap(first: meta.start?.baseOffset ?? .zero, end: evidence.highestOffset, reason: .missing))
      }
      return recovered
    }

    let path = paths.segment(newest)
    let tail = try openTail(environment, paths, path, newest, configuration, meta, &report)
    let leftovers = all.dropLast(names.count).map { paths.segment($0) }
    if let seal = tail.header.seal {
      try clear(fileSystem, paths, leftovers)
      recovered.continueAfter(seal, tail, evidence, &report)
      return recovered
    }
    let result = try tail.examine(evidence)
    if let version = result.futureVersion {
      throw LogError(
        .futureFormat, "a block was written by a later version (format \(version)); use a newer penstock",
        location: .init(path: path, position: result.tail.position))
    }
    // The verdict is known. Removable files are removed now, because acting on the verdict may need space.
    try clear(fileSystem, paths, leftovers)
    report.segment = path
    report.position = result.tail.position
    report.rule = result.row.name
    recovered.highestEpoch = max(result.last.epoch, tail.header.epoch)

    let segment = Segment(
      fileSystem, path: path, header: tail.header, entries: result.entries, scanned: result.last)
    try apply(result, tail, evidence, segment, configuration, &recovered, &report)
    if !report.gaps.isEmpty { report.outcome = .damaged }
    return recovered
  }

  /// Removes the files that a crash left.
  private static func clear(
    _ fileSystem: any FileSystem, _ paths: LogPaths, _ leftovers: [String]
  ) throws(LogError) {
    try LogTrimmer.remove(leftovers, fileSystem, paths)
    do throws(FileSystemError) {
      // A segment that a crashed writer was preparing: it holds no records, and nothing shows how far its zeros reach.
      try SegmentPreallocator.discard(fileSystem, paths)
      try SegmentSealer.removeLeftovers(fileSystem, paths)
    } catch {
      throw LogError(error, while: "remove an unfinished segment")
    }
  }

  /// Acts on the verdict. Idempotent.
  private static func apply(
    _ result: TailRecovery.Examination, _ tail: TailRecovery, _ evidence: DurabilityEvidence, _ segment: Segment,
    _ configuration: LogConfiguration, _ recovered: inout Recovered, _ report: inout RecoveryReport
  ) throws(LogError) {
    switch result.row.verdict {
    case .refuse:
      throw LogError(
        .undecidableTail,
        "the log ends in bytes that may be an unacknowledged write or a damaged record (\(result.flaw ?? "unknown")); "
          + "open it without strict recovery to cut them and keep a copy",
        location: .init(path: tail.path, position: result.tail.position, offset: result.tail.offset))
    case .damaged:
      report.outcome = .damaged
      report.gaps += result.gaps
      report.quarantined = try tail.quarantine(result.badRanges)
      try settle(tail)
      // A damaged segment is never written again, and offsets that a reader may have seen are never used again.
      recovered.nextOffset = max(result.writtenEnd, evidence.highestOffset)
      if recovered.nextOffset > result.last.offset {
        // This segment is intact and there is evidence of a later one: the later one is missing.
        let isMissing = result.badRanges.isEmpty && evidence.highestSegment > tail.header.sequence
        report.gaps.append(
          Gap(
            first: result.last.offset, end: recovered.nextOffset, reason: isMissing ? .missing : .damaged,
            path: isMissing ? nil : tail.path))
      }
      recovered.nextSequence = max(tail.header.sequence, evidence.highestSegment) + 1
      recovered.chain = result.last.chain ?? 0
      recovered.latestEventTime = result.entries.latestEventTime(after: tail.header)
      recovered.appendTime = result.last.appendTime
      recovered.earlier.append(Segment(segment.fileSystem, segment.name, path: segment.path))
      return
    case .cutKeepingBytes:
      report.outcome = result.row.name == "torn" ? .torn : .undecidable
      report.quarantined = try tail.quarantine(result.badRanges)
      report.cutBytes = try tail.cut(result)
    case .clean:
      try settle(tail)
      _ = try tail.cut(result)
    }
    let kept = Segment(
      segment.fileSystem, path: tail.path, header: tail.header,
      entries: result.entries.filter { $0.endPosition <= result.tail.position }, scanned: result.tail)
    let writer = SegmentWriter(
      tail.file, path: tail.path, header: tail.header, next: result.tail, filledEnd: result.tail.position)
    recovered.writable = (writer, kept)
  }

  /// Makes the newest segment's name durable: a killed process may have left it in memory alone. Opening the segment
  /// has synced its bytes.
  private static func settle(_ tail: TailRecovery) throws(LogError) {
    do throws(FileSystemError) {
      try tail.file.fileSystem.synchronizeDirectory(tail.paths.data)
    } catch {
      throw LogError(error, while: "sync the directory of the segments")
    }
  }

  private static func openTail(
    _ environment: LogEnvironment, _ paths: LogPaths, _ path: String, _ name: SegmentName,
    _ configuration: LogConfiguration, _ meta: LogMeta, _ report: inout RecoveryReport
  ) throws(LogError) -> TailRecovery {
    let fileSystem = environment.fileSystem
    let file: OpenFile
    do throws(FileSystemError) {
      file = OpenFile(fileSystem, try fileSystem.open(path, .readWrite))
      // Bytes that a killed process left unsynced become durable before a reader may see them. Bytes that a failed
      // write left in memory alone are dropped: the disk decides.
      report.isDiskProven = try fileSystem.synchronizeThenDropCache(file.handle)
    } catch {
      throw LogError(error, while: "read the newest segment from the disk")
    }
    let header = try SegmentScanner.readHeader(fileSystem, file.handle, path: path)
    guard header.logID == meta.logID, header.sequence == name.sequence, header.baseOffset == name.baseOffset else {
      throw LogError(.damaged, "the segment belongs to another log, or was renamed", location: .init(path: path))
    }
    guard header.isWritable || header.isSealed else {
      throw LogError(
        .readOnlyFormat, "the segment has features this version may read but not write; use a newer penstock",
        location: .init(path: path))
    }
    return TailRecovery(
      environment: environment, paths: paths, file: file, path: path, header: header,
      isStrict: configuration.strictRecovery)
  }

  /// The gaps of segments that are missing between two others.
  private static func missingSegments(_ names: [SegmentName], _ segments: [Segment]) throws(LogError) -> [Gap] {
    var gaps: [Gap] = []
    for (index, name) in names.enumerated().dropFirst() where name.sequence != names[index - 1].sequence + 1 {
      // An unreadable segment before it is a separate gap, which readers get.
      let before = try? segments[index - 1].entries(upTo: name.baseOffset)
      let end = before?.last?.endOffset ?? names[index - 1].baseOffset
      if end < name.baseOffset { gaps.append(Gap(first: end, end: name.baseOffset, reason: .missing)) }
    }
    return gaps
  }

  private static func begin(
    _ environment: LogEnvironment, _ paths: LogPaths, after recovered: Recovered, meta: LogMeta, hadProducers: Bool,
    segmentBytes: UInt64, clock: AppendClock
  ) throws(LogError) -> (SegmentWriter, Segment) {
    let fileSystem = environment.fileSystem
    let filled = min(SegmentWriter.firstFill, segmentBytes)
    let preparer = SegmentPreallocator(fileSystem, paths, bytes: filled)
    try preparer.prepare()
    var header = SegmentHeader(
      readOnlyFeatures: hadProducers ? SegmentHeader.producersFeature : 0, logID: meta.logID,
      sequence: recovered.nextSequence, epoch: meta.epoch, baseOffset: recovered.nextOffset,
      salt: environment.randomBytes(), previousChain: recovered.chain,
      begunAt: clock.appendTime(notBefore: recovered.appendTime))
    header.latestEventTime = recovered.latestEventTime
    do throws(FileSystemError) {
      return try SegmentWriter.begin(fileSystem, paths, header: header, filled: filled)
    } catch {
      throw LogError(error, while: "begin a segment")
    }
  }
}
