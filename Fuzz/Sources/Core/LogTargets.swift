import FuzzKit
@testable import PenstockDelivery
@testable import PenstockLog

// Checksums are put right before the decoder sees the bytes: a fuzzer does not find a CRC-32C, and what lies behind one
// would stay unseen. That the checksums themselves are compared is tested elsewhere (every bit of an image flipped).

private let logID = [UInt8](repeating: 7, count: 16)
private let seed: UInt32 = 0x1234_5678

extension FuzzTarget {
  static let log: [FuzzTarget] = [
    FuzzTarget(name: "block-header", body: blockHeader),
    FuzzTarget(name: "block", body: block),
    FuzzTarget(name: "trailer", body: trailer),
    FuzzTarget(name: "footer", body: footer),
    FuzzTarget(name: "segment-header", body: segmentHeader),
    FuzzTarget(name: "cursor", body: cursor),
    FuzzTarget(name: "meta", body: meta),
    FuzzTarget(name: "producers", body: producers),
    FuzzTarget(name: "replay", body: replay),
    FuzzTarget(name: "dead-letter", body: deadLetter),
  ]

  @Sendable private static func blockHeader(_ input: UnsafeRawBufferPointer) {
    guard input.count >= BlockFormat.headerSize else { return }
    var bytes = Array(input[..<BlockFormat.headerSize])
    bytes.put(BlockFormat.skippableMagic, at: 0)
    bytes.put(BlockFormat.magic, at: 8)
    bytes.put(Checksum.of(Array(bytes[..<108]), seed: seed), at: 108)
    bytes.withUnsafeMutableBytes { bytes in
      guard let header = try? BlockHeader(decoding: UnsafeRawBufferPointer(bytes), seed: seed) else { return }
      withUnsafeTemporaryAllocation(byteCount: BlockFormat.headerSize, alignment: 8) { again in
        header.encode(into: again, seed: seed)
        require((try? BlockHeader(decoding: UnsafeRawBufferPointer(again), seed: seed)) == header, "another header")
        // Where no event time is known the two fields may say so in several ways; everything else is written as it was.
        guard header.eventTimes != nil else { return }
        require(again.elementsEqual(bytes), "a header that is written otherwise than it was read")
      }
    }
  }

  private static let reader = BlockReader()

  /// A whole block. The input gives header, trailer and frame. Lengths that point outside and the checksums are put
  /// right.
  @Sendable private static func block(_ input: UnsafeRawBufferPointer) {
    guard input.count > BlockFormat.headerSize, input.count <= 64 << 10 else { return }
    var bytes = Array(input)
    bytes.put(BlockFormat.skippableMagic, at: 0)
    bytes.put(BlockFormat.magic, at: 8)
    bytes.put(BlockFormat.version, at: 12)
    let rest = bytes.count - BlockFormat.headerSize
    let trailerLength = Int(input.get(UInt32.self, at: 36)) % rest
    let padding = Int(input.get(UInt32.self, at: 4)) % (rest - trailerLength)
    let front = BlockFormat.headerSize + trailerLength + padding
    bytes.put(UInt32(front - BlockFormat.framePrefix), at: 4)
    bytes.put(UInt32(trailerLength), at: 36)
    bytes.put(UInt32(bytes.count - front), at: 40)
    bytes.put(input.get(UInt32.self, at: 44) % 65_536, at: 44)
    bytes.put(Checksum.of(Array(bytes[front...]), seed: seed), at: 60)
    bytes.put(Checksum.of(Array(bytes[BlockFormat.headerSize..<front]), seed: seed), at: 104)
    bytes.put(Checksum.of(Array(bytes[..<108]), seed: seed), at: 108)
    bytes.withUnsafeBytes { bytes in
      guard let header = try? BlockHeader(decoding: bytes, seed: seed) else { return }
      require(header.totalLength == bytes.count, "a block that is longer than it is")
      guard let block = try? BlockDecoder.decode(header, bytes, seed: seed, with: reader) else { return }
      require(block.count == header.recordCount && block.payload.count == header.rawLength, "another block")
      // An offset beyond all offsets is refused before a block is decoded.
      guard header.baseOffset.rawValue < UInt64(Int64.max) else { return }
      var total = 0
      var last = header.appendTime
      block.forEachRecord(in: 0..<block.count) { record in
        require(record.appendTime >= last, "append times that fall")
        last = record.appendTime
        total += record.bytes.count + 1
      }
      require(total == block.payload.count, "records that are not the payload")
    }
  }

  /// Sections of a block's trailer, and what the known kinds hold.
  @Sendable private static func trailer(_ input: UnsafeRawBufferPointer) {
    guard let sections = try? TrailerSections(parsing: input) else { return }
    let again = sections.encoded()
    require(again.withUnsafeBytes { try? TrailerSections(parsing: $0) } == sections, "other sections")
    let records = 1000
    if sections.canBeJoined(recordCount: records) {
      require(
        TrailerSections.joined([(sections, records), (sections, records)]) != nil,
        "sections that can be joined, and cannot")
    }
    if let bytes = sections[ProducerTrailer.section],
      let producers = try? ProducerTrailer(decoding: bytes, recordCount: records)
    {
      let again = try? ProducerTrailer(decoding: producers.encoded(), recordCount: records)
      require(again == producers, "other producers")
      require(producers.entries.allSatisfy { $0.firstSequence <= $0.lastSequence }, "sequences that fall")
    }
    if let bytes = sections[BlockFormat.appendTimesSection],
      let times = try? AppendTimes(Timestamp(nanoseconds: -5), decoding: bytes, count: records)
    {
      let again = try? AppendTimes(times.first, decoding: times.encoded(), count: records)
      require(again == times, "other append times")
      require(times.time(of: 0) <= times.time(of: records - 1), "append times that fall")
    }
  }

