internal import Logging
internal import Synchronization

/// Carries out ``Retention``: asks the cursor files, tells cursors what they lose, moves the log's start, removes files.
///
/// Order of effects, each durable before the next begins: what each cursor loses, in its own file → META's start → readers
/// of this process → the files → their names in the directory. A crash anywhere leaves either the log as it was (with a cursor
/// that may have been told too much) or files below META's start, which the next opening removes.
///
/// Safe from any thread; one run at a time. `Log` runs it on the thread that moves its cursors.
package final class LogTrimmer: Sendable {
  private struct State {
    var isClosed = false
    /// Files below the start that could not be removed yet.
    var leftovers: [String] = []
  }
  private let environment: LogEnvironment
  private let policy: RetentionPolicy
  private let paths: LogPaths
  private let metaFile: MetaFile
  private let view: LogView
  /// Recovery needs every record from here on to know its producers.
  private let snapshotEnd: @Sendable () -> Offset
  private let clock: AppendClock
  private let state = Mutex(State())

  package init(
    _ environment: LogEnvironment, _ policy: RetentionPolicy, _ paths: LogPaths, _ metaFile: MetaFile, _ view: LogView,
    clock: AppendClock, snapshotEnd: @escaping @Sendable () -> Offset
  ) {
    self.environment = environment
    self.policy = policy
    self.paths = paths
    self.metaFile = metaFile
    self.view = view
    self.snapshotEnd = snapshotEnd
    self.clock = clock
  }

  private var fileSystem: any FileSystem { environment.fileSystem }

  /// Waits for a run under way and allows no other: the writer's lock is about to be given up.
  package func close() { state.withLock { $0.isClosed = true } }

  /// Removes what the policy says and cursors allow. Blocks. O(segments + cursors), nothing without a policy.
  ///
  /// - Parameter held: the cursors this process holds, by name: their files are locked already.
  package func trim(held: [String: HeldCursor] = [:]) throws(LogError) -> RetentionReport {
    try state.withLock { state throws(LogError) in
      guard !state.isClosed else { throw LogError(.closed, "the log is closed") }
      let set = view.set
      var report = RetentionReport(first: set.first)
      guard !policy.keepsEverything else { return report }
      let start = environment.observation.start()
      try removeLeftovers(&state)
      let (segments, now) = try facts(set)
      report.bytes = segments.reduce(0) { $0 + $1.bytes }
      var cursors = try cursorFacts(&report)
      let retention = Retention(policy)
      // Recovery would need the others to know its producers.
      let snapshotEnd = snapshotEnd()
      let clock = clock.ageTime()
      var plan = retention.plan(segments, cursors, now: now, clock: clock, snapshotEnd: snapshotEnd)
      let passed = try acquireCursors(plan.passes, held: held, &cursors, &report)
      // Some may be out of reach; the rest of the plan depends on it.
      plan = retention.plan(segments, cursors, now: now, clock: clock, snapshotEnd: snapshotEnd)
      report.note(plan, snapshotEnd: snapshotEnd)
      if plan.count > 0 {
        try drop(segments, plan, passed, &state, &report)
        tell(report)
      }
      environment.observation.tell(since: start) { [report] in .trimmed(report, duration: $0) }
      return report
    }
  }

  // MARK: What there is

  /// Sizes and times, from the files, and the newest record's append time, which is the log's clock. Where that is not
  /// known, it is so early that nothing is old.
  private func facts(_ set: SegmentSet) throws(LogError) -> ([Retention.SegmentFacts], now: Timestamp) {
    var now: Timestamp?
    var latest: Timestamp?
    var facts: [Retention.SegmentFacts] = []
    for (index, segment) in set.segments.enumerated().reversed() {
      let isNewest = index == set.segments.count - 1
      let bytes = try segment.fileBytes(isSettled: !isNewest)
      // Kept by the segment: the next run asks the disk about new ones alone.
      let begunAt = try? segment.segmentStart().begunAt
      if isNewest {
        now = try segment.entries(upTo: set.end).last?.appendTime ?? begunAt
        latest = now
      }
      facts.append(
        Retention.SegmentFacts(
          name: segment.name, end: set.end(ofSegmentAt: index), bytes: UInt64(bytes),
          newestAppend: now ?? Timestamp(nanoseconds: .max)))
      // A segment's records are no younger than the next one's beginning. Where that cannot be read: than the one after.
      if let begunAt { now = begunAt }
    }
    return (facts.reversed(), latest ?? Timestamp(nanoseconds: .min))
  }

  private func cursorFacts(_ report: inout RetentionReport) throws(LogError) -> [Retention.CursorFacts] {
    let logID = metaFile.value.logID
    var facts: [Retention.CursorFacts] = []
    for (name, state) in try CursorStore.states(fileSystem, paths, of: logID) {
      switch state {
      case .success(let state): facts.append(Retention.CursorFacts(name: name, holds: state.committed))
      case .failure(let problem):
        // Where its file is beyond reading, nobody can take the cursor, so it reads nothing unseen: a person has to delete or
        // rebuild it first. For a passing trouble, such as a process without a free descriptor, it is safe to wait.
        let isLost = problem.code == .damaged || (problem.cause as? FileSystemError)?.code == .inputOutput
        facts.append(Retention.CursorFacts(name: name, holds: .zero, canBePassed: isLost, isReadable: false))
        let effect = isLost ? "only the hard cap removes anything" : "nothing is removed"
        report.holds.append(
          RetentionReport.Hold(
            cursor: name, reason: .unreadable, offset: nil,
            message: "cursor \(name) cannot be read, so \(effect): \(problem)"))
      }
    }
    return facts
  }

  // MARK: Passing cursors

  /// Takes hold of the cursors that are to be passed, so that what they lose can be recorded.
  private func acquireCursors(
    _ names: [String], held: [String: HeldCursor], _ cursors: inout [Retention.CursorFacts],
    _ report: inout RetentionReport
  ) throws(LogError) -> [String: HeldCursor] {
    var grasped: [String: HeldCursor] = [:]
    for name in names {
      do throws(LogError) {
        if let cursor = held[name] {
          grasped[name] = cursor
        } else {
          grasped[name] = try CursorStore.take(fileSystem, paths, logID: metaFile.value.logID, name: name)
        }
      } catch {
        guard error.code == .cursorHeld, let index = cursors.firstIndex(where: { $0.name == name }) else { throw error }
        cursors[index].canBePassed = false
        report.holds.append(
          RetentionReport.Hold(
            cursor: name, reason: .heldElsewhere, offset: cursors[index].holds,
            message: "another process holds cursor \(name), so the hard cap cannot pass it at offset "
              + cursors[index].holds.description))
      }
    }
    return grasped
  }

  /// Durable before anything is removed.
  private func recordLosses(
    _ plan: Retention.Plan, _ passed: [String: HeldCursor], start: Offset, _ report: inout RetentionReport
  ) throws(LogError) {
    for name in plan.passes {
      let state = try passed[name]?.move { (state) throws(CursorMoveError) in state.passed(upTo: start) }
      guard let lost = state?.lost else { continue }
      report.losses.append(
        RetentionReport.Loss(
          cursor: name, gap: Gap(first: lost.lowerBound, end: lost.upperBound, reason: .trimmed)))
    }
  }

  // MARK: Removing

  private func drop(
    _ segments: [Retention.SegmentFacts], _ plan: Retention.Plan, _ passed: [String: HeldCursor],
    _ state: inout State, _ report: inout RetentionReport
  ) throws(LogError) {
    let start = segments[plan.count].name
    try recordLosses(plan, passed, start: start.baseOffset, &report)
    try metaFile.update { $0.start = start }
    // Before the files go, so that no reader of this process opens one that is not there.
    view.trim(to: start)
    let dropped = segments[..<plan.count]
    state.leftovers += dropped.map { paths.segment($0.name) }
    report.first = start.baseOffset
    report.droppedSegments = plan.count
    report.droppedBytes = dropped.reduce(0) { $0 + $1.bytes }
    report.bytes -= report.droppedBytes
    try removeLeftovers(&state)
  }

  private func removeLeftovers(_ state: inout State) throws(LogError) {
    guard !state.leftovers.isEmpty else { return }
    try Self.remove(state.leftovers, fileSystem, paths)
    state.leftovers = []
  }

  /// Durable when it returns. Also for what an opening finds below the start.
  package static func remove(
    _ files: [String], _ fileSystem: any FileSystem, _ paths: LogPaths
  ) throws(LogError) {
    guard !files.isEmpty else { return }
    do throws(FileSystemError) {
      for file in files { try fileSystem.removeIfPresent(file) }
      try fileSystem.synchronizeDirectory(paths.data)
    } catch {
      throw LogError(error, while: "remove a segment that retention has dropped")
    }
  }

  private func tell(_ report: RetentionReport) {
    environment.logger.info(
      "retention dropped the log's beginning",
      metadata: [
        "segments": "\(report.droppedSegments)", "bytes": "\(report.droppedBytes)", "first": "\(report.first)",
      ])
    for loss in report.losses {
      environment.logger.error("the hard cap passed cursor \(loss.cursor): \(loss.gap)")
    }
    for hold in report.holds where hold.reason == .unreadable {
      environment.logger.error("records were removed although a cursor may need them: \(hold.message)")
    }
  }
}

extension RetentionReport {
  /// What stands in the way and is not named yet for a reason of its own.
  fileprivate mutating func note(_ plan: Retention.Plan, snapshotEnd: Offset) {
    if plan.keptForProducers > 0 {
      holds.append(
        Hold(
          cursor: nil, reason: .neededForProducers, offset: snapshotEnd,
          message: "the newest snapshot of the producers reaches to offset \(snapshotEnd) and keeps "
            + "\(plan.keptForProducers) segments; another is made with the next segment, where there is room"))
    }
    for cursor in plan.heldBy where !holds.contains(where: { $0.cursor == cursor.name }) {
      holds.append(
        Hold(
          cursor: cursor.name, reason: .notPassed, offset: cursor.holds,
          message: "cursor \(cursor.name) stands at offset \(cursor.holds) and keeps \(plan.held) segments"))
    }
  }
}
