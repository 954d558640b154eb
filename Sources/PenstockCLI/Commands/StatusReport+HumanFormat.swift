import PenstockDelivery
import PenstockLog
import PenstockToolSupport

// The text output of `penstock status`.
extension StatusReport {
  var words: String {
    var text = HumanFormat.table(summary)
    text += "\n\n" + segmentTable
    text += "\n\n" + CursorLine.table(cursors, now: now)
    for cursor in unreadableCursors { text += "\n" + cursor.words }
    if listsProducers { text += "\n\n" + ProducerLine.words(producers.table) }
    if !problems.isEmpty { text += "\n\n\(HumanFormat.count(problems.count, "problem")); see penstock verify" }
    return text
  }

  private var summary: [[String]] {
    let writer =
      switch isWritten {
      case true?: "a writer has the log open"
      case false?: inspector.isClosedCleanly ? "none; closed cleanly" : "none; the next writer recovers the log first"
      case nil: "unknown"
      }
    let records = HumanFormat.count(survey.end - survey.first)
    var rows = [
      ["log", inspector.path], ["id", inspector.logID], ["writer", writer],
      ["records", "\(records) (offsets \(survey.first) ..< \(survey.end))"], ["size", size],
    ]
    if let oldestAge { rows.append(["oldest", "\(HumanFormat.seconds(oldestAge)) old"]) }
    rows += [["sealed", sealed], ["producers", producerCount]] + retention
    return rows
  }

  private var size: String {
    let used = HumanFormat.bytes(survey.usedBytes)
    guard let raw = findings?.reduce(0, { $0 + $1.rawBytes }) else { return "\(used) on disk" }
    return "\(used) on disk for \(HumanFormat.bytes(raw)) (\(HumanFormat.share(survey.usedBytes, of: UInt64(raw))))"
  }

  private var sealed: String {
    let sealing = survey.sealing
    guard sealing.looked > 0 else { return "no segment is full yet" }
    let all = survey.segments.count - 1
    let looked = sealing.looked < all ? "\(sealing.looked) checked of \(HumanFormat.count(all))" : "\(sealing.looked)"
    var text = "\(sealing.sealed) of \(looked)"
    if sealing.sealed > 0 {
      text += ", \(HumanFormat.share(sealing.bytesAfter, of: sealing.bytesBefore)) of their size before"
    }
    return text
  }

  private var producerCount: String {
    let report = producers.report
    var text = HumanFormat.count(report.count, "producer")
    if !report.uncertain.isEmpty { text += ", \(report.uncertain.count) uncertain" }
    if !report.isComplete { text += "; the log may have forgotten others" }
    return text
  }

  private var retention: [[String]] {
    var rows: [[String]] = []
    if let start = inspector.meta.start?.baseOffset, start > .zero {
      rows.append(["deleted", "\(HumanFormat.count(start - .zero, "record")) by retention (offsets 0 ..< \(start))"])
    }
    if let slowest { rows.append(["held by", "cursor \(slowest.name), from offset \(slowest.state.committed) on"]) }
    for cursor in cursors {
      if let lag = cursor.lag, lag.health != .ok { rows.append([lag.health.rawValue, "\(cursor.name): \(lag.words)"]) }
      if let count = cursor.deadLetters, count > 0 {
        rows.append([
          "dead letters",
          "cursor \(cursor.name): \(HumanFormat.count(count)); see penstock deadletters list \(cursor.name)",
        ])
      }
      if let gap = cursor.state.gap {
        rows.append([
          "lost", "cursor \(cursor.name): \(gap); use penstock cursor acknowledge \(cursor.name), or seek",
        ])
      }
    }
    return rows
  }

  /// Without --deep, only the newest 12 segments.
  private var segmentTable: String {
    let isDeep = findings != nil
    var rows = [["segment", "first", "records", "on disk"] + (isDeep ? ["blocks", "raw"] : [])]
    let shown = isDeep ? survey.segments[...] : survey.segments.suffix(12)
    for segment in shown {
      let isNewest = segment.name == survey.segments.last?.name
      let older = survey.segments.dropLast().reduce(0) { $0 + $1.fileBytes }
      var row = [
        String(segment.name.sequence), segment.name.baseOffset.description, HumanFormat.count(segment.records),
        HumanFormat.bytes(isNewest ? survey.usedBytes - older : segment.fileBytes),
      ]
      if let finding = findings?.first(where: { $0.name == segment.name }) {
        row += [HumanFormat.count(finding.blocks), HumanFormat.bytes(finding.rawBytes)]
      }
      rows.append(row)
    }
    let left = survey.segments.count - shown.count
    let table = HumanFormat.table(rows, right: [0, 1, 2, 3, 4, 5])
    return left > 0 ? "\(HumanFormat.count(left, "older segment")) and\n" + table : table
  }
}
