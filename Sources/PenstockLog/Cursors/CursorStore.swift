/// Where the log keeps cursors: in the table files of its ``Slots``. A commit works on a full disk. Every method that
/// reads or writes blocks the calling thread.
package enum CursorStore {
  /// Whether it is 1 … 64 characters from A–Z a–z 0–9 . _ -, not beginning with a dot: a name becomes a file's name.
  package static func isName(_ text: String) -> Bool {
    let isAllowed = text.utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    return isAllowed && (1...64).contains(text.utf8.count) && !text.hasPrefix(".")
  }

  package static func validate(_ name: String, of kind: String = "cursor") throws(LogError) {
    guard isName(name) else {
      throw LogError(
        .invalidName,
        "\"\(name)\" is not a valid \(kind) name: use 1 to 64 letters, digits, '.', '_' or '-', not beginning with '.'"
      )
    }
  }

  /// The files with valid names, without the suffix, sorted. The others are not the log's: editors, file managers and
  /// backups leave such files.
  static func ownNames(_ files: [String], _ suffix: String) -> [String] {
    files.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }.filter(isName).sorted()
  }

  /// The names of all cursors, sorted.
  package static func names(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) -> [String] {
    try SlotSurvey(fileSystem, paths).names(.cursor)
  }

  /// All cursors of a log by name, each with its state or the reason why it cannot be read. A place that is damaged
  /// with its name counts as one more cursor that cannot be read.
  package static func states(
    _ fileSystem: any FileSystem, _ paths: LogPaths, of logID: [UInt8]
  ) throws(LogError) -> [(name: String, state: Result<CursorState, LogError>)] {
    let survey = try SlotSurvey(fileSystem, paths)
    var found: [(name: String, state: Result<CursorState, LogError>)] = []
    for name in survey.names(.cursor) {
      do throws(LogError) {
        found.append((name, .success(try record(survey, paths, name: name, of: logID).state)))
      } catch {
        found.append((name, .failure(error)))
      }
    }
    for (label, damage) in survey.unnamed { found.append((label, .failure(damage))) }
    return found
  }

  /// The state of a cursor, without taking it. Throws `.unknownCursor`.
  package static func peek(
    _ fileSystem: any FileSystem, _ paths: LogPaths, name: String
  ) throws(LogError) -> CursorState {
    try record(SlotSurvey(fileSystem, paths), paths, name: name).state
  }

  /// The same, with the log and the name to which the cursor belongs.
  private static func record(
    _ survey: SlotSurvey, _ paths: LogPaths, name: String
  ) throws(LogError) -> CursorRecord {
    guard let value = survey.values[SlotName(.cursor, name)] else { throw unknown(name, paths) }
    return try CursorRecord(decoding: try value.get().bytes)
  }

  /// The same; `.damaged` for another log's cursor, or for another cursor's value under this name.
  package static func record(
    _ fileSystem: any FileSystem, _ paths: LogPaths, name: String, of logID: [UInt8]
  ) throws(LogError) -> CursorRecord {
    try record(SlotSurvey(fileSystem, paths), paths, name: name, of: logID)
  }

  private static func record(
    _ survey: SlotSurvey, _ paths: LogPaths, name: String, of logID: [UInt8]
  ) throws(LogError) -> CursorRecord {
    try proven(try record(survey, paths, name: name), paths, name: name, of: logID)
  }

  /// All records that can be read and belong to the log.
  static func records(
    _ fileSystem: any FileSystem, _ paths: LogPaths, of logID: [UInt8]
  ) throws(LogError) -> [CursorRecord] {
    let survey = try SlotSurvey(fileSystem, paths)
    return survey.names(.cursor).compactMap { try? record(survey, paths, name: $0, of: logID) }
  }

  private static func proven(
    _ record: CursorRecord, _ paths: LogPaths, name: String, of logID: [UInt8]
  ) throws(LogError) -> CursorRecord {
    guard record.logID == logID, record.name == name else {
      throw LogError(
        .damaged, "the cursor belongs to another log or has another name (\(record.name))",
        location: .init(path: paths.cursors))
    }
    return record
  }

  static func unknown(_ name: String, _ paths: LogPaths) -> LogError {
    LogError(.unknownCursor, "there is no cursor \(name)", location: .init(path: paths.cursors))
  }

  /// Takes a cursor, making it first if there is none of that name. Throws `.cursorHeld` when another process holds it.
  ///
  /// Opens the tables for this cursor alone. A process that takes many uses one ``CursorMover`` for all.
  package static func hold(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8], name: String, startingAt start: Offset
  ) throws(LogError) -> HeldCursor {
    try validate(name)
    let mover = CursorMover(try Slots(fileSystem, paths), isShared: false)
    return try only(hold(mover, paths, logID: logID, [(name, start)])).get()
  }

  /// Takes cursors of different valid names, making those that there are not: a few syncs for all. Returns each, or why
  /// it was refused.
  package static func hold(
    _ mover: CursorMover, _ paths: LogPaths, logID: [UInt8], _ wanted: [(name: String, start: Offset)]
  ) -> [Result<HeldCursor, LogError>] {
    let found = find(mover, paths, logID: logID, wanted.map(\.name))
    let new = zip(wanted, found).compactMap { wanted, found -> CursorRecord? in
      guard case .success(nil) = found else { return nil }
      return CursorRecord(logID: logID, name: wanted.name, state: CursorState(startingAt: wanted.start))
    }
    let written = mover.slots.write(new.map { .put(SlotName(.cursor, $0.name), $0.encoded(), after: nil) })
    var made = zip(new, written).makeIterator()
    return found.map { found in
      found.flatMap { held in
        if let held { return .success(held) }
        guard let (record, result) = made.next() else { preconditionFailure("one result for each move") }
        return result.map { HeldCursor(mover, record, revision: $0) }.mapError { refusal in
          mover.slots.release(SlotName(.cursor, record.name))
          return LogError(refusal, cursor: record.name)
        }
      }
    }
  }

  /// Takes an existing cursor. Throws `.unknownCursor`.
  package static func take(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8], name: String
  ) throws(LogError) -> HeldCursor {
    let mover = CursorMover(try Slots(fileSystem, paths), isShared: false)
    return try only(take(mover, paths, logID: logID, [name])).get()
  }

  /// Takes existing cursors of different names: two syncs for all. Returns each, or why it was refused.
  package static func take(
    _ mover: CursorMover, _ paths: LogPaths, logID: [UInt8], _ names: [String]
  ) -> [Result<HeldCursor, LogError>] {
    zip(names, find(mover, paths, logID: logID, names)).map { name, found in
      found.flatMap { held in
        if let held { return .success(held) }
        mover.slots.release(SlotName(.cursor, name))
        return .failure(unknown(name, paths))
      }
    }
  }

  /// Locks names. Nil for one that has no cursor; such a name is locked then, too.
  private static func find(
    _ mover: CursorMover, _ paths: LogPaths, logID: [UInt8], _ names: [String]
  ) -> [Result<HeldCursor?, LogError>] {
    let slots = names.map { SlotName(.cursor, $0) }
    return zip(slots, mover.slots.hold(slots)).map { slot, result in
      result.mapError { LogError($0, cursor: slot.text) }.flatMap { value in
        guard let value else { return .success(nil) }
        do throws(LogError) {
          let record = try proven(try CursorRecord(decoding: value.bytes), paths, name: slot.text, of: logID)
          return .success(HeldCursor(mover, record, revision: value.revision))
        } catch {
          mover.slots.release(slot)
          return .failure(error)
        }
      }
    }
  }

  private static func only<Value>(_ values: [Value]) -> Value {
    guard let value = values.first, values.count == 1 else { preconditionFailure("one result for each name") }
    return value
  }

  /// Deletes a cursor that no process holds, also a damaged one, with its pause and one more file: durable when it
  /// returns. A damaged cursor whose name cannot be read goes by the name that ``states`` gives it. Throws
  /// `.cursorHeld` and `.unknownCursor`.
  package static func delete(
    _ fileSystem: any FileSystem, _ paths: LogPaths, name: String, alsoRemoving file: String? = nil
  ) throws(LogError) {
    let slots = try Slots(fileSystem, paths)
    guard isName(name) else {
      guard try slots.eraseNameless(name) else { throw unknown(name, paths) }
      return
    }
    let isThere = try slots.discard(SlotName(.cursor, name)) { () throws(LogError) in
      if let file { try remove(fileSystem, file) }
      // This also syncs the directory after both removals.
      try setPause(nil, fileSystem, paths, name: name)
    }
    guard isThere else { throw unknown(name, paths) }
  }

  private static func remove(_ fileSystem: any FileSystem, _ file: String) throws(LogError) {
    do throws(FileSystemError) { try fileSystem.removeIfPresent(file) } catch {
      throw LogError(error, while: "remove \(file)")
    }
  }
}

