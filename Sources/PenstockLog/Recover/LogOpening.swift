internal import Logging

/// Opening a log for writing: take the lock, read everything, decide, and only then write.
package enum LogOpening {
  /// Opens or creates the log at `path`. Blocks; reads at most one segment whole.
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

    var noted = try ProducerStore.open(fileSystem, paths, logID: meta.logID)
    let recovered = try recover(environment, paths, configuration, meta, found.names, noted.newest, &report)
    var producers = rebuildProducers(noted, recovered, configuration, &report)
    try metaFile.update { $0.epoch = max(meta.epoch, recovered.highestEpoch) + 1 }
    let raised = metaFile.value
    report.epoch = raised.epoch
    producers.begin(logEpoch: raised.epoch)

    var snapshotEnd = report.producers.readFrom
    if recovered.writable == nil, !producers.isTrivial {
      // Best effort, as at every new segment: a hole is then looked at once, not at every opening.
      do throws(LogError) {
        try noted.store.save(producers, at: recovered.nextOffset)
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
    tell(report, environment.logger)
    var segments = recovered.earlier
    segments.append(segment)
    return try LogWriter(
      LogWriter.Parts(
        environment: environment, configuration: configuration, paths: paths, lock: lock, commitPoint: commitPoint,
        metaFile: metaFile, segments: segments, active: active, activeSegment: segment, recovery: report,
        producers: ProducerRegistry(producers, snapshotEnd: snapshotEnd), producerStore: noted.store, clock: clock))
  }

  private static func rebuildProducers(
    _ noted: ProducerStore.Found, _ recovered: Recovered, _ configuration: LogConfiguration,
    _ report: inout RecoveryReport
  ) -> ProducerTable {
    var segments = recovered.earlier
    if let (_, active) = recovered.writable { segments.append(active) }
    let end = recovered.writable?.0.next.offset ?? recovered.nextOffset
    let (table, finding) = ProducerReplay.rebuild(
      noted.newest, segments, end: end, capacity: configuration.maxProducers)
    report.producers = finding
    report.producers.damagedSnapshots = noted.damaged
    return table
  }

  private static func tell(_ report: RecoveryReport, _ logger: Logger) {
    let metadata: Logger.Metadata = [
      "rule": "\(report.rule)", "segment": "\(report.segment ?? "")", "position": "\(report.position ?? 0)",
      "cutBytes": "\(report.cutBytes)", "end": "\(report.end)",
    ]
    if !report.isDiskProven {
      logger.warning(
        "this file system does not show what is on the disk; after an input/output error restart the machine before the log"
      )
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
      throw LogError(error, while: "look for META")
    }
    if !isThere {
      // A creation that was killed may have left the directories in memory alone, and META must not be durable before them.
      if !isNew { try LogDirectory.create(fileSystem, paths) }
      var meta = LogMeta(
        logID: environment.randomBytes(), epoch: 0, createdAt: environment.clock.now(),
        start: names.first ?? SegmentName(sequence: 1, baseOffset: .zero))
      if let newest = names.last {
        // META is gone, the segments are not: they say what it said.
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
    guard
      let (slots, value) = try SlotFile.open(
        fileSystem, paths.meta, kind: LogMeta.slotKind, slotSize: LogMeta.slotSize, locking: false)
    else { throw LogError(.locked, "META is locked", location: .init(path: paths.meta)) }
    return MetaFile(slots, try LogMeta(decoding: value))
  }

  /// What recovery leaves for the writer.
  private struct Recovered {
    /// All segments but the one to be written.
    var earlier: [Segment] = []
    /// The newest segment, when it can be appended to.
    var writable: (SegmentWriter, Segment)?
    /// Otherwise, what a fresh one must continue.
    var nextSequence: UInt64 = 1
    var nextOffset = Offset.zero
    var chain: UInt64 = 0
    var appendTime = Timestamp(nanoseconds: .min)
    var highestEpoch: UInt32 = 0
    var latestEventTime: Int64?

    /// A segment is sealed only when there is a later one, so that one is gone, whether or not anybody knows how far it
    /// reached. Its number is not given out again.
    mutating func continueBehind(
      _ seal: SegmentSeal, _ tail: TailRecovery, _ witnesses: DurabilityEvidence, _ report: inout RecoveryReport
    ) {
      report.segment = tail.path
      report.position = seal.footerPosition
      report.outcome = .damaged
      report.rule = "lost tail"
      nextOffset = max(seal.endOffset, witnesses.highestOffset)
      if nextOffset > seal.endOffset {
        report.gaps.append(Gap(first: seal.endOffset, end: nextOffset, reason: .missing))
      }
      nextSequence = max(tail.header.sequence + 1, witnesses.highestSegment) + 1
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
    // Below the start stands what retention dropped and did not get to remove.
    let names = all.filter { $0.sequence >= meta.start?.sequence ?? 0 }
    var witnesses = try DurabilityEvidence.accumulate(fileSystem, paths, meta: meta)
    // It was written only after everything below it had been synced.
    if let end = producers?.end { witnesses.offsets.append(end) }
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
      recovered.nextSequence = witnesses.highestSegment + 1
      recovered.nextOffset = witnesses.highestOffset
      // No record is left that could have one.
      recovered.latestEventTime = .min
      if witnesses.highestOffset > .zero {
        report.outcome = .damaged
        report.rule = "lost tail"
        report.gaps.append(Gap(first: meta.start?.baseOffset ?? .zero, end: witnesses.highestOffset, reason: .missing))
      }
      return recovered
    }

    let path = paths.segment(newest)
    let tail = try openTail(environment, paths, path, newest, configuration, meta, &report)
    let leftovers = all.dropLast(names.count).map { paths.segment($0) }
    if let seal = tail.header.seal {
      try clear(fileSystem, paths, leftovers)
      recovered.continueBehind(seal, tail, witnesses, &report)
      return recovered
    }
    let finding = try tail.examine(witnesses)
    if let version = finding.futureVersion {
      throw LogError(
        .futureFormat, "a block was written by a later version (format \(version)); use a newer penstock",
        location: .init(path: path, position: finding.tail.position))
    }
    // The verdict is known; what may go goes now, because acting on it may need room.
    try clear(fileSystem, paths, leftovers)
    report.segment = path
    report.position = finding.tail.position
    report.rule = finding.row.name
    recovered.highestEpoch = max(finding.last.epoch, tail.header.epoch)

    let segment = Segment(
      fileSystem, path: path, header: tail.header, entries: finding.entries, scanned: finding.last)
    try apply(finding, tail, witnesses, segment, configuration, &recovered, &report)
    if !report.gaps.isEmpty { report.outcome = .damaged }
    return recovered
  }

  /// Removes what a crash left behind.
  private static func clear(
    _ fileSystem: any FileSystem, _ paths: LogPaths, _ leftovers: [String]
  ) throws(LogError) {
    try LogTrimmer.remove(leftovers, fileSystem, paths)
    do throws(FileSystemError) {
      // A segment a crashed writer was making ready: it holds nothing, and how far its zeros reached nobody knows.
      try SegmentPreallocator.discard(fileSystem, paths)
      try SegmentSealer.removeLeftovers(fileSystem, paths)
    } catch {
      throw LogError(error, while: "remove an unfinished segment")
    }
  }

  /// Acts on the verdict; doing it twice is doing it once.
  private static func apply(
    _ finding: TailRecovery.Finding, _ tail: TailRecovery, _ witnesses: DurabilityEvidence, _ segment: Segment,
    _ configuration: LogConfiguration, _ recovered: inout Recovered, _ report: inout RecoveryReport
  ) throws(LogError) {
    switch finding.row.verdict {
    case .refuse:
      throw LogError(
        .undecidableTail,
        "the log ends in bytes that may be an unacknowledged write or a damaged record (\(finding.flaw ?? "unknown")); "
          + "open it without strict recovery to cut them and keep a copy",
        location: .init(path: tail.path, position: finding.tail.position, offset: finding.tail.offset))
    case .damaged:
      report.outcome = .damaged
      report.gaps += finding.gaps
      report.quarantined = try tail.quarantine(finding.badRanges)
      try settle(tail)
      // A damaged segment is never written again. Offsets that somebody has seen are never given out again.
      recovered.nextOffset = max(finding.writtenEnd, witnesses.highestOffset)
      if recovered.nextOffset > finding.last.offset {
        // Nothing wrong here and a later segment was seen: it is that one which is gone.
        let isMissing = finding.badRanges.isEmpty && witnesses.highestSegment > tail.header.sequence
        report.gaps.append(
          Gap(
            first: finding.last.offset, end: recovered.nextOffset, reason: isMissing ? .missing : .damaged,
            path: isMissing ? nil : tail.path))
      }
      recovered.nextSequence = max(tail.header.sequence, witnesses.highestSegment) + 1
      recovered.chain = finding.last.chain ?? 0
      recovered.latestEventTime = finding.entries.latestEventTime(after: tail.header)
      recovered.appendTime = finding.last.appendTime
      recovered.earlier.append(Segment(segment.fileSystem, segment.name, path: segment.path))
      return
    case .cutKeepingBytes:
      report.outcome = finding.row.name == "torn" ? .torn : .undecidable
      report.quarantined = try tail.quarantine(finding.badRanges)
      report.cutBytes = try tail.cut(finding)
    case .clean:
      try settle(tail)
      _ = try tail.cut(finding)
    }
    let kept = Segment(
      segment.fileSystem, path: tail.path, header: tail.header,
      entries: finding.entries.filter { $0.endPosition <= finding.tail.position }, scanned: finding.tail)
    let writer = SegmentWriter(
      tail.file, path: tail.path, header: tail.header, next: finding.tail, filledEnd: finding.tail.position)
    recovered.writable = (writer, kept)
  }

  /// Makes the newest segment's name durable: a killed process may have left it in memory alone. Its bytes were synced when
  /// it was opened.
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
      // What a killed process left unsynced becomes durable before a reader may see it. What a failed write left in memory
      // alone is dropped: the disk says what there is.
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

  /// Segments that should stand between two others and do not.
  private static func missingSegments(_ names: [SegmentName], _ segments: [Segment]) throws(LogError) -> [Gap] {
    var gaps: [Gap] = []
    for (index, name) in names.enumerated().dropFirst() where name.sequence != names[index - 1].sequence + 1 {
      // A segment before it that cannot be read at all is a gap of its own, for readers.
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
