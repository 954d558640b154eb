/// The segments of a log at one moment, and how far they are readable. Immutable: the writer replaces it whole.
package struct SegmentSet: Sendable {
  package var segments: [Segment]
  /// One past the last readable record.
  package var end: Offset

  init(segments: [Segment] = [], end: Offset = .zero) {
    self.segments = segments
    self.end = end
  }

  package var first: Offset { segments.first?.name.baseOffset ?? .zero }

  /// Without the segments that retention has dropped.
  func trimmed(to start: SegmentName) -> SegmentSet {
    guard let oldest = segments.first?.name, oldest.sequence < start.sequence else { return self }
    return SegmentSet(segments: segments.filter { $0.name.sequence >= start.sequence }, end: end)
  }

  /// The index of the segment that holds `offset`: the last one that begins at or before it. O(log segments).
  package func index(holding offset: Offset) -> Int? {
    var (low, high) = (0, segments.count)
    while low < high {
      let middle = (low + high) / 2
      if segments[middle].name.baseOffset <= offset { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : low - 1
  }

  /// What is lost between the last block of a segment and the next segment.
  func gap(from offset: Offset, afterSegmentAt index: Int) throws(LogError) -> Gap {
    let end = end(ofSegmentAt: index)
    let isMissing =
      index + 1 < segments.count && segments[index + 1].name.sequence > segments[index].name.sequence + 1
    // Only zeros after the last block: the segment ended there, and what followed was in a missing file.
    guard isMissing, try segments[index].isWhole() else {
      return Gap(first: offset, end: end, reason: segments[index].reasonOfHole, path: segments[index].path)
    }
    return Gap(first: offset, end: end, reason: .missing)
  }

  /// Where the records of a segment end: the next one's beginning, or the readable end.
  package func end(ofSegmentAt index: Int) -> Offset {
    index + 1 < segments.count ? segments[index + 1].name.baseOffset : end
  }
}
