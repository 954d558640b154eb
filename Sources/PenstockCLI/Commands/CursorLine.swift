import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockToolSupport

/// One cursor, as `penstock status` and `penstock cursor` show it.
struct CursorLine {
  let name: String
  let state: CursorState
  let end: Offset
  /// The distance to the end; nil when it was not measured.
  var distance: LogSurvey.Distance?
  /// Nil when it was not measured.
  var lag: Lag?
  var deadLetters: Int?
  var pause: CursorPause?

  /// The readable cursors, and the unreadable ones with the reason. A damaged cursor does not hide the others.
  static func all(_ survey: LogSurvey) throws -> (lines: [CursorLine], unreadable: [UnreadableCursor]) {
    let (fileSystem, paths) = (POSIXFileSystem(), LogPaths(survey.inspector.path))
    var (lines, unreadable): ([CursorLine], [UnreadableCursor]) = ([], [])
    for (name, state) in try CursorStore.states(fileSystem, paths, of: survey.inspector.meta.logID) {
      do {
        lines.append(try line(name, try state.get(), survey, fileSystem, paths))
      } catch let error as LogError {
        unreadable.append(UnreadableCursor(name: name, problem: error.description))
      }
    }
    return (lines, unreadable)
  }

  private static func line(
    _ name: String, _ state: CursorState, _ survey: LogSurvey, _ fileSystem: POSIXFileSystem, _ paths: LogPaths
  ) throws -> CursorLine {
    CursorLine(
      name: name, state: state, end: survey.end, distance: try survey.distance(from: state.committed),
      pause: try CursorStore.pause(fileSystem, paths, name: name))
  }

  /// One cursor. Throws when the log does not have it.
  static func line(_ name: String, _ log: String) throws -> CursorLine {
    let (fileSystem, paths) = (POSIXFileSystem(), LogPaths(log))
    guard try CursorStore.names(fileSystem, paths).contains(name) else {
      throw Failure(.bad, "unknownCursor", "cursor \(name) was deleted in the meantime")
    }
    let survey = try LogSurvey(LogInspector(log))
    let state = try CursorStore.record(fileSystem, paths, name: name, of: survey.inspector.meta.logID).state
    return try line(name, state, survey, fileSystem, paths)
  }

  private var recordLag: Int { end > state.committed ? end - state.committed : 0 }

  /// The age of the cursor's next record, in seconds; an upper bound when only the age of its segment is known.
  private func seconds(now: Timestamp) -> Double? {
    guard let distance else { return nil }
    return distance.since.map { max(0, now.seconds - $0.seconds) } ?? 0
  }

  func json(now: Timestamp) -> JSON {
    .object([
      ("name", .string(name)), ("committed", .number(state.committed.rawValue)), ("lag", .number(recordLag)),
      ("lagBytes", .optional(distance?.bytes)), ("lagSeconds", seconds(now: now).map { .number($0) } ?? .null),
      ("lagIsExact", distance.map { .bool($0.isExact) } ?? .null), ("epoch", .number(state.epoch)),
      ("lastReceipt", .optional(state.lastReceipt)), ("health", .optional(lag?.health.rawValue)),
      ("healthWords", .optional(lag?.words)), ("deadLetters", .optional(deadLetters)),
      (
        "paused",
        pause.map {
          .object([("since", .optional($0.since.map { HumanFormat.time($0) })), ("reason", .string($0.reason))])
        } ?? .null
      ),
      (
        "inFlight",
        .array(
          state.inFlight.map {
            .object([
              ("id", .string($0.intent.id.rawValue)), ("first", .number($0.intent.first.rawValue)),
              ("last", .number($0.intent.end.rawValue - 1)), ("delivered", .bool($0.isDelivered)),
              ("createdAt", .string(HumanFormat.time($0.intent.createdAt))),
            ])
          })
      ),
      (
        "lost",
        state.lost.map {
          JSON.object([("first", .number($0.lowerBound.rawValue)), ("end", .number($0.upperBound.rawValue))])
        } ?? .null
      ),
    ])
  }

  static func table(_ cursors: [CursorLine], now: Timestamp) -> String {
    if cursors.isEmpty { return "no cursors" }
    var rows = [["cursor", "committed", "lag", "bytes", "age", "in flight", "last receipt"]]
    for cursor in cursors {
      let (state, distance) = (cursor.state, cursor.distance)
      let open = state.inFlight.map { "\($0.intent.first) ..< \($0.intent.end)" }.joined(separator: ", ")
      let (about, most) = distance?.isExact == false ? ("~", "≤ ") : ("", "")
      rows.append([
        cursor.pause == nil ? cursor.name : cursor.name + " (paused)", state.committed.description,
        HumanFormat.count(cursor.recordLag),
        distance.map { about + HumanFormat.bytes($0.bytes) } ?? "–",
        cursor.seconds(now: now).map { $0 > 0 ? most + HumanFormat.seconds($0) : "–" } ?? "–",
        open.isEmpty ? "–" : open, state.lastReceipt ?? "–",
      ])
    }
    return HumanFormat.table(rows, right: [1, 2, 3, 4])
  }
}

/// A cursor whose file cannot be read, or belongs to another log.
struct UnreadableCursor {
  let name: String
  let problem: String

  var json: JSON { .object([("name", .string(name)), ("error", .string(problem))]) }
  var words: String {
    "cursor \(name) cannot be read: \(problem); use penstock cursor rebuild \(name), or cursor delete \(name)"
  }
}

/// One producer, as `penstock status` and `penstock inspect` show it.
struct ProducerLine {
  let name: String
  let entry: ProducerTable.Entry

  static func all(_ table: ProducerTable) -> [ProducerLine] {
    table.entries.sorted { $0.key < $1.key }.map { ProducerLine(name: $0.key, entry: $0.value) }
  }

  /// Printable ASCII as text, everything else in hexadecimal.
  private var source: String? {
    if entry.source.isEmpty { return nil }
    let text = String(validating: entry.source, as: UTF8.self)
    let isPlain = entry.source.allSatisfy { (0x20...0x7E).contains($0) }
    return text.flatMap { isPlain ? $0 : nil } ?? "0x" + InspectCommand.hex(entry.source)
  }

  var json: JSON {
    .object([
      ("name", .string(name)), ("lastSequence", .number(entry.last)), ("epoch", .number(entry.epoch)),
      ("source", .optional(source)), ("end", .number(entry.usedAt.rawValue)),
      ("uncertain", .bool(entry.isUncertain)),
    ])
  }

  static func words(_ table: ProducerTable) -> String {
    if table.entries.isEmpty { return "no producers" }
    var rows = [["producer", "sequence", "up to", "source", ""]]
    for line in all(table) {
      rows.append([
        line.name, HumanFormat.count(line.entry.last), line.entry.usedAt.description, line.source ?? "–",
        line.entry.isUncertain ? "uncertain" : "",
      ])
    }
    return HumanFormat.table(rows, right: [1, 2])
  }
}
