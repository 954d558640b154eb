/// Searches a segment for blocks by their headers, one after the other. It keeps the bytes it has read for the next
/// search. So a walk over a segment with many flaws reads each byte once, and not a window for each flaw.
///
/// For a segment that no thread writes during the search.
struct BlockFinder {
  /// Bytes per read: 1 MiB.
  private static let window = 1 << 20

  private let scanner: SegmentScanner
  /// Where `bytes` begin.
  private var start: UInt64 = 0
  private var bytes: [UInt8] = []
  /// Whether the file ends with `bytes`.
  private var isLast = false

  init(_ scanner: SegmentScanner) { self.scanner = scanner }

  /// The first block at or after `position` whose header is intact and belongs to this segment at this position, with
  /// an offset not below `offset`. O(bytes) for all searches together, as long as positions rise.
  mutating func next(from position: UInt64, offset: Offset) throws(FileSystemError) -> BlockHeader? {
    var place = scanner.header.isSealed ? position : BlockFormat.alignedUp(position)
    while true {
      if place < start || place + UInt64(BlockFormat.headerSize) > start + UInt64(bytes.count) {
        // A header may lie across two windows: the next window begins where the header does.
        if isLast, place >= start { return nil }
        try read(from: place)
        guard bytes.count >= BlockFormat.headerSize else { return nil }
      }
      if let found = search(&place, offset) { return found }
    }
  }

  private mutating func read(from place: UInt64) throws(FileSystemError) {
    bytes = try scanner.fileSystem.readAll(scanner.file, count: Self.window, at: place)
    start = place
    isLast = bytes.count < Self.window
  }

  /// Checks every position in the window from `place` on. Leaves `place` at the first position outside the window.
  private func search(_ place: inout UInt64, _ offset: Offset) -> BlockHeader? {
    let stride = Int(scanner.stride)
    var local = Int(place - start)
    defer { place = start + UInt64(local) }
    while local + BlockFormat.headerSize <= bytes.count {
      defer { local += stride }
      guard bytes[local] == UInt8(truncatingIfNeeded: BlockFormat.skippableMagic),
        case .success(let found) = scanner.decode(bytes[local..<(local + BlockFormat.headerSize)]),
        found.position == start + UInt64(local), found.segment == scanner.header.sequence, found.baseOffset >= offset
      else { continue }
      return found
    }
    return nil
  }
}
