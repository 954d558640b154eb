/// What a first look into a segment may read, asked for at once, so that the disk finds all of it together instead of one after
/// the other: the header, where one record is wanted the place where its block probably lies, and the index. Hints: a wrong one
/// costs a read of 128 KiB.
struct ColdReadPlan: Hashable {
  /// How far into the segment's records the wanted one is, 0 to 1; nil when the index is wanted.
  private let share: Double?

  /// For the index.
  init() { share = nil }

  /// For the record at `offset` in a segment whose records begin at `base` and end, for good, at `end`.
  init(at offset: Offset, in base: Offset, _ end: Offset) {
    guard base <= offset, offset < end else {
      share = nil
      return
    }
    share = Double(offset.rawValue - base.rawValue) / Double(end.rawValue - base.rawValue)
  }

  /// Where a block probably lies: the guess, and what is read around it.
  struct Neighbourhood: Hashable {
    var place: UInt64
    var range: Range<UInt64>
  }

  /// To each side of where a block would lie if all were alike. Blocks of one stream are nearly: the sum of their differences
  /// grows with the root of their number.
  static let reach: UInt64 = 64 << 10

  static let header = 0..<UInt64(SegmentHeader.size)

  func expectReads(_ fileSystem: any FileSystem, _ file: OpenFileHandle) {
    // Where the size cannot be had, reading says why.
    guard let size = try? fileSystem.size(file) else { return }
    for range in ranges(fileBytes: size) { fileSystem.prefetch(file, range) }
  }

  /// In the order in which they will be needed. None in a file so small that the first read brings most of it.
  func ranges(fileBytes size: UInt64) -> [Range<UInt64>] {
    let guess = UInt64(SegmentFooter.guess)
    guard size > UInt64(SegmentHeader.size) + guess else { return [] }
    let nearby = neighbourhood(fileBytes: size).map { [$0.range] } ?? []
    return [Self.header] + nearby + [(size - guess)..<size]
  }

  /// Nil where the index is wanted, or would be read with the place anyway.
  func neighbourhood(fileBytes size: UInt64) -> Neighbourhood? {
    let front = UInt64(SegmentHeader.size)
    let guess = UInt64(SegmentFooter.guess)
    guard let share, size > front + guess else { return nil }
    // How long the index is, nobody knows yet: 72 bytes for each block, that is a 620th of a segment whose records compress to a
    // twentieth, a 1,860th where they compress to an eighth.
    let place = front + UInt64(Double(size - front - size / 1024) * share)
    let upper = max(front, min(place + Self.reach, size - guess))
    let lower = max(front, place - min(place, Self.reach))
    return lower < upper ? Neighbourhood(place: place, range: lower..<upper) : nil
  }
}
