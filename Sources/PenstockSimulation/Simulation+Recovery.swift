import PenstockDelivery
import PenstockLog
import PenstockTestKit

// What the next process finds.
extension Simulation {
  /// Applies this outcome of the crash, opens the log and compares it with the history. Returns the disk with the log
  /// open on it, as far as the outcome allows.
  mutating func recover(from disk: SimulatedFileSystem, _ outcome: SimulationScript.Outcome) -> SimulatedFileSystem {
    switch outcome {
    case .power(let policy):
      let found = disk.powerCut(policy)
      opened(found)
      return found
    case .kill:
      let found = disk.processKill()
      opened(found)
      guard !hasFailed else { return found }
      // What was shown after the kill must survive a power cut.
      note(.crashed)
      let later = found.powerCut(.nothingUnsynced)
      opened(later)
      return later
    case .powerTwice(let policy): return twice(disk.powerCut(policy))
    case .failedRead(let policy, let read): return despiteFailedRead(disk.powerCut(policy), read)
    case .killThenPower(let io, let policy):
      return again(disk.processKill(), [io], policy)
    case .powerInRecovery(let policy, let ios):
      return again(disk.powerCut(policy), ios, policy)
    }
  }

  /// Recovers with a crash at each of these I/Os in turn, then once more without.
  private mutating func again(
    _ first: SimulatedFileSystem, _ ios: [Int], _ policy: CrashPolicy
  ) -> SimulatedFileSystem {
    var found = first
    for io in ios {
      found.crash(atIO: io)
      opened(found)
      if hasFailed { return found }
      if found.isDown { result.crashesInRecovery += 1 }
      note(.crashed)
      found = found.powerCut(policy)
    }
    opened(found)
    return found
  }

  /// Recovers, dies before it has done anything, and recovers again. Then the same after what was not acknowledged was
  /// sent again: what recovery cut is not after newer data, to be cut again or to come back.
  private mutating func twice(_ found: SimulatedFileSystem) -> SimulatedFileSystem {
    result.recoveries += 1
    do throws(LogError) {
      let first = try LogOpening.open(Self.path, configuration, environment(found))
      if first.recovery.cutBytes > 0 { result.cuts += 1 }
      let (next, again) = try repeated(first, found)
      if hasFailed { return again }
      try judge(next, again)
      return hasFailed ? again : try repeated(next, again).1
    } catch {
      note(.failed("the log that a crash left cannot be used: \(error)"))
      return found
    }
  }

  /// The process dies with the log open. The next opening must find nothing to change.
  private mutating func repeated(
    _ writer: LogWriter, _ disk: SimulatedFileSystem
  ) throws(LogError) -> (LogWriter, SimulatedFileSystem) {
    var seen = look(at: writer, disk)
    seen.image = disk.image(ofFilesEndingWith: ".seg")
    note(.recovered(seen))
    let again = disk.processKill()
    let next = try LogOpening.open(Self.path, configuration, environment(again))
    note(.recoveredAgain(image: again.image(ofFilesEndingWith: ".seg")))
    if next.recovery.outcome != .clean || next.recovery.cutBytes > 0 {
      branch.checker.report(.recoveryIsIdempotent, "recovering again finds something: \(next.recovery)")
    }
    result.recoveries += 1
    result.repetitions += 1
    return (next, again)
  }

  /// One read of the recovery fails. The recovery may end with that error or succeed. The next one must find
  /// everything.
  private mutating func despiteFailedRead(_ found: SimulatedFileSystem, _ read: Int) -> SimulatedFileSystem {
    found.fail(atRead: read)
    do throws(LogError) {
      let writer = try LogOpening.open(Self.path, configuration, environment(found))
      found.clearFaults()
      result.recoveries += 1
      note(.recovered(look(at: writer, found)))
    } catch {
      if error.code != .io { note(.failed("a failed read is met with \(error)")) }
    }
    if found.readCount >= read { result.failedReads += 1 }
    if hasFailed { return found }
    note(.crashed)
    let later = found.powerCut(.nothingUnsynced)
    opened(later)
    return later
  }

  /// Opens the log and reads it to its end; sends again what was not acknowledged.
  private mutating func opened(_ disk: SimulatedFileSystem) {
    result.recoveries += 1
    if let file = disk.filePaths.first(where: branch.dropped.contains) {
      note(.failed("retention said that \(file) is gone, and it is back"))
    }
    do throws(LogError) {
      try judge(try LogOpening.open(Self.path, configuration, environment(disk)), disk)
    } catch {
      if !disk.isDown { note(.failed("the log that a crash left cannot be used: \(error)")) }
    }
  }

  /// Holds everything that an opening found against the history; sends again what was not acknowledged.
  mutating func judge(_ writer: LogWriter, _ disk: SimulatedFileSystem) throws(LogError) {
    let seen = look(at: writer, disk)
    checkUnanswered(seen)
    note(.recovered(seen))
    checkFiles(writer, disk)
    for name in [Self.consumer, Self.webhook] { try findCursor(name, writer, disk) }
    if script.routes { try findDestinations(writer, disk) }
    checkProducer(writer)
    if !hasFailed { try resend(writer) }
  }

