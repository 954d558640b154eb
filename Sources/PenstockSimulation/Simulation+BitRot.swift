import PenstockLog
import PenstockTestKit

// Damage.
extension Simulation {
  /// A drive changes bytes at rest: everything lost must be reported, and nothing wrong be served.
  mutating func rot(_ disk: SimulatedFileSystem) {
    var random = SplitMix64(seed: script.seed ^ 0x726f_74)
    let found = disk.powerCut(.everything)
    let segments = found.filePaths.filter { $0.hasSuffix(".seg") }
    guard !segments.isEmpty else { return }
    for _ in 0...random.below(3) {
      let path = segments[random.below(segments.count)]
      let size = found.size(of: path) ?? 0
      guard size > 512 else { continue }
      let position = random.below(size)
      tell("  rot in \(path) at \(position)")
      switch random.below(3) {
      case 0: found.flipBit(path, at: position, bit: random.below(8))
      case 1: found.overwrite(path, at: position / 512 * 512, [UInt8](repeating: 0, count: 512))
      default:
        // What belongs elsewhere.
        let other = found.contents(segments[random.below(segments.count)]) ?? []
        let from = random.below(max(1, other.count / 512)) * 512
        found.overwrite(path, at: position / 512 * 512, Array(other[from..<min(other.count, from + 512)]))
      }
    }
    note(.damaged(nil))
    note(.crashed)
    openDamaged(found)
  }

  /// The disk acknowledges a write into a segment and loses it, or puts the bytes elsewhere in the file. Meanwhile the
  /// process appends, seals and continues. The next opening must report what that loses.
  ///
  /// It does so in segments only, and only where later evidence survives. An old copy of a cursor or of META that a
  /// lost write leaves is valid in itself. A disk that lies about a *sync* and then loses its power can lose everything
  /// after it.
  mutating func lie(_ disk: SimulatedFileSystem) {
    var random = SplitMix64(seed: script.seed ^ 0x6c69_65)
    let found = disk.powerCut(.everything)
    note(.crashed)
    do throws(LogError) {
      var process = try start(found)
      note(.recovered(look(at: process.writer, found)))
      let elsewhere = random.below(2) == 0 ? nil : random.below((64 << 10) / 512) * 512
      found.lie(atWrite: 1 + random.below(5), into: "/data/", misdirectedTo: elsewhere)
      tell("  the disk loses a write into a segment\(elsewhere.map { ", and makes it at \($0)" } ?? "")")
      note(.damaged(nil))
      for _ in 0...(2 + random.below(5)) {
        try append(draw(&random), to: process.writer)
        if random.below(3) == 0 { try seal(&process) }
      }
      if random.below(2) == 0 { try process.writer.close() }
    } catch {
      // A reader reports what is not there.
      tell("    \(error)")
    }
    if !found.isLieToCome { result.lies += 1 }
    note(.crashed)
    if openDamaged(found.processKill()), !found.isLieToCome { result.liesReported += 1 }
  }

  /// Sectors of segments cannot be read for a while. No record may be shown that is not there. Each that is not shown
  /// must be in a gap, and only in segments with such a sector. When the drive reads again, everything must be there.
  ///
  /// The log must open, unless both copies of the newest segment's header are unreadable. A new segment is begun where
  /// the newest one has such a sector. One in a copy of a segment's header costs nothing anywhere.
  mutating func endure(_ disk: SimulatedFileSystem) {
    var random = SplitMix64(seed: script.seed ^ 0x6261_64)
    let found = disk.powerCut(.everything)
    let segments = found.filePaths.filter { $0.hasSuffix(".seg") }
    guard !segments.isEmpty else { return }
    note(.crashed)
    var sectors: [String: [Int]] = [:]
    for _ in 0...random.below(3) {
      let path = segments[random.below(segments.count)]
      let position = random.below(max(1, found.size(of: path) ?? 0))
      tell("  a sector that cannot be read in \(path) at \(position)")
      found.makeUnreadable(path, at: position)
      sectors[path, default: []].append(position)
    }
    result.badSectors += 1
    let newest = segments.max() ?? ""
    let touched = Set(sectors.filter { Self.canCostRecords($0.value) }.keys)
    do throws(LogError) {
      let writer = try LogOpening.open(Self.path, configuration, environment(found))
      if writer.recovery.outcome == .damaged, !touched.contains(newest) {
        note(.failed("the newest segment can be read, and is called damaged"))
      }
      try readAround(writer, touched)
    } catch {
      let pages = Set((sectors[newest] ?? []).map { $0 / SegmentHeader.pageSize })
      if error.code != .io || !pages.isSuperset(of: [0, 1]) {
        note(.failed("sectors that cannot be read are met with \(error)"))
      }
    }
    if hasFailed { return }
    for path in sectors.keys { found.makeReadable(path) }
    note(.crashed)
    let later = found.processKill()
    result.recoveries += 1
    do throws(LogError) {
      let writer = try LogOpening.open(Self.path, configuration, environment(later))
      // What the opening in between could not read it called lost, so it is unsure of producers from then on.
      if touched.contains(newest) {
        note(.recovered(look(at: writer, later)))
      } else {
        try judge(writer, later)
      }
    } catch {
      note(.failed("a log whose sectors can be read again cannot be used: \(error)"))
    }
    hash.mix(later.traceHash)
  }

  /// Whether sectors at these positions of a segment may keep records from readers.
  private static func canCostRecords(_ positions: [Int]) -> Bool {
    let pages = Set(positions.map { $0 / SegmentHeader.pageSize })
    return pages != [0] && pages != [1]
  }

  private mutating func readAround(_ writer: LogWriter, _ touched: Set<String>) throws(LogError) {
    let view = writer.view
    var offset = view.set.first
    while offset < view.end {
      do throws(LogError) {
        guard let batch = try view.batch(from: offset, maxRecords: 10_000, maxBytes: 1 << 20) else {
          return note(.failed("the log ends at \(offset) for readers, at \(view.end) for the writer"))
        }
        note(.read(first: batch.first, records: History.digests(of: batch)))
        offset = batch.end
      } catch {
        let path = view.set.index(holding: offset).map { view.set.segments[$0].path }
        guard error.gap?.reason == .unreadable || error.code == .io else { throw error }
        guard let path, touched.contains(path) else {
          return note(.failed("record \(offset) is refused, and its segment can be read: \(error)"))
        }
        offset = max(offset + 1, error.gap?.end ?? offset)
      }
    }
  }

  /// Opens a log that may be damaged, and holds what it says against the history; true when it reports a loss.
  @discardableResult
  private mutating func openDamaged(_ found: SimulatedFileSystem) -> Bool {
    result.recoveries += 1
    defer { hash.mix(found.traceHash) }
    do throws(LogError) {
      let writer = try LogOpening.open(Self.path, configuration, environment(found))
      let seen = look(at: writer, found)
      note(.recovered(seen))
      return !seen.gaps.isEmpty
    } catch {
      // Refusing to open a log whose newest segment cannot be believed is a report, too.
      let honest: [LogError.Code] = [.damaged, .futureFormat, .readOnlyFormat, .undecidableTail, .notALog]
      if !honest.contains(error.code) { note(.failed("a damaged log is met with \(error)")) }
      return true
    }
  }
}
