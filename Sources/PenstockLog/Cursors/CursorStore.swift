internal import Synchronization

/// Where the log keeps cursors: one ``SlotFile`` each, of fixed size, so that a commit works on a full disk. Every
/// method that reads or writes blocks the calling thread.
package enum CursorStore {
  static let slotKind: UInt16 = 2
  /// Holds four intents with the longest plans and reasons, and the most reserved ranges.
  static let slotSize = 16 << 10
  static let suffix = ".cur"

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

  /// The names of all cursors, sorted. Files of other names are ignored.
  package static func names(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) -> [String] {
    do throws(FileSystemError) {
      return ownNames(try fileSystem.list(paths.cursors), suffix)
    } catch {
      if error.code == .notFound { return [] }
      throw LogError(error, while: "list the cursors")
    }
  }

  /// All cursors of a log by name, each with its state or the reason why it cannot be read. A cursor that is removed
  /// meanwhile is left out.
  package static func states(
    _ fileSystem: any FileSystem, _ paths: LogPaths, of logID: [UInt8]
  ) throws(LogError) -> [(name: String, state: Result<CursorState, LogError>)] {
    var found: [(name: String, state: Result<CursorState, LogError>)] = []
    for name in try names(fileSystem, paths) {
      do throws(LogError) {
        found.append((name, .success(try record(fileSystem, paths, name: name, of: logID).state)))
      } catch {
        if !error.isAboutMissingFile { found.append((name, .failure(error))) }
      }
    }
    return found
  }

  /// The state of a cursor, without taking it.
  package static func peek(
    _ fileSystem: any FileSystem, _ paths: LogPaths, name: String
  ) throws(LogError) -> CursorState {
    try record(fileSystem, paths, name: name).state
  }

  /// The same, with the log and the name to which the cursor belongs.
  static func record(
    _ fileSystem: any FileSystem, _ paths: LogPaths, name: String
  ) throws(LogError) -> CursorRecord {
    let value = try SlotFile.peek(fileSystem, paths.cursor(name), kind: slotKind, slotSize: slotSize)
    return try CursorRecord(decoding: value)
  }

  /// The same; `.damaged` for another log's cursor, or for another cursor's file under this name.
  package static func record(
    _ fileSystem: any FileSystem, _ paths: LogPaths, name: String, of logID: [UInt8]
  ) throws(LogError) -> CursorRecord {
    try proven(try record(fileSystem, paths, name: name), paths, name: name, of: logID)
  }

  private static func proven(
    _ record: CursorRecord, _ paths: LogPaths, name: String, of logID: [UInt8]
  ) throws(LogError) -> CursorRecord {
    guard record.logID == logID, record.name == name else {
      throw LogError(
        .damaged, "the cursor belongs to another log or has another name (\(record.name))",
        location: .init(path: paths.cursor(name)))
    }
    return record
  }

  /// Takes a cursor, making it first if there is none of that name. Throws `.cursorHeld` when another process holds it.
  package static func hold(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8], name: String, startingAt start: Offset
  ) throws(LogError) -> HeldCursor {
    try validate(name)
    let path = paths.cursor(name)
    let isThere: Bool
    do throws(FileSystemError) {
      isThere = try fileSystem.exists(path)
    } catch {
      throw LogError(error, while: "find cursor \(name)")
    }
    if !isThere {
      let record = CursorRecord(logID: logID, name: name, state: CursorState(startingAt: start))
      do throws(LogError) {
        try LogDirectory.restoringCursors(fileSystem, paths) { () throws(LogError) in
          try SlotFile.create(fileSystem, path, kind: slotKind, slotSize: slotSize, value: record.encoded())
        }
      } catch {
        if error.code == .locked { throw held(name, path) }
        // Another process made it in between, and may already have released it.
        guard (error.cause as? FileSystemError)?.code == .exists else { throw error }
      }
    }
    return try take(fileSystem, paths, logID: logID, name: name)
  }

  private static func held(_ name: String, _ path: String) -> LogError {
    LogError(.cursorHeld, "another process delivers with cursor \(name); stop it first", location: .init(path: path))
  }

  /// Takes an existing cursor.
  package static func take(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8], name: String
  ) throws(LogError) -> HeldCursor {
    let path = paths.cursor(name)
    guard let (slots, value) = try SlotFile.open(fileSystem, path, kind: slotKind, slotSize: slotSize, locking: true)
    else {
      throw held(name, path)
    }
    return HeldCursor(slots, try proven(try CursorRecord(decoding: value), paths, name: name, of: logID))
  }
}

/// A cursor whose file this process has locked. Every move but ``skip(_:)`` is on stable storage before any caller sees
/// it.
package final class HeldCursor: Sendable {
  private struct Contents {
    /// Nil once the cursor was released.
    var slots: SlotFile?
    /// What is on stable storage.
    var record: CursorRecord
    /// Where the cursor is, if it has skipped records since.
    var ahead: CursorState?

    var state: CursorState { ahead ?? record.state }
  }
  /// Held while the slot is written, so that moves happen one after the other.
  private let contents: Mutex<Contents>
  package let name: String

  init(_ slots: sending SlotFile, _ record: CursorRecord) {
    name = record.name
    contents = Mutex(Contents(slots: slots, record: record))
  }

  /// Releases the file and its lock; the cursor moves no more.
  package func close() { contents.withLock { $0.slots = nil } }

  package var state: CursorState { contents.withLock { $0.state } }

  /// Whether it has skipped records, and that is not on stable storage.
  package var isAhead: Bool { contents.withLock { $0.ahead != nil } }

  /// Makes a move in memory. The next move, or ``save(afterPreparing:)``, makes it durable. Only for a move over
  /// records that are not to be delivered: a crash repeats it.
  @discardableResult
  package func skip(
    _ step: (CursorState) throws(CursorMoveError) -> CursorState
  ) throws(LogError) -> CursorState {
    try contents.withLock { contents throws(LogError) in
      guard contents.slots != nil else { throw LogError(.closed, "the log of cursor \(name) is closed") }
      let next = try stepped(contents.state, step)
      contents.ahead = next == contents.record.state ? nil : next
      return next
    }
  }

  /// Makes what was skipped durable. Blocks the calling thread for at most one sync.
  package func save(
    afterPreparing prepare: (CursorState) throws(LogError) -> Void = { _ throws(LogError) in }
  ) throws(LogError) {
    guard isAhead else { return }
    try move({ (state) throws(CursorMoveError) in state }, afterPreparing: prepare)
  }

  private func stepped(
    _ state: CursorState, _ step: (CursorState) throws(CursorMoveError) -> CursorState
  ) throws(LogError) -> CursorState {
    do throws(CursorMoveError) { return try step(state) } catch { throw LogError(error, cursor: name) }
  }

  /// Makes a move durable and returns the new state. Blocks the calling thread for one sync. Calls `prepare` with the
  /// new state before it is written.
  @discardableResult
  package func move(
    _ step: (CursorState) throws(CursorMoveError) -> CursorState,
    afterPreparing prepare: (CursorState) throws(LogError) -> Void = { _ throws(LogError) in }
  ) throws(LogError) -> CursorState {
    try contents.withLock { contents throws(LogError) in
      guard let slots = contents.slots else { throw LogError(.closed, "the log of cursor \(name) is closed") }
      var record = contents.record
      record.state = try stepped(contents.state, step)
      if record != contents.record {
        try prepare(record.state)
        try slots.write(record.encoded())
        contents.record = record
      }
      contents.ahead = nil
      return record.state
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
