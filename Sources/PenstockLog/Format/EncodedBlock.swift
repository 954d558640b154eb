/// A block under construction: compressed, and then completed for its address. Its buffer is reused.
///
/// `@unchecked Sendable`: it has one owner at a time, the encoder that fills it or the committer that writes it. It
/// passes between them inside the committer's lock.
package final class EncodedBlock: @unchecked Sendable {
  /// The block. The zstd frame begins at `frameStart`, where the bytes before it end. It is not an array, because an
  /// array is filled when it is made: memory that no block has needed takes no pages.
  private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var frameStart = 0
  private var trailer: [UInt8] = []
  /// Where the trailer has the payload's checksum.
  private var checksumPlace: Int?
  private var header = BlockHeader()
  /// The producers of these records, where they have any.
  private(set) var producers: ProducerTrailer?

  package init() {}
  deinit { buffer.deallocate() }

  /// The whole block's length in bytes.
  var length: Int { header.totalLength }
  var recordCount: Int { header.recordCount }
  /// The length of its records and their line feeds, in bytes.
  var rawLength: Int { header.rawLength }
  /// The bytes that it keeps for its next use.
  var capacity: Int { buffer.count }

  /// Reserves memory for a block of these batches; returns where its zstd frame begins.
  func begin(_ batches: some Collection<RecordBatch>) -> Int {
    header = BlockHeader()
    header.recordCount = batches.reduce(0) { $0 + $1.count }
    header.rawLength = batches.reduce(0) { $0 + $1.payload.count }
    precondition(header.recordCount > 0, "a block has at least one record")
    for times in batches.lazy.compactMap(\.eventTimes) {
      header.eventTimes =
        header.eventTimes.map {
          min($0.lowerBound, times.lowerBound)...max($0.upperBound, times.upperBound)
        } ?? times
    }
    if batches.allSatisfy(\.knowsEventTimes) { header.flags |= BlockFormat.eventTimesKnownFlag }
    buildTrailer(batches)
    header.trailerLength = trailer.count
    // The frame's length decides the padding before it, so the frame goes where the longest front would end.
    frameStart = BlockFormat.headerSize + trailer.count + BlockFormat.alignment
    let needed = frameStart + Zstd.compressBound(header.rawLength)
    if buffer.count < needed {
      buffer.deallocate()
      buffer = .allocate(byteCount: needed, alignment: 64)
    }
    return frameStart
  }

  func withFrame(at start: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    body(UnsafeMutableRawBufferPointer(rebasing: buffer[start...]))
  }

  /// - Parameter contentChecksum: Of the payload.
  func end(storedLength: Int, contentChecksum: UInt32) {
    header.storedLength = storedLength
    if let place = checksumPlace { trailer.withUnsafeMutableBytes { $0.put(contentChecksum, at: place) } }
    let front = BlockFormat.headerSize + trailer.count
    header.paddingLength = BlockFormat.alignedUp(front + storedLength) - front - storedLength
  }

  private func buildTrailer(_ batches: some Collection<RecordBatch>) {
    trailer.removeAll(keepingCapacity: true)
    producers = ProducerTrailer(batches)
    if let content = producers?.encoded() {
      trailer.append(littleEndian: ProducerTrailer.section)
      trailer.append(littleEndian: UInt16(0))
      trailer.append(littleEndian: UInt32(content.count))
      trailer.append(contentsOf: content)
    }
    checksumPlace = nil
    guard batches.contains(where: \.containsLineFeed) else { return reserveChecksum() }
    header.flags |= BlockFormat.lengthsFlag
    trailer.append(littleEndian: BlockFormat.lengthsSection)
    trailer.append(littleEndian: UInt16(0))
    trailer.append(littleEndian: UInt32(header.recordCount * 4))
    for batch in batches {
      var start: UInt32 = 0
      for end in batch.ends {
        trailer.append(littleEndian: end - start)
        start = end + 1
      }
    }
  }

  /// Lines are records, so the frame can stand for them.
  private func reserveChecksum() {
    trailer.append(littleEndian: BlockFormat.contentChecksumSection)
    trailer.append(littleEndian: UInt16(0))
    trailer.append(littleEndian: UInt32(4))
    checksumPlace = trailer.count
    trailer.append(littleEndian: UInt32(0))
  }

  /// Completes the compressed block for its address, and passes its bytes to `body`.
  func finish<Result, Failure: Error>(
    at place: BlockAddress, _ body: (BlockHeader, UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    header.position = place.position
    header.baseOffset = place.baseOffset
    header.segment = place.segment
    header.epoch = place.epoch
    header.durableUpTo = place.durableUpTo
    header.appendTime = place.appendTime
    header.chain = place.chain

    let start = frameStart - header.frontLength
    let front = BlockFormat.headerSize + trailer.count
    let block = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<(start + header.totalLength)])
    trailer.withUnsafeBytes { block[BlockFormat.headerSize..<front].copyBytes(from: $0) }
    block[front..<header.frontLength].initializeMemory(as: UInt8.self, repeating: 0)
    header.trailerChecksum = Checksum.of(
      UnsafeRawBufferPointer(rebasing: block[BlockFormat.headerSize..<header.frontLength]), seed: place.seed)
    header.payloadChecksum = Checksum.of(
      UnsafeRawBufferPointer(rebasing: block[header.frontLength...]), seed: place.seed)
    header.encode(into: block, seed: place.seed)
    return try body(header, UnsafeRawBufferPointer(block))
  }
}
