/// What a walk over block headers asks the disk for before it gets there. Headers lie apart by the blocks between them, so a cold
/// walk otherwise waits for the disk once per block: on the machine of docs/performance.md 0.13 ms each, for 1,500 blocks five
/// times as long as the disk takes for the whole segment.
///
/// The stretches grow with the way walked: a segment with three blocks must not cost the reading of 64 MiB.
package struct HeaderPrefetch {
  package static let first: UInt64 = 256 << 10
  package static let largest: UInt64 = 8 << 20

  private var stretch: UInt64 = 0
  /// Everything below was asked for.
  private var end: UInt64 = 0

  package init() {}

  /// What to ask for, now that the walk stands at `position`; mostly nothing.
  package mutating func next(at position: UInt64) -> Range<UInt64>? {
    guard stretch == 0 || position + stretch / 2 >= end else { return nil }
    stretch = stretch == 0 ? Self.first : min(stretch * 2, Self.largest)
    let start = max(end, position)
    end = start + stretch
    return start..<end
  }
}
