/// What the first reads of a segment may need. The caller asks for all of it at once, so that the disk reads it
/// together and not one part after the other.
///
/// The parts are the header, the index, and, where one record is wanted, the probable position of its block. All are
/// hints: a wrong one costs a read of 128 KiB.
struct ColdReadPlan: Hashable {
  /// How far into the segment's records the wanted one is, 0 to 1; nil when the index is wanted.
  private let share: Double?

  /// For the index.
  init() { share = nil }

  /// For the record at `offset` in a segment whose records begin at `base` and end, finally, at `end`.
  init(at offset: Offset, in base: Offset, _ end: Offset) {
    guard base <= offset, offset < end else {
      share = nil
      return
    }
    share = Double(offset.rawValue - base.rawValue) / Double(end.rawValue - base.rawValue)
  }

  /// The probable position of a block, and the bytes to read around it.
  struct Neighbourhood: Hashable {
    var place: UInt64
    var range: Range<UInt64>
  }

  /// To each side of the position that a block would have if all blocks were alike. Blocks of one stream nearly are:
  /// the sum of their differences grows with the square root of their number.
  static let reach: UInt64 = 64 << 10

  static let header = 0..<UInt64(SegmentHeader.size)

  func expectReads(_ fileSystem: any FileSystem, _ file: OpenFileHandle) {
    // If the size cannot be read, the read that follows reports why.
    guard let size = try? fileSystem.size(file) else { return }
    for range in ranges(fileBytes: size) { fileSystem.prefetch(file, range) }
  }

  /// In the order in which they are needed. Empty for a file so small that the first read returns most of it.
  func ranges(fileBytes size: UInt64) -> [Range<UInt64>] {
    let guess = UInt64(SegmentFooter.guess)
    guard size > UInt64(SegmentHeader.size) + guess else { return [] }
    let nearby = neighbourhood(fileBytes: size).map { [$0.range] } ?? []
    return [Self.header] + nearby + [(size - guess)..<size]
  }

  /// Nil where the index is wanted, or where the read of the index covers the position.
  func neighbourhood(fileBytes size: UInt64) -> Neighbourhood? {
    let front = UInt64(SegmentHeader.size)
    let guess = UInt64(SegmentFooter.guess)
    guard let share, size > front + guess else { return nil }
    // The index's length is not known yet: it has 72 bytes for each block. That is a 620th of a segment whose records
    // compress to a twentieth, and a 1,860th where they compress to an eighth.
    let place = front + UInt64(Double(size - front - size / 1024) * share)
    let upper = max(front, min(place + Self.reach, size - guess))
    let lower = max(front, place - min(place, Self.reach))
    return lower < upper ? Neighbourhood(place: place, range: lower..<upper) : nil
  }
}
