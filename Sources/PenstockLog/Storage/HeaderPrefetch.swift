/// What a walk over block headers asks the disk for in advance. Blocks separate the headers, so a cold walk otherwise
/// waits for the disk once per block. On the machine of docs/performance.md that is 0.13 ms each: for 1,500 blocks five
/// times as long as reading the whole segment.
///
/// The prefetched ranges grow with the distance walked: a segment with three blocks must not cost a read of 64 MiB.
struct HeaderPrefetch {
  static let first: UInt64 = 256 << 10
  static let largest: UInt64 = 8 << 20

  private var stretch: UInt64 = 0
  /// Everything below was prefetched.
  private var end: UInt64 = 0

  init() {}

  /// What to prefetch when the walk is at `position`; nil in most calls.
  mutating func next(at position: UInt64) -> Range<UInt64>? {
    guard stretch == 0 || position + stretch / 2 >= end else { return nil }
    stretch = stretch == 0 ? Self.first : min(stretch * 2, Self.largest)
    let start = max(end, position)
    end = start + stretch
    return start..<end
  }
}
