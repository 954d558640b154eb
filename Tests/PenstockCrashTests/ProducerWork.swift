@testable import PenstockLog
import PenstockTestKit

/// The producer of a ``CrashWorkload``.
enum ProducerWork {
  static let name = "importer"

  /// The mark of the next append, or of one some places after it.
  static func mark(_ appends: [ProducerTable.Append], ahead: Int = 0) -> ProducerMark {
    let sequence = (appends.last?.sequence ?? 0) + 1 + UInt64(ahead)
    return ProducerMark(name: name, epoch: 1, sequence: sequence, source: Array("byte \(sequence)".utf8))
  }
}

extension CrashWorkload {
  /// Holds what the log knows of the producer against what it was promised, and settles the appends that had not
  /// returned and are there: the first `count`.
  mutating func checkProducer(_ writer: LogWriter, pendingThere count: Int) throws {
    let report = writer.recovery.producers
    guard report.damagedSnapshots.isEmpty, report.uncertain.isEmpty, report.isComplete else {
      throw BrokenPromise("an honest crash lost what was known of producers: \(report)")
    }
    guard let newest = writer.view.set.segments.last, report.readFrom >= newest.name.baseOffset else {
      throw BrokenPromise("recovery had to look for producers in more than one segment: \(report)")
    }
    var table = writer.producers.table
    let entry = table.entries[ProducerWork.name]
    let epoch = try table.open(ProducerWork.name)
    for _ in 0..<count {
      let pending = promises.pending.removeFirst()
      let base = Offset(UInt64(promises.records.count))
      let offsets = base..<(base + pending.records.count)
      try expect(.known(offsets), for: pending.mark, &table, epoch)
      settle(pending, offsets)
    }
    try expect(.append, for: promises.pending.lazy.compactMap(\.mark).first, &table, epoch)
    guard (entry?.recent ?? []) == promises.producer.suffix(ProducerTable.remembered) else {
      throw BrokenPromise("the producer appended \(promises.producer); the log knows \(String(describing: entry))")
    }
    guard (entry?.last ?? 0) == (promises.producer.last?.sequence ?? 0), entry?.isUncertain != true,
      (entry?.source ?? []) == promises.producer.last.map({ Array("byte \($0.sequence)".utf8) }) ?? []
    else { throw BrokenPromise("the producer is \(String(describing: entry)) after \(promises.producer)") }
  }

  private func expect(
    _ expected: ProducerTable.Answer, for mark: ProducerMark?, _ table: inout ProducerTable, _ epoch: UInt64
  ) throws {
    guard let mark else { return }
    let answer = table.offer(ProducerWork.name, epoch: epoch, sequence: mark.sequence)
    guard answer == expected else {
      throw BrokenPromise("append \(mark.sequence) is answered with \(answer), not with \(expected)")
    }
  }
}
