internal import Logging
internal import Synchronization

/// Carries out ``Retention``: reads the cursors, stores each cursor's loss, moves the log's start, removes files.
///
/// Order of effects, each durable before the next begins: each cursor's loss → META's start → readers
/// of this process → the files → their names in the directory. A crash leaves one of two states. Either the log is
/// unchanged, and a cursor may have a loss that did not happen; or files remain below META's start, and the next
/// opening removes them.
///
/// Safe from any thread; one run at a time. `Log` runs it on the thread that moves its cursors, and removes the files
/// on a thread of its own.
package final class LogTrimmer: Sendable {
  struct State {
    var isClosed = false
    /// Files below the start that are not removed yet.
    var leftovers: [Leftover] = []
  }
  struct Leftover: Hashable {
    let path: String
    let bytes: UInt64
  }
  let environment: LogEnvironment
  private let policy: RetentionPolicy
  let paths: LogPaths
  let metaFile: MetaFile
  let view: LogView
  private let writer: Writer
  let state = Mutex(State())
  /// Held while a file is removed by ``removeDropped()``.
  let removing = Mutex<Void>(())

  /// What a run asks the log's writer.
  struct Writer: Sendable {
    let clock: AppendClock
    /// Recovery needs every record from here on to rebuild its producers.
    let snapshotEnd: @Sendable () -> Offset
  }

  init(
    _ environment: LogEnvironment, _ policy: RetentionPolicy, _ paths: LogPaths, _ metaFile: MetaFile, _ view: LogView,
    _ writer: Writer
  ) {
    self.environment = environment
    self.policy = policy
    self.paths = paths
    self.metaFile = metaFile
    self.view = view
    self.writer = writer
  }

  var fileSystem: any FileSystem { environment.fileSystem }

  /// Waits for a run in progress and allows no other, before the log releases the writer's lock. Blocks the calling
  /// thread.
  func close() {
    state.withLock { $0.isClosed = true }
    removing.withLock { _ in }
  }

  /// Removes what the policy allows and no cursor needs. Blocks the calling thread. O(segments + cursors), O(1) without
  /// a policy.
  ///
  /// - Parameter held: The cursors that this process holds, by name: they are already locked.
  /// - Parameter take: Takes other cursors; by default with tables opened for each alone.
  /// - Parameter removesFiles: False: ``removeDropped()`` is to follow.
  package func trim(
    held: [String: HeldCursor] = [:], take: (([String]) -> [Result<HeldCursor, LogError>])? = nil,
    removesFiles: Bool = true
  ) throws(LogError) -> RetentionReport {
    try state.withLock { state throws(LogError) in
      guard !state.isClosed else { throw LogError(.closed, "the log is closed") }
      let set = view.set
      var report = RetentionReport(first: set.first)
      guard !policy.keepsEverything else { return report }
      let start = environment.observation.start()
      if removesFiles { try removeLeftovers(&state) }
      // What cursors of this process have skipped counts as passed: it is not lost to them. A cursor that cannot be
      // written keeps its records.
      let ahead = held.values.filter(\.isAhead).sorted { $0.name < $1.name }
      _ = move(ahead) { (state) throws(CursorMoveError) in state }
      let (segments, now) = try segmentInputs(set)
      report.bytes = segments.reduce(0) { $0 + $1.bytes }
      var cursors = try cursorInputs(&report)
      let retention = Retention(policy)
      // Recovery would need the later ones to rebuild its producers.
      let snapshotEnd = writer.snapshotEnd()
      let clock = writer.clock.ageTime()
      var plan = retention.plan(segments, cursors, now: now, clock: clock, snapshotEnd: snapshotEnd)
      let passed = try acquireCursors(plan.passes, held: held, take: take, &cursors, &report)
      // Some cursors may be out of reach; the rest of the plan depends on that.
      plan = retention.plan(segments, cursors, now: now, clock: clock, snapshotEnd: snapshotEnd)
      report.addHolds(of: plan, snapshotEnd: snapshotEnd)
      if plan.count > 0 {
        try drop(segments, plan, passed, &state, &report)
        if removesFiles { try removeLeftovers(&state) }
        logDrop(report)
      }
      environment.observation.tell(since: start) { [report] in .trimmed(report, duration: $0) }
      return report
    }
  }

  // MARK: Inputs

  /// Sizes and times, from the files, and the newest record's append time, by which the log measures age. Where that is
  /// unknown, it is the minimum, so that no record is old.
  private func segmentInputs(_ set: SegmentSet) throws(LogError) -> ([Retention.SegmentInput], now: Timestamp) {
    var now: Timestamp?
    var latest: Timestamp?
    var inputs: [Retention.SegmentInput] = []
    for (index, segment) in set.segments.enumerated().reversed() {
      let isNewest = index == set.segments.count - 1
      let bytes = try segment.fileBytes(isSettled: !isNewest)
      // The segment keeps it: the next run reads only new headers.
      let begunAt = try? segment.segmentStart().begunAt
      if isNewest {
        now = try segment.entries(upTo: set.end).last?.appendTime ?? begunAt
        latest = now
      }
      inputs.append(
        Retention.SegmentInput(
          name: segment.name, end: set.end(ofSegmentAt: index), bytes: UInt64(bytes),
          newestAppend: now ?? Timestamp(nanoseconds: .max)))
      // A segment's records are no younger than the next one's beginning. If that is unreadable, the one after it
      // counts.
      if let begunAt { now = begunAt }
    }
    return (inputs.reversed(), latest ?? Timestamp(nanoseconds: .min))
  }

  // MARK: Removing

  private func drop(
    _ segments: [Retention.SegmentInput], _ plan: Retention.Plan, _ passed: [String: HeldCursor],
    _ state: inout State, _ report: inout RetentionReport
  ) throws(LogError) {
    let start = segments[plan.count].name
    try recordLosses(plan, passed, start: start.baseOffset, &report)
    try metaFile.update { $0.start = start }
    // Before the files are removed, so that no reader of this process opens a missing one.
    view.trim(to: start)
    let dropped = segments[..<plan.count]
    state.leftovers += dropped.map { Leftover(path: paths.segment($0.name), bytes: $0.bytes) }
    report.first = start.baseOffset
    report.droppedSegments = plan.count
    report.droppedBytes = dropped.reduce(0) { $0 + $1.bytes }
    report.bytes -= report.droppedBytes
  }

  private func removeLeftovers(_ state: inout State) throws(LogError) {
    guard !state.leftovers.isEmpty else { return }
    try Self.remove(state.leftovers.map(\.path), fileSystem, paths)
    state.leftovers = []
  }

  /// Durable when it returns. An opening also uses it for files below the start.
  static func remove(
    _ files: [String], _ fileSystem: any FileSystem, _ paths: LogPaths
  ) throws(LogError) {
    guard !files.isEmpty else { return }
    for file in files { try remove(file, fileSystem) }
    try makeDurable(fileSystem, paths)
  }

  private func logDrop(_ report: RetentionReport) {
    environment.logger.info(
      "retention removed the log's oldest segments",
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
  /// Adds what keeps records and has no entry of its own yet.
  fileprivate mutating func addHolds(of plan: Retention.Plan, snapshotEnd: Offset) {
    if plan.keptForProducers > 0 {
      holds.append(
        Hold(
          cursor: nil, reason: .neededForProducers, offset: snapshotEnd,
          message: "the newest snapshot of the producers reaches to offset \(snapshotEnd) and keeps "
            + "\(plan.keptForProducers) segments; the log writes another with the next segment, if the disk has space"))
    }
    for cursor in plan.heldBy where !holds.contains(where: { $0.cursor == cursor.name }) {
      holds.append(
        Hold(
          cursor: cursor.name, reason: .notPassed, offset: cursor.holds,
          message: "cursor \(cursor.name) is at offset \(cursor.holds) and keeps \(plan.held) segments"))
    }
  }
}