extension LogError {
  init(_ refusal: CursorMoveError, cursor name: String) {
    switch refusal {
    case .fenced(let held, let attempted):
      self.init(
        .fenced, "another holder took cursor \(name) (epoch \(held); this holder has epoch \(attempted))",
        cause: refusal)
    case .outOfOrder(let expected, let found):
      self.init(.illegalMove, "cursor \(name) expected offset \(expected), not \(found)", cause: refusal)
    case .tooManyInFlight:
      self.init(
        .illegalMove, "cursor \(name) already has \(CursorState.maxInFlight) batches in flight", cause: refusal)
    case .unknownIntent(let id):
      self.init(.illegalMove, "cursor \(name) has no open batch \(id)", cause: refusal)
    case .intentsOpen(let count):
      self.init(
        .illegalMove,
        "cursor \(name) has \(count == 1 ? "a batch" : "\(count) batches") in flight, which its destination may hold;"
          + " let it be delivered first, or give it up as you move the cursor",
        cause: refusal)
    case .lost(let range):
      self.init(
        .gap,
        "retention removed records \(range.lowerBound) ..< \(range.upperBound) before cursor \(name) delivered them; "
          + "to continue, acknowledge the gap or move the cursor",
        location: .init(offset: range.lowerBound),
        cause: Gap(first: range.lowerBound, end: range.upperBound, reason: .trimmed))
    case .malformedIntent(let why):
      self.init(.illegalMove, "cursor \(name): \(why)", cause: refusal)
    }
  }
}
