import PenstockLog

// Appends, reads, and what is there after a crash.
extension HistoryChecker {
  func standing(_ offset: Offset) -> Standing {
    guard offset >= base, offset < end else { return .unknown }
    return standings[offset - origin]
  }

  mutating func acknowledge(_ id: UInt64, _ offsets: Range<Offset>) {
    guard let append = pending.remove(id) else {
      return report(.acknowledgedIsKept, "append \(id) was acknowledged and never made, or twice")
    }
    guard offsets.lowerBound + append.records.count == offsets.upperBound else {
      return report(.batchIsWhole, "\(append.records.count) records were given the offsets \(offsets)")
    }
    let isNew = settle(append, at: offsets)
    if isNew { mark(append.records, at: offsets.lowerBound, as: .acknowledged) }
  }

  /// Takes note of where a producer's append stands; false when that was known, or is not where it stood before.
  private mutating func settle(_ append: Pending, at offsets: Range<Offset>) -> Bool {
    guard let step = append.producer else { return true }
    if let known = producers[step.name]?.offsets[step.sequence] {
      if known != offsets {
        report(.acknowledgedIsKept, "append \(step.sequence) of \(step.name) stands at \(known) and at \(offsets)")
      }
      return false
    }
    let last = lastSequence(of: step.name)
    if step.sequence != last + 1 {
      report(.orderOfProducers, "\(step.name) has append \(step.sequence) after \(last)")
    }
    if let before = producers[step.name]?.offsets[last], before.upperBound > offsets.lowerBound {
      report(.orderOfProducers, "append \(step.sequence) of \(step.name) stands before append \(last)")
    }
    producers[step.name, default: ProducerMemory()].last = max(last, step.sequence)
    producers[step.name, default: ProducerMemory()].offsets[step.sequence] = offsets
    return true
  }

  private mutating func mark(_ records: [UInt64], at first: Offset, as standing: Standing) {
    guard first >= base else {
      return report(.offsetHasOneContent, "records were put at \(first), below the log's beginning \(base)")
    }
    let missing = (first - origin) + records.count - digests.count
    if missing > 0 {
      digests += [UInt64](repeating: 0, count: missing)
      standings += [Standing](repeating: .unknown, count: missing)
    }
    for (place, digest) in zip((first - origin)..., records) {
      if standings[place] != .unknown, digests[place] != digest {
        report(.offsetHasOneContent, "offset \(origin + place) had other bytes before")
      }
      digests[place] = digest
      if standings[place] != .acknowledged { standings[place] = standing }
    }
  }

  mutating func read(_ first: Offset, _ records: [UInt64]) {
    var index = 0
    while index < records.count {
      let offset = first + index
      if standing(offset) == .unknown {
        index += match(records[index...], at: offset)
      } else {
        if digests[offset - origin] != records[index] {
          report(.offsetHasOneContent, "offset \(offset) shows other bytes than before")
        }
        index += 1
      }
    }
  }

  /// Finds the append that has not returned and stands here, and counts its records as seen; returns how many they are.
  private mutating func match(_ records: ArraySlice<UInt64>, at offset: Offset) -> Int {
    guard let append = pending.remove(beginningWith: records[records.startIndex]) else {
      report(.damageIsReported, "offset \(offset) shows a record that was not appended, or that is elsewhere too")
      mark([records[records.startIndex]], at: offset, as: .read)
      return 1
    }
    let isWhole = records.starts(with: append.records)
    if !isWhole { report(.batchIsWhole, "of a batch of \(append.records.count) at \(offset) only a part is there") }
    let count = isWhole ? append.records.count : 1
    _ = settle(append, at: offset..<(offset + count))
    mark(Array(records.prefix(count)), at: offset, as: .read)
    return count
  }

  // MARK: - The beginning

  mutating func begin(at first: Offset) {
    if first < base { report(.nothingVanishes, "the log begins at \(first), and began at \(base) before") }
    starts = [first]
    guard first > base else { return }
    base = first
    // What is below goes when it is half of all there is, so that every record is moved once or twice.
    let dropped = min(base - origin, digests.count)
    guard dropped * 2 >= digests.count else { return }
    digests.removeFirst(dropped)
    standings.removeFirst(dropped)
    origin = base
  }

  // MARK: - After a crash

  mutating func recover(_ found: History.Recovered) {
    if !starts.contains(found.first), damage == nil {
      report(.nothingVanishes, "the log begins at \(found.first); retention had it begin at \(starts)")
    }
    if found.reportsDamage, damage == nil {
      report(.damageIsReported, "an honest crash is called damage, of \(found.gaps)")
    }
    if found.first > base, starts.contains(found.first) || damage != nil { begin(at: found.first) }
    var next = found.first
    var gaps = found.gaps[...]
    for piece in found.pieces {
      skip(to: piece.first, from: next, &gaps)
      read(piece.first, piece.records)
      next = piece.first + piece.records.count
    }
    skip(to: max(found.end, end), from: next, &gaps, end: found.end)
    // What is not there now never will be.
    pending.removeAll()
    starts = [found.first]
    image = found.image
    damage = nil
  }

  /// Nothing stands between these offsets.
  private mutating func skip(
    to end: Offset, from first: Offset, _ gaps: inout ArraySlice<Range<Offset>>, end found: Offset? = nil
  ) {
    var offset = first
    while offset < end {
      while let gap = gaps.first, gap.upperBound <= offset { gaps.removeFirst() }
      let isReported = gaps.first.map { $0.contains(offset) } ?? false
      missing(offset, isReported: isReported, isInside: offset < found ?? end)
      offset = offset + 1
    }
  }

  private mutating func missing(_ offset: Offset, isReported: Bool, isInside: Bool) {
    let standing = standing(offset)
    let mayBeLost = damage?.contains { $0.contains(offset) } ?? false
    if isReported {
      if !mayBeLost, standing == .acknowledged || standing == .read {
        report(.damageIsReported, "offset \(offset) is reported lost, and no damage touched it")
      }
      if standing != .unknown { standings[offset - origin] = .lost }
      return
    }
    switch standing {
    case .acknowledged: report(.acknowledgedIsKept, "offset \(offset) was acknowledged and is gone")
    case .read: report(.readIsDurable, "offset \(offset) was shown to a reader and is gone")
    case .lost, .unknown:
      if isInside { report(.noSilentGap, "offset \(offset) is passed over, and no gap is reported") }
    }
    // Said once.
    if standing != .unknown { standings[offset - origin] = .lost }
  }
}