  /// Everything that can be read, and what cannot.
  func look(at writer: LogWriter, _ disk: SimulatedFileSystem) -> History.Recovered {
    let view = writer.view
    var found = History.Recovered(
      first: view.set.first, end: view.end, reportsDamage: writer.recovery.outcome == .damaged, pieces: [],
      gaps: writer.recovery.gaps.map { $0.first..<$0.end })
    var offset = found.first
    while offset < view.end {
      do throws(LogError) {
        guard let batch = try view.batch(from: offset, maxRecords: 10_000, maxBytes: 1 << 20) else { break }
        found.pieces.append(.init(first: batch.first, records: History.digests(of: batch)))
        offset = batch.end
      } catch {
        guard let gap = error.gap, gap.end > offset else { break }
        found.gaps.append(gap.first..<gap.end)
        offset = gap.end
      }
    }
    found.gaps.sort { $0.lowerBound < $1.lowerBound }
    return found
  }

  /// Of the appends under way, the first few may be there; that each is whole is the checker's to see.
  private mutating func checkUnanswered(_ seen: History.Recovered) {
    let known = branch.checker.end
    let extra = seen.pieces.flatMap { $0.records.dropFirst(max(0, known - $0.first)) }
    if !branch.unanswered.starts(with: extra) {
      branch.checker.report(.batchIsWhole, "\(extra.count) records after \(known) are not the first of those under way")
    }
    branch.unanswered = []
  }

  /// No leftovers, nothing back that was dropped, nothing unsealed that was sealed.
  private mutating func checkFiles(_ writer: LogWriter, _ disk: SimulatedFileSystem) {
    let paths = disk.filePaths
    let segments = writer.view.set.segments
    if paths.count(where: { $0.hasSuffix(".seg") }) != segments.count {
      note(.failed("\(segments.count) segments, and the files \(paths)"))
    }
    if let left = paths.first(where: { $0.hasSuffix(".sealing") || $0.hasSuffix("next.tmp") || $0.hasSuffix(".part") })
    {
      note(.failed("\(left) was left lying about"))
    }
    for segment in segments where branch.sealed.contains(segment.name) {
      let isSealed = (try? segment.open().1.isSealed) ?? false
      if !isSealed { note(.failed("segment \(segment.name.text) is not sealed any more")) }
    }
    let bytes = paths.reduce(0) { $0 + (disk.size(of: $1) ?? 0) }
    note(.resources(bytes: bytes, files: paths.count))
  }

  /// Looks at the cursor, and takes it over, which makes what was seen durable.
  private mutating func findCursor(
    _ name: String, _ writer: LogWriter, _ disk: SimulatedFileSystem
  ) throws(LogError) {
    let paths = LogPaths(Self.path)
    guard try CursorStore.names(disk, paths).contains(name) else { return note(.cursorFound(name, nil)) }
    let state = try CursorStore.peek(disk, paths, name: name)
    note(.cursorFound(name, state))
    note(.cursorMoving(name, to: [state.acquired()]))
    let held: HeldCursor
    do throws(LogError) { held = try CursorStore.take(disk, paths, logID: writer.logID, name: name) } catch {
      guard error.code == .unknownCursor else { throw error }
      // Memory showed what a failed sync had lost. That is honest for a cursor that was never durable.
      return note(.cursorFound(name, nil))
    }
    note(.cursorMoved(name, try held.move { (state) throws(CursorMoveError) in state.acquired() }))
    held.close()
  }

  /// The log must know how far the producer got, as the history does.
  private mutating func checkProducer(_ writer: LogWriter) {
    let report = writer.recovery.producers
    if !report.damagedSnapshots.isEmpty || !report.uncertain.isEmpty || !report.isComplete {
      note(.failed("an honest crash lost what was known of producers: \(report)"))
    }
    if hasRoom, let newest = writer.view.set.segments.last, report.readFrom < newest.name.baseOffset {
      note(.failed("recovery had to look for producers in more than one segment: \(report)"))
    }
    let entry = writer.producers.entry(Self.producer)
    let appends = branch.checker.newestAppends(of: Self.producer, ProducerTable.remembered)
    let last = appends.last?.sequence ?? 0
    if (entry?.last ?? 0) != last || (entry?.recent ?? []) != appends || entry?.isUncertain == true
      || (entry?.source ?? []) != (last > 0 ? Array("\(last)".utf8) : [])
    {
      branch.checker.report(
        .orderOfProducers, "the log knows \(String(describing: entry)) of the producer, in it are \(appends)")
    }
  }

  /// A producer sends again what was not acknowledged. The log answers with the offsets of what it has, and appends the
  /// rest.
  private mutating func resend(_ writer: LogWriter) throws(LogError) {
    guard !branch.unsent.isEmpty else { return }
    var table = writer.producers.table
    let epoch: UInt64
    do { epoch = try table.open(Self.producer) } catch {
      return note(.failed("the producer is refused: \(error)"))
    }
    while let next = branch.unsent.first {
      let answer = table.offer(Self.producer, epoch: epoch, sequence: next.sequence)
      guard case .known(let offsets) = answer else {
        if answer != .append { note(.failed("append \(next.sequence) is answered with \(answer)")) }
        break
      }
      let id = begin(next)
      note(.acknowledged(id: id, offsets: offsets))
      branch.unsent.removeFirst()
    }
    let rest = branch.unsent
    if !rest.isEmpty { try append(rest, to: writer) }
  }
}
