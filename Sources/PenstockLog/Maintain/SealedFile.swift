/// Writes a sealed segment's file, block by block; header and footer come last. Every method blocks the calling thread.
///
/// The file has a temporary name and no reader. Until ``finish(_:)`` returns it has no value, and a crash leaves a file
/// to remove.
struct SealedFile {
  let path: String
  private let file: OpenFile
  private let compressor: ZstdCompressor
  /// The header without its seal.
  private let plain: SegmentHeader
  private var cursor: SegmentScanner.ScanPosition
  private(set) var blocks: [BlockHeader] = []
  private var unsynced = 0
  /// Buffers for joining a group's records and for building its block; reused for every group.
  private var joined: [UInt8] = []
  private var buffer: [UInt8] = []
  /// The bytes between two syncs: a whole segment of dirty pages would delay the commits of the log.
  private static let syncBytes = 4 << 20

  private var fileSystem: any FileSystem { file.fileSystem }

  init(
    _ fileSystem: any FileSystem, _ path: String, of original: SegmentHeader, salt: [UInt8], level: Int
  ) throws(LogError) {
    self.path = path
    compressor = try ZstdCompressor(level: level)
    plain = original.sealed(SegmentSeal(), salt: salt)
    cursor = SegmentScanner.ScanPosition(startOf: plain)
    do throws(FileSystemError) {
      try fileSystem.removeIfPresent(path)
      file = OpenFile(fileSystem, try fileSystem.open(path, .create))
    } catch {
      throw LogError(error, while: "create a sealed segment")
    }
  }

  /// Writes a group as one block.
  mutating func write(_ group: SealGroup) throws(LogError) {
    let appendTimes = group.appendTimes
    let trailer = group.sections.encoded()
    var header = BlockHeader()
    header.flags =
      (group.containsLineFeed ? BlockFormat.lengthsFlag : 0)
      | (appendTimes.steps.isEmpty ? 0 : BlockFormat.appendTimesFlag)
      | (group.knowsEventTimes ? BlockFormat.eventTimesKnownFlag : 0)
    header.position = cursor.position
    header.baseOffset = group.baseOffset
    header.recordCount = group.recordCount
    header.trailerLength = trailer.count
    header.rawLength = group.rawBytes
    header.segment = plain.sequence
    header.epoch = group.blocks[group.blocks.count - 1].header.epoch
    header.appendTime = appendTimes.first
    header.eventTimes = group.eventTimes
    header.chain = cursor.chain ?? 0
    var joined: [UInt8] = []
    swap(&joined, &self.joined)
    defer { self.joined = joined }
    try group.withPayload(joinedIn: &joined) { (payload) throws(LogError) in try encode(&header, trailer, payload) }
    try write(buffer[..<header.totalLength], at: header.position)
    cursor = buffer.withUnsafeBytes { SegmentScanner.ScanPosition(after: header, bytes: $0) }
    blocks.append(header)
  }

  /// Builds the block in ``buffer``.
  private mutating func encode(
    _ header: inout BlockHeader, _ trailer: [UInt8], _ payload: UnsafeRawBufferPointer
  ) throws(LogError) {
    let front = BlockFormat.headerSize + trailer.count
    let needed = front + Zstd.compressBound(payload.count)
    if buffer.count < needed { buffer = [UInt8](repeating: 0, count: needed) }
    let (seed, compressor) = (plain.seed, compressor)
    try buffer.withUnsafeMutableBufferPointer { (buffer) throws(LogError) in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      let target = UnsafeMutableRawBufferPointer(rebasing: bytes[front...])
      header.storedLength = try compressor.compress(payload, into: target)
      trailer.withUnsafeBytes { bytes[BlockFormat.headerSize..<front].copyBytes(from: $0) }
      header.trailerChecksum = Checksum.of(trailer, seed: seed)
      header.payloadChecksum = Checksum.of(
        UnsafeRawBufferPointer(rebasing: bytes[front..<header.totalLength]), seed: seed)
      header.encode(into: bytes, seed: seed)
    }
  }

  private mutating func write(_ bytes: ArraySlice<UInt8>, at position: UInt64) throws(LogError) {
    do throws(FileSystemError) {
      try bytes.withUnsafeBufferPointer { (bytes) throws(FileSystemError) in
        try fileSystem.writeAll(file.handle, UnsafeRawBufferPointer(bytes), at: position)
      }
      unsynced += bytes.count
      if unsynced >= Self.syncBytes {
        try fileSystem.synchronize(file.handle)
        unsynced = 0
      }
    } catch {
      throw LogError(error, while: "write a sealed segment")
    }
  }

  /// Adds footer, seek table and header. The proof of the file syncs it; see ``SegmentSealer``.
  mutating func finish(_ seal: SegmentSeal) throws(LogError) -> SegmentHeader {
    var seal = seal
    let footer = SegmentFooter.encoded(blocks.map(BlockEntry.init), at: cursor.position, plain)
    seal.endOffset = cursor.offset
    seal.footerPosition = cursor.position
    seal.fileLength = cursor.position + UInt64(footer.count)
    let header = plain.sealed(seal, salt: plain.salt)
    for (bytes, position) in [(footer, cursor.position), (header.encoded(), 0)] {
      try write(bytes[...], at: position)
    }
    return header
  }
}
