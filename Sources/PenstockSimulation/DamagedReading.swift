package import PenstockLog
import PenstockTestKit

/// What a log serves after damage, held against what was written: a record is served with its own bytes or told to be
/// lost, by the opening or to readers. It knows nothing of checksums.
package struct DamagedReading {
  package private(set) var served = 0
  package private(set) var lost: Set<UInt64> = []
  /// Wrong bytes, and losses in silence.
  package private(set) var flaws: [String] = []

  /// - Parameter digests: of the records that were written, from offset 0.
  package init(_ writer: LogWriter, of digests: [UInt64]) {
    let (view, count) = (writer.view, UInt64(digests.count))
    for gap in writer.recovery.gaps {
      lost.formUnion(gap.first.rawValue..<max(gap.first.rawValue, min(gap.end.rawValue, count)))
    }
    var isServed = [Bool](repeating: false, count: digests.count)
    var offset = Offset.zero
    while offset < view.end {
      do throws(LogError) {
        guard let batch = try view.batch(from: offset, maxRecords: 10_000, maxBytes: 8 << 20) else { break }
        for (number, digest) in zip(Int(offset.rawValue)..., History.digests(of: batch)) {
          if number >= digests.count || digests[number] != digest {
            flaws.append("record \(number) is served with wrong bytes")
          }
          if number < digests.count { isServed[number] = true }
          served += 1
        }
        offset = batch.end
      } catch {
        guard let gap = error.gap, gap.end > offset, gap.end.rawValue <= count else {
          flaws.append("reading fails with \(error)")
          break
        }
        lost.formUnion(gap.first.rawValue..<gap.end.rawValue)
        offset = gap.end
      }
    }
    let silent = isServed.indices.filter { !isServed[$0] && !lost.contains(UInt64($0)) }
    if let first = silent.first { flaws.append("\(silent.count) records from \(first) on are lost silently") }
  }
}
