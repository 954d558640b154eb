/// What retention does with cursors: it reads all, and tells those that it passes what they lose.
extension LogTrimmer {
  func cursorInputs(_ report: inout RetentionReport) throws(LogError) -> [Retention.CursorInput] {
    let logID = metaFile.value.logID
    var inputs: [Retention.CursorInput] = []
    for (name, state) in try CursorStore.states(fileSystem, paths, of: logID) {
      switch state {
      case .success(let state): inputs.append(Retention.CursorInput(name: name, holds: state.committed))
      case .failure(let problem):
        // No process can take a damaged cursor, so none misses a gap: an operator must first delete or rebuild it. For
        // a transient error, such as no free descriptor, waiting is safe.
        let isLost = problem.code == .damaged || (problem.cause as? FileSystemError)?.code == .inputOutput
        inputs.append(Retention.CursorInput(name: name, holds: .zero, canBePassed: isLost, isReadable: false))
        let effect = isLost ? "only the hard cap removes anything" : "nothing is removed"
        report.holds.append(
          RetentionReport.Hold(
            cursor: name, reason: .unreadable, offset: nil,
            message: "cursor \(name) cannot be read, so \(effect): \(problem)"))
      }
    }
    return inputs
  }

  /// Takes the cursors that the plan passes, so that their losses can be stored.
  func acquireCursors(
    _ names: [String], held: [String: HeldCursor], take: (([String]) -> [Result<HeldCursor, LogError>])?,
    _ cursors: inout [Retention.CursorInput], _ report: inout RetentionReport
  ) throws(LogError) -> [String: HeldCursor] {
    let others = names.filter { held[$0] == nil }
    guard !others.isEmpty else { return held }
    var acquired = held
    for (name, taken) in zip(others, take?(others) ?? takeEach(others)) {
      do throws(LogError) { acquired[name] = try taken.get() } catch {
        guard error.code == .cursorHeld, let index = cursors.firstIndex(where: { $0.name == name }) else { throw error }
        cursors[index].canBePassed = false
        report.holds.append(
          RetentionReport.Hold(
            cursor: name, reason: .heldElsewhere, offset: cursors[index].holds,
            message: "another process holds cursor \(name), so the hard cap cannot pass it at offset "
              + cursors[index].holds.description))
      }
    }
    return acquired
  }

  private func takeEach(_ names: [String]) -> [Result<HeldCursor, LogError>] {
    names.map { name in
      Result { () throws(LogError) in
        try CursorStore.take(fileSystem, paths, logID: metaFile.value.logID, name: name)
      }
    }
  }

  /// Durable before any file is removed.
  func recordLosses(
    _ plan: Retention.Plan, _ passed: [String: HeldCursor], start: Offset, _ report: inout RetentionReport
  ) throws(LogError) {
    let losers = plan.passes.compactMap { passed[$0] }
    let outcomes = move(losers) { (state) throws(CursorMoveError) in state.passed(upTo: start) }
    for (cursor, outcome) in zip(losers, outcomes) {
      guard let lost = try outcome.get().lost else { continue }
      report.losses.append(
        RetentionReport.Loss(
          cursor: cursor.name, gap: Gap(first: lost.lowerBound, end: lost.upperBound, reason: .trimmed)))
    }
  }

  /// Makes a step of many cursors durable: one sync for all that share tables.
  func move(_ cursors: [HeldCursor], _ step: @escaping CursorMover.Step) -> [CursorMover.Outcome] {
    HeldCursor.move(cursors, step) { [view, fileSystem] (next) throws(LogError) in
      try view.makeDurable(upTo: next.nextFirst, fileSystem)
    }
  }
}
