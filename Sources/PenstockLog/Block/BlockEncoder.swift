/// Where a block will stand: what its header says beside its records.
package struct BlockPlace: Hashable, Sendable {
  package var position: UInt64
  package var baseOffset: Offset
  package var segment: UInt64
  package var epoch: UInt32
  package var durableUpTo: UInt64
  package var appendTime: Timestamp
  package var chain: UInt64
  /// CRC-32C of the segment's salt.
  package var seed: UInt32

  package init(
    position: UInt64, baseOffset: Offset, segment: UInt64, epoch: UInt32, durableUpTo: UInt64, appendTime: Timestamp,
    chain: UInt64, seed: UInt32
  ) {
    self.position = position
    self.baseOffset = baseOffset
    self.segment = segment
    self.epoch = epoch
    self.durableUpTo = durableUpTo
    self.appendTime = appendTime
    self.chain = chain
    self.seed = seed
  }
}

/// Turns batches of records into one block. Keeps its buffers and its compression context; not for two threads at once.
///
/// Two steps, because where a block goes may depend on how long it is: ``compress(_:)``, then ``finish(at:)``.
package struct BlockEncoder {
  private let compressor: ZstdCompressor
  /// Batches joined, where there are several.
  private var joined: [UInt8] = []
  /// The block under construction; the zstd frame begins at `frameStart`, what stands in front ends there.
  private var buffer: [UInt8] = []
  private var frameStart = 0
  private var trailer: [UInt8] = []
  /// The producers of the block under construction, when there are any.
  package private(set) var producers: ProducerTrailer?
  private var header = BlockHeader()

  package init(level: Int) throws(LogError) { compressor = try ZstdCompressor(level: level) }

  /// Compresses the records of `batches`, in order; returns the whole block's length in bytes.
  package mutating func compress(_ batches: some Collection<RecordBatch>) throws(LogError) -> Int {
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
    buildTrailer(batches)
    header.trailerLength = trailer.count

    // The frame's length decides the padding in front of it, so the frame goes where the longest front would end.
    frameStart = BlockFormat.headerSize + trailer.count + BlockFormat.alignment
    let needed = frameStart + Zstd.compressBound(header.rawLength)
    if buffer.count < needed { buffer = [UInt8](repeating: 0, count: needed) }
    if batches.count == 1, let only = batches.first {
      header.storedLength = try compressPayload(only.payload)
    } else {
      joined.removeAll(keepingCapacity: true)
      for batch in batches { joined.append(contentsOf: batch.payload) }
      header.storedLength = try compressPayload(joined)
    }
    let front = BlockFormat.headerSize + trailer.count
    header.paddingLength = BlockFormat.alignedUp(front + header.storedLength) - front - header.storedLength
    return header.totalLength
  }

  private mutating func compressPayload(_ payload: [UInt8]) throws(LogError) -> Int {
    var failure: LogError?
    let start = frameStart
    let compressor = compressor
    let count = payload.withUnsafeBytes { source in
      buffer.withUnsafeMutableBytes { target in
        do throws(LogError) {
          return try compressor.compress(source, into: UnsafeMutableRawBufferPointer(rebasing: target[start...]))
        } catch {
          failure = error
          return 0
        }
      }
    }
    if let failure { throw failure }
    return count
  }

  private mutating func buildTrailer(_ batches: some Collection<RecordBatch>) {
    trailer.removeAll(keepingCapacity: true)
    producers = ProducerTrailer(batches)
    if let content = producers?.encoded() {
      trailer.append(littleEndian: ProducerTrailer.section)
      trailer.append(littleEndian: UInt16(0))
      trailer.append(littleEndian: UInt32(content.count))
      trailer.append(contentsOf: content)
    }
    guard batches.contains(where: \.containsLineFeed) else { return }
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

  /// Completes the block that was compressed for its place, and hands its bytes to `body`.
  package mutating func finish<Result, Failure: Error>(
    at place: BlockPlace, _ body: (BlockHeader, UnsafeRawBufferPointer) throws(Failure) -> Result
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
    var failure: Failure?
    var result: Result?
    buffer.withUnsafeMutableBytes { buffer in
      let block = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<(start + header.totalLength)])
      trailer.withUnsafeBytes { block[BlockFormat.headerSize..<front].copyBytes(from: $0) }
      block[front..<header.frontLength].initializeMemory(as: UInt8.self, repeating: 0)
      header.trailerChecksum = Checksum.of(
        UnsafeRawBufferPointer(rebasing: block[BlockFormat.headerSize..<header.frontLength]), seed: place.seed)
      header.payloadChecksum = Checksum.of(
        UnsafeRawBufferPointer(rebasing: block[header.frontLength...]), seed: place.seed)
      header.encode(into: block, seed: place.seed)
      do throws(Failure) {
        result = try body(header, UnsafeRawBufferPointer(block))
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    guard let result else { preconditionFailure("the closure neither returned nor threw") }
    return result
  }
}

extension [UInt8] {
  package mutating func append(littleEndian value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
