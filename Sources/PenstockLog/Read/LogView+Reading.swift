extension LogView {
  /// The records from `first` on, up to both limits, at least one; nil at the end. A gap at `first` is thrown; a later one
  /// ends the batch.
  package func batch(from first: Offset, maxRecords: Int, maxBytes: Int) throws(LogError) -> Batch? {
    precondition(maxRecords > 0 && maxBytes > 0)
    var slices: [BlockSlice] = []
    var records = 0
    var bytes = 0
    var offset = first
    while records < maxRecords {
      let block: DecodedBlock?
      do throws(LogError) {
        block = try self.block(holding: offset)
      } catch {
        if slices.isEmpty { throw error }
        break
      }
      guard let block else { break }
      let index = offset - block.baseOffset
      let count = block.prefixCount(
        from: index, maxRecords: maxRecords - records, maxBytes: maxBytes - bytes, atLeastOne: slices.isEmpty)
      guard count > 0 else { break }
      let slice = BlockSlice(block: block, indices: index..<(index + count))
      slices.append(slice)
      records += count
      bytes += slice.byteCount
      offset = slice.end
      if offset < block.endOffset { break }
    }
    return slices.isEmpty ? nil : Batch(slices: slices)
  }

  /// Exactly the records of `range`, which must not be empty.
  package func batch(in range: Range<Offset>) throws(LogError) -> Batch {
    guard !range.isEmpty, range.upperBound <= end else {
      throw LogError(
        .outOfRange, "records \(range.lowerBound) ..< \(range.upperBound) are not in the log, which ends at \(end)",
        place: .init(offset: range.lowerBound))
    }
    var slices: [BlockSlice] = []
    var offset = range.lowerBound
    while offset < range.upperBound {
      guard let block = try block(holding: offset) else {
        throw LogError(.outOfRange, "the log ended while it was read", place: .init(offset: offset))
      }
      let upper = min(block.endOffset, range.upperBound)
      slices.append(BlockSlice(block: block, indices: (offset - block.baseOffset)..<(upper - block.baseOffset)))
      offset = upper
    }
    return Batch(slices: slices)
  }

  /// The first offset whose append time is not before `time`; the end when there is none. Append times never fall, so this
  /// is a binary search: O(log segments + log blocks), plus one scan of headers.
  package func offset(atOrAfter time: Timestamp) throws(LogError) -> Offset {
    try despiteTrimming { () throws(LogError) in try offsetNow(atOrAfter: time) }
  }

  private func offsetNow(atOrAfter time: Timestamp) throws(LogError) -> Offset {
    let set = set
    // The last segment begun before `time` holds the place, or the one after it begins there. Not the last begun *at* it:
    // where the clock stood still, the one before ends with records of that time.
    var (low, high) = (0, set.segments.count)
    while low < high {
      let middle = (low + high) / 2
      if try set.segments[middle].open().1.begunAt < time { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return set.first }
    let entries = try set.segments[low - 1].entries(upTo: set.end(ofSegmentAt: low - 1))
    let later = entries.firstIndex { $0.appendTime >= time } ?? entries.count
    // A sealed block holds records of several times: the first at or after `time` may be within the block before.
    if later > 0, let offset = try offset(atOrAfter: time, in: entries[later - 1]) { return offset }
    return later < entries.count ? entries[later].baseOffset : set.end(ofSegmentAt: low - 1)
  }

  private func offset(atOrAfter time: Timestamp, in entry: BlockEntry) throws(LogError) -> Offset? {
    guard entry.hasAppendTimes else { return nil }
    var offset = entry.baseOffset
    do throws(LogError) {
      // Blocks of the original may still be in memory, so several may lie where the index knows one.
      while offset < entry.endOffset, let block = try block(holding: offset) {
        if let index = block.appendTimes.firstIndex(atOrAfter: time) { return max(block.baseOffset + index, offset) }
        offset = block.endOffset
      }
      return nil
    } catch {
      // Where the times are lost, so are the records: reading from here on meets the gap and tells.
      guard error.gap != nil else { throw error }
      return offset
    }
  }
}

extension LogView {
  /// Returns true once a record at `offset` is readable; false when `timeout` passed, the view was closed or the task
  /// cancelled first.
  package func wait(past offset: Offset, for timeout: Duration) async -> Bool {
    await withTaskGroup(of: Bool?.self) { group in
      group.addTask { await self.wait(past: offset) }
      group.addTask {
        try? await Task.sleep(for: timeout)
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first ?? (end > offset)
    }
  }
}
