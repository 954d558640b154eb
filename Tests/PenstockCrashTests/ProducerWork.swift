import PenstockLog
import PenstockTestKit

/// The producer of a ``CrashWorkload``.
enum ProducerWork {
  static let name = "importer"

  /// The mark of the next append.
  static func mark(after appends: [ProducerTable.Append]) -> ProducerMark {
    let sequence = (appends.last?.sequence ?? 0) + 1
    return ProducerMark(name: name, epoch: 1, sequence: sequence, source: Array("byte \(sequence)".utf8))
  }
}

extension CrashWorkload {
  /// Holds what the log knows of the producer against what it was promised, and settles the append that had not returned.
  mutating func checkProducer(_ writer: LogWriter, isPendingThere: Bool) throws {
    let report = writer.recovery.producers
    guard report.damagedSnapshots.isEmpty, report.uncertain.isEmpty, report.isComplete else {
      throw BrokenPromise("an honest crash lost what was known of producers: \(report)")
    }
    guard let newest = writer.view.set.segments.last, report.readFrom >= newest.name.baseOffset else {
      throw BrokenPromise("recovery had to look for producers in more than one segment: \(report)")
    }
    var table = writer.producers.table
    let entry = table.entries[ProducerWork.name]
    if let mark = promises.pendingMark {
      let base = Offset(UInt64(promises.records.count))
      let offsets = base..<(base + promises.pending.count)
      let answer = table.offer(ProducerWork.name, epoch: try table.open(ProducerWork.name), sequence: mark.sequence)
      guard answer == (isPendingThere ? .known(offsets) : .append) else {
        throw BrokenPromise("append \(mark.sequence), there: \(isPendingThere), is answered with \(answer)")
      }
      if isPendingThere { settle(offsets) }
    }
    guard (entry?.recent ?? []) == promises.producer.suffix(ProducerTable.remembered) else {
      throw BrokenPromise("the producer appended \(promises.producer); the log knows \(String(describing: entry))")
    }
    guard (entry?.last ?? 0) == (promises.producer.last?.sequence ?? 0), entry?.isUncertain != true,
      (entry?.source ?? []) == promises.producer.last.map({ Array("byte \($0.sequence)".utf8) }) ?? []
    else { throw BrokenPromise("the producer is \(String(describing: entry)) after \(promises.producer)") }
  }
}
