/// Walks a segment's blocks from its bytes alone. Reads, never writes. Every method that reads blocks the calling
/// thread.
package struct SegmentScanner {
  let fileSystem: any FileSystem
  let file: OpenFileHandle
  let header: SegmentHeader
  let seed: UInt32

  package init(_ fileSystem: any FileSystem, _ file: OpenFileHandle, _ header: SegmentHeader) {
    self.fileSystem = fileSystem
    self.file = file
    self.header = header
    seed = header.seed
  }

  /// Reads the header; one intact copy of the two is enough. Throws `.io` where the other might be intact but is
  /// unreadable.
  package static func readHeader(
    _ fileSystem: any FileSystem, _ file: OpenFileHandle, path: String
  ) throws(LogError) -> SegmentHeader {
    let pages: HeaderCopies
    do throws(FileSystemError) {
      pages = try HeaderCopies(of: file, fileSystem)
    } catch {
      throw LogError(error, while: "read the segment's header")
    }
    var flaw: SegmentHeader.Flaw?
    let header: SegmentHeader? = pages.bytes.withUnsafeBytes { bytes in
      do throws(SegmentHeader.Flaw) { return try SegmentHeader(decoding: bytes) } catch {
        flaw = error
        return nil
      }
    }
    if let header { return header }
    if case .future(let what) = flaw {
      throw LogError(
        .futureFormat, "the segment was written by a later version (\(what)); use a newer penstock",
        location: .init(path: path))
    }
    if let failure = pages.failure { throw LogError(failure, while: "read the segment's header") }
    throw LogError(
      .damaged, "neither copy of the segment's header is intact", location: .init(path: path, position: 0))
  }

  /// The state of a walk: what the next block must match.
  package struct ScanPosition: Hashable, Sendable {
    package var position: UInt64
    package var offset: Offset
    var epoch: UInt32
    var appendTime: Timestamp
    /// The digest that the next block must carry; nil after a gap, where any digest is accepted.
    package var chain: UInt64?

    /// Before the segment's first block, which continues the chain from the segment's header.
    package init(startOf header: SegmentHeader) {
      position = UInt64(SegmentHeader.size)
      offset = header.baseOffset
      epoch = header.epoch
      appendTime = header.begunAt
      chain = header.chain
    }

    /// After a block, whose header's bytes are `bytes`.
    init(after header: BlockHeader, bytes: UnsafeRawBufferPointer) {
      position = header.endPosition
      offset = header.endOffset
      epoch = header.epoch
      appendTime = header.appendTime
      chain = Chain.link(UnsafeRawBufferPointer(rebasing: bytes[..<BlockFormat.headerSize]))
    }
  }

  /// The result of a look at one position.
  package enum Result: Sendable {
    /// A block that fits, and the position after it.
    case block(BlockHeader, next: ScanPosition)
    /// Zeros, or the file's end, where a header would begin.
    case absent
    case flawed(String)
    case future(UInt16)
  }

  /// Looks at the block at `cursor`. With `proving`, it reads the block's bytes and validates all checksums. Without,
  /// it validates the header's alone, which is enough to find the next block.
  package func look(at cursor: ScanPosition, proving: Bool) throws(FileSystemError) -> Result {
    let front = try fileSystem.readAll(file, count: BlockFormat.headerSize, at: cursor.position)
    guard front.count == BlockFormat.headerSize else {
      return front.withUnsafeBytes { Bytes.nonzeroEnd(of: $0) } == 0 ? .absent : .flawed("cut short")
    }
    let header: BlockHeader
    switch decode(front[...]) {
    case .success(let decoded): header = decoded
    case .failure(.absent): return .absent
    case .failure(.invalid(let reason)): return .flawed(reason)
    case .failure(.futureVersion(let version)): return .future(version)
    }
    if let misfit = misfit(header, at: cursor) { return .flawed(misfit) }
    if proving {
      let bytes = try fileSystem.readAll(file, count: header.totalLength, at: cursor.position)
      guard bytes.count == header.totalLength else { return .flawed("cut short") }
      if let flaw = prove(header, bytes) { return .flawed(flaw.reason) }
    }
    return .block(header, next: front.withUnsafeBytes { ScanPosition(after: header, bytes: $0) })
  }

  /// The distance between possible block positions: 4 KiB, or, in a sealed segment, one byte.
  package var stride: UInt64 { header.isSealed ? 1 : UInt64(BlockFormat.alignment) }

  /// The first block at or after `position` whose header is intact and belongs to this segment at this position, with
  /// an offset not below `offset`. Checks every possible position up to the file's end. O(bytes). For more than one
  /// search see ``BlockFinder``.
  package func findBlock(from position: UInt64, offset: Offset) throws(FileSystemError) -> BlockHeader? {
    var finder = BlockFinder(self)
    return try finder.next(from: position, offset: offset)
  }

  /// What intact headers prove, whether or not the blocks after them are intact.
  struct Evidence: Hashable, Sendable {
    /// Everything below was on stable storage.
    var durableUpTo: UInt64 = 0
    /// One past the last record that was ever written here.
    var endOffset = Offset.zero
    var futureVersion: UInt16?
  }

  /// Reads every possible block position at or after `position`. O(bytes).
  func evidence(from position: UInt64) throws(FileSystemError) -> Evidence {
    var evidence = Evidence()
    var place = BlockFormat.alignedUp(position)
    let end = try nonzeroEnd(from: place)
    while place < end {
      let front = try fileSystem.readAll(file, count: BlockFormat.headerSize, at: place)
      guard front.count == BlockFormat.headerSize else { break }
      switch decode(front[...]) {
      case .success(let header) where header.position == place && header.segment == self.header.sequence:
        evidence.durableUpTo = max(evidence.durableUpTo, header.durableUpTo)
        evidence.endOffset = max(evidence.endOffset, header.endOffset)
      case .failure(.futureVersion(let version)): evidence.futureVersion = evidence.futureVersion ?? version
      case .success, .failure: break
      }
      place += UInt64(BlockFormat.alignment)
    }
    return evidence
  }

  /// One past the last byte at or after `position` that is not zero; `position` when there is none. O(bytes).
  func nonzeroEnd(from position: UInt64) throws(FileSystemError) -> UInt64 {
    let window = 1 << 20
    var start = position
    var end = position
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: window, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let count = try fileSystem.readAll(file, into: buffer, at: start)
      let local = Bytes.nonzeroEnd(of: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      if local > 0 { end = start + UInt64(local) }
      if count < window { return end }
      start += UInt64(window)
    }
  }

  private func misfit(_ header: BlockHeader, at cursor: ScanPosition) -> String? {
    if header.position != cursor.position { return "a block of position \(header.position)" }
    if header.segment != self.header.sequence { return "a block of segment \(header.segment)" }
    if header.baseOffset != cursor.offset { return "a block of offset \(header.baseOffset), expected \(cursor.offset)" }
    if header.epoch < cursor.epoch { return "a block of the earlier epoch \(header.epoch)" }
    if header.appendTime < cursor.appendTime { return "an append time that falls" }
    if let chain = cursor.chain, header.chain != chain { return "a block that does not continue the chain" }
    return nil
  }

  func decode(_ front: ArraySlice<UInt8>) -> Swift.Result<BlockHeader, BlockHeader.Flaw> {
    front.withUnsafeBytes { bytes in
      do throws(BlockHeader.Flaw) {
        return .success(try BlockHeader(decoding: bytes, seed: seed))
      } catch {
        return .failure(error)
      }
    }
  }

  private func prove(_ header: BlockHeader, _ bytes: [UInt8]) -> BlockFlaw? {
    bytes.withUnsafeBytes { bytes in
      do throws(BlockFlaw) {
        try BlockDecoder.verify(header, bytes, seed: seed)
        return nil
      } catch {
        return error
      }
    }
  }
}