  private static let segment = SegmentHeader(
    logID: logID, sequence: 3, epoch: 5, baseOffset: Offset(1000), salt: logID, previousChain: 9,
    begunAt: Timestamp(nanoseconds: 1))

  @Sendable private static func footer(_ input: UnsafeRawBufferPointer) {
    guard input.count >= 44 else { return }
    var bytes = Array(input)
    bytes.put(SegmentFooter.skippableMagic, at: 0)
    bytes.put(SegmentFooter.magic, at: 8)
    bytes.put(SegmentFooter.version, at: 12)
    bytes.put(segment.sequence, at: 24)
    // As many blocks as there is room for, or fewer.
    let blocks = Int(input.get(UInt64.self, at: 32) % UInt64((bytes.count - 44) / 56 + 1))
    let length = 44 + blocks * 56
    bytes.put(UInt32(length - 8), at: 4)
    bytes.put(UInt64(blocks), at: 32)
    bytes.put(Checksum.of(Array(bytes[..<(length - 4)]), seed: segment.seed), at: length - 4)
    bytes.withUnsafeBytes { bytes in
      _ = SegmentFooter.length(fromEnd: bytes)
      let position = bytes.get(UInt64.self, at: 16)
      guard let index = SegmentFooter.decode(bytes, at: position, segment) else { return }
      require(index.blocks.count == blocks, "another number of blocks")
      let again = SegmentFooter.encoded(index.blocks, at: position, segment)
      require(
        again.withUnsafeBytes { SegmentFooter.decode($0, at: position, segment) }?.blocks.count == blocks,
        "an index that is not read again")
      require(again.withUnsafeBytes { SegmentFooter.length(fromEnd: $0) } == again.count, "another length")
    }
  }

  @Sendable private static func segmentHeader(_ input: UnsafeRawBufferPointer) {
    guard input.count >= 184 else { return }
    var bytes = [UInt8](repeating: 0, count: SegmentHeader.pageSize)
    for (index, byte) in input[..<184].enumerated() { bytes[index] = byte }
    bytes.put(SegmentHeader.skippableMagic, at: 0)
    bytes.put(SegmentHeader.magic, at: 8)
    bytes.put(Checksum.of(Array(bytes[..<4092])), at: 4092)
    bytes.withUnsafeBytes { bytes in
      guard let header = try? SegmentHeader(decoding: bytes) else { return }
      let again = header.encoded()
      require(again.withUnsafeBytes { try? SegmentHeader(decoding: $0) } == header, "another segment header")
      require(SegmentName(header.name.text) == header.name || header.sequence > 9_999_999_999, "another name")
    }
  }

  @Sendable private static func cursor(_ input: UnsafeRawBufferPointer) {
    guard let record = try? CursorRecord(decoding: Array(input)) else { return }
    require((try? CursorRecord(decoding: record.encoded())) == record, "another cursor")
    require(record.state.committed <= record.state.nextFirst, "a cursor that is behind itself")
    let names = record.state.inFlight.map(\.intent)
    require(zip(names, names.dropFirst()).allSatisfy { $0.end <= $1.first }, "intents out of order")
  }

  @Sendable private static func meta(_ input: UnsafeRawBufferPointer) {
    if let meta = try? LogMeta(decoding: Array(input)) {
      require((try? LogMeta(decoding: meta.encoded())) == meta, "another META")
    }
    guard input.count >= CommitPoint.size else { return }
    var bytes = Array(input[..<CommitPoint.size])
    bytes.put(UInt32(0x4342_4E50), at: 0)
    bytes.put(Checksum.of(Array(bytes[..<60]), seed: Checksum.of(logID)), at: 60)
    guard let commitPoint = CommitPoint(decoding: bytes, logID: logID) else { return }
    require(commitPoint.encoded(logID: logID) == bytes, "another commit point")
  }

  @Sendable private static func producers(_ input: UnsafeRawBufferPointer) {
    guard input.count >= 12 else { return }
    var bytes = Array(input)
    bytes.put(UInt32(0x5250_4E50), at: 0)
    bytes.put(Checksum.of(Array(bytes.dropLast(4))), at: bytes.count - 4)
    guard let snapshot = try? ProducerSnapshot(decoding: bytes) else { return }
    require((try? ProducerSnapshot(decoding: snapshot.encoded())) == snapshot, "another snapshot")
    _ = snapshot.table(capacity: 100)
  }

  @Sendable private static func replay(_ input: UnsafeRawBufferPointer) {
    guard input.count >= 18 else { return }
    var bytes = Array(input)
    for index in 0..<16 { bytes[2 + index] = logID[index] }
    guard let replay = try? ReplayManifest(decoding: bytes, logID: logID) else { return }
    // A text that was not UTF-8 has become longer, and then does not fit where it stood.
    guard replay.id.utf8.count <= 40, replay.destination.utf8.count <= 1024 else { return }
    require((try? ReplayManifest(decoding: replay.encoded(logID: logID), logID: logID)) == replay, "another replay")
  }

  @Sendable private static func deadLetter(_ input: UnsafeRawBufferPointer) {
    guard let letter = try? DeadLetter(decoding: Array(input)) else { return }
    require(input.count >= letter.record.count, "a record that is longer than its letter")
    require((try? DeadLetter(decoding: letter.encoded())) == letter, "another dead letter")
  }
}
