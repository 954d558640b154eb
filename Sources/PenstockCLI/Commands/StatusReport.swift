import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

/// The result of `penstock status`.
struct StatusReport {
  let survey: LogSurvey
  let cursors: [CursorLine]
  let unreadableCursors: [UnreadableCursor]
  let producers: (table: ProducerTable, report: RecoveryReport.Producers)
  let isWritten: Bool?
  /// The result of --deep for every segment; nil without it.
  let findings: [SegmentReport]?
  let listsProducers: Bool
  let now = Timestamp(seconds: Date().timeIntervalSince1970)

  var inspector: LogInspector { survey.inspector }

  init(_ path: String, deep: Bool, listsProducers: Bool, health: CursorHealth? = nil) throws {
    let inspector = try LogInspector(path)
    let survey = try LogSurvey(inspector)
    self.survey = survey
    self.listsProducers = listsProducers
    let found = try CursorLine.all(survey)
    unreadableCursors = found.unreadable
    cursors = found.lines.map { line in
      var line = line
      line.lag = health?.lags[line.name]
      line.deadLetters = health.map { $0.deadLetters[line.name] ?? 0 }
      return line
    }
    producers = try survey.producers()
    isWritten = WriterLock.isHeld(path)
    findings = deep ? inspector.walk(.headers) : nil
  }

  /// The cursor with the lowest committed offset: retention without a hard cap keeps everything from there on.
  var slowest: CursorLine? { cursors.min { $0.state.committed < $1.state.committed } }

  /// The age of the oldest record, in seconds; nil in an empty log.
  var oldestAge: Double? {
    guard survey.end > survey.first, let oldest = survey.oldest else { return nil }
    return max(0, now.seconds - oldest.seconds)
  }

  var problems: [InspectionProblem] { (findings ?? []).flatMap(\.problems) }
}

// MARK: JSON

extension StatusReport {
  var json: JSON {
    let rawBytes = findings?.reduce(0) { $0 + $1.rawBytes }
    return .object([
      ("path", .string(inspector.path)), ("log", .string(inspector.logID)),
      ("first", .number(survey.first.rawValue)), ("end", .number(survey.end.rawValue)),
      ("records", .number(survey.end - survey.first)), ("bytesOnDisk", .number(survey.usedBytes)),
      ("fileBytes", .number(survey.fileBytes)), ("rawBytes", .optional(rawBytes)),
      ("oldest", survey.oldest.map { .string(HumanFormat.time($0)) } ?? .null),
      ("oldestAgeSeconds", oldestAge.map { .number($0) } ?? .null),
      ("newest", survey.newestAppend.map { .string(HumanFormat.time($0)) } ?? .null),
      ("writer", isWritten.map { .bool($0) } ?? .null), ("closedCleanly", .bool(inspector.isClosedCleanly)),
      ("dropped", .number(inspector.meta.start?.baseOffset.rawValue ?? 0)), ("heldBy", .optional(slowest?.name)),
      ("sealed", sealedJSON), ("producers", producersJSON), ("deep", .bool(findings != nil)),
      ("segments", .array(survey.segments.indices.map(segmentJSON))),
      ("cursors", cursorsJSON), ("unreadableCursors", unreadableJSON),
      ("problems", .array(problems.map { .string($0.description) })),
    ])
  }

  private var cursorsJSON: JSON { .array(cursors.map { $0.json(now: now) }) }
  private var unreadableJSON: JSON { .array(unreadableCursors.map(\.json)) }

  private var sealedJSON: JSON {
    let sealing = survey.sealing
    return .object([
      ("looked", .number(sealing.looked)), ("sealed", .number(sealing.sealed)),
      ("bytesBefore", .number(sealing.bytesBefore)), ("bytesAfter", .number(sealing.bytesAfter)),
    ])
  }

  private var producersJSON: JSON {
    var members: [(String, JSON)] = [
      ("count", .number(producers.report.count)), ("complete", .bool(producers.report.isComplete)),
      ("uncertain", .array(producers.report.uncertain.map { .string($0) })),
    ]
    if listsProducers { members.append(("list", .array(ProducerLine.all(producers.table).map(\.json)))) }
    return .object(members)
  }

  private func segmentJSON(_ index: Int) -> JSON {
    let segment = survey.segments[index]
    var members: [(String, JSON)] = [
      ("sequence", .number(segment.name.sequence)), ("path", .string(inspector.path(of: segment.name))),
      ("first", .number(segment.name.baseOffset.rawValue)), ("end", .number(segment.end.rawValue)),
      ("records", .number(segment.records)), ("fileBytes", .number(segment.fileBytes)),
    ]
    if let finding = findings?.first(where: { $0.name == segment.name }) {
      members += [
        ("blocks", .number(finding.blocks)), ("rawBytes", .number(finding.rawBytes)),
        ("bytesOnDisk", .number(finding.usedBytes)),
      ]
    }
    return .object(members)
  }
}
