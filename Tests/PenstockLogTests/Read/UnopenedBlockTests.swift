@testable import PenstockLog
import PenstockTestKit
import Testing

/// Blocks that are taken as they are stored, for a reader that copies their frames.
@Suite struct UnopenedBlockTests {
  /// Blocks of about 100 KiB. Some have a line feed in a record, and some are small.
  private static func log(sealed: Bool = false) throws -> (log: TestLog, writer: LogWriter, records: [[UInt8]]) {
    var log = TestLog(seed: 4)
    log.configuration.segmentBytes = 512 << 10
    if sealed { log.configuration.sealing = .settings(SealingSettings()) }
    let writer = try log.openWriter()
    var random = SplitMix64(seed: 4)
    var records: [[UInt8]] = []
    for number in 0..<30 {
      var batch = RecordBatch()
      for _ in 0..<(number % 7 == 2 ? 20 : 100) {
        let text = (0..<(900 + random.below(200))).map { _ in 65 + UInt8(random.below(16)) }
        var record = Array("\(records.count) ".utf8) + text
        if number % 9 == 4 { record[7] = 10 }
        batch.append(record)
        records.append(record)
      }
      log.clock.advance(nanoseconds: 1_000)
      _ = try writer.write([batch])
      try writer.synchronize()
      try writer.publish()
    }
    if sealed { try writer.sealAll() }
    return (log, writer, records)
  }

  private static func rows(_ records: ArraySlice<[UInt8]>) -> [UInt8] { records.flatMap { $0 + [10] } }

  @Test(arguments: [false, true])
  func `a batch of them is in everything what it is opened, and only its edges are decoded`(sealed: Bool) throws {
    let (_, writer, records) = try Self.log(sealed: sealed)
    let view = writer.view
    let end = Int(view.end.rawValue)
    var unopened = 0
    for (first, last) in [(0, end), (1, end), (37, end - 1), (99, 1_500), (100, 200), (100, 199), (700, 701)] {
      let range = Offset(UInt64(first))..<Offset(UInt64(last))
      let (batch, other) = (try view.batch(in: range, unopened: true), try view.batch(in: range))
      #expect(batch.first == other.first && batch.end == other.end && batch.count == other.count)
      #expect(batch.byteCount == other.byteCount && batch.firstAppendTime == other.firstAppendTime)
      #expect(!other.hasUnopenedBlocks && recordBytes(batch) == Array(records[first..<last]))
      for (slice, opened) in zip(batch.slices, other.slices) {
        let part = records[Int(slice.first.rawValue)..<Int(slice.end.rawValue)]
        #expect(slice.first == opened.first && slice.firstAppendTime == opened.firstAppendTime)
        #expect(slice.payloadCount == opened.payloadCount && slice.byteCount == opened.byteCount)
        let isWhole = slice.indices.count == opened.block.count
        let isWanted = isWhole && slice.payloadCount >= PackedBlock.leastUnopened && !part.contains { $0.contains(10) }
        #expect(slice.isUnopened == isWanted, "\(slice.first) ..< \(slice.end)")
        guard slice.isUnopened else { continue }
        unopened += 1
        #expect(slice.contentChecksum == Checksum.of(Self.rows(part)))
        let isSame = slice.payload.bytes == Self.rows(part)
        #expect(isSame && slice.frame != nil)
      }
    }
    #expect(unopened > 10)
  }

  @Test func `limits end a batch at the same record, opened or not`() throws {
    let (_, writer, records) = try Self.log()
    for first in [0, 1, 99, 100, 640] {
      for (most, bytes) in [(Int.max, 250_000), (Int.max, 1), (150, .max), (100, .max), (99, .max), (.max, .max)] {
        func batch(_ unopened: Bool) throws -> Batch {
          try #require(
            try writer.view.batch(
              from: Offset(UInt64(first)), maxRecords: most, maxBytes: bytes, unopened: unopened))
        }
        let (one, other) = (try batch(true), try batch(false))
        #expect(one.end == other.end && one.byteCount == other.byteCount, "from \(first), \(most), \(bytes)")
        #expect(recordBytes(one) == Array(records[first..<first + one.count]))
      }
    }
  }

  @Test func `a task gets the same, also where another reader has decoded the blocks`() async throws {
    let (_, writer, records) = try Self.log()
    let view = writer.view
    for _ in 0..<2 {
      let batch = try #require(
        try await view.fetchBatch(from: .zero, maxRecords: .max, maxBytes: .max, unopened: true))
      #expect(batch.hasUnopenedBlocks && recordBytes(batch) == records)
      let again = try await view.fetchBatch(in: Offset(1)..<Offset(900), unopened: true)
      #expect(again.hasUnopenedBlocks && recordBytes(again) == Array(records[1..<900]))
      // Now the cache has them, without frames.
      _ = try view.batch(in: .zero..<view.end)
    }
  }

  @Test func `nobody gets them who did not ask`() throws {
    let (_, writer, _) = try Self.log()
    #expect(try !writer.view.batch(in: .zero..<writer.view.end).hasUnopenedBlocks)
  }

  @Test func `a block whose stored bytes or trailer changed is a gap, as for every reader`() throws {
    for place in [BlockFormat.headerSize + 9, 1_000, 50_000] {
      let (log, writer, _) = try Self.log()
      let (segment, entry) = try #require(try Self.place(of: Offset(0), writer.view))
      var bytes = try #require(log.disk.contents(segment.path))
      let position = Int(entry.position) + place
      #expect(place < entry.length)
      bytes[position] ^= 4
      log.disk.install(segment.path, bytes)
      let error = #expect(throws: LogError.self) {
        try writer.view.batch(from: .zero, maxRecords: .max, maxBytes: .max, unopened: true)
      }
      #expect(error?.gap?.first == .zero, "\(place)")
    }
  }

  private static func place(of offset: Offset, _ view: LogView) throws -> (Segment, BlockEntry)? {
    if case .block(let segment, let entry) = try view.locate(offset) { (segment, entry) } else { nil }
  }

  @Test func `a block of an earlier version, without the checksum of its records, is decoded`() throws {
    var batch = RecordBatch()
    for number in 0..<100 { batch.append([UInt8](repeating: UInt8(number), count: 1_000).map { $0 == 10 ? 11 : $0 }) }
    let (header, bytes) = try Blocks.encode([batch])
    let readers = BlockReaders()
    func unopened(_ header: BlockHeader, _ bytes: [UInt8]) throws -> PackedBlock? {
      try bytes.withUnsafeBytes {
        try BlockDecoder.unopened(header, $0, seed: Blocks.seed, unpackedBy: readers)
      }
    }
    let block = try #require(try unopened(header, bytes))
    #expect(block.isUnopened && block.count == 100 && block.payloadCount == header.rawLength)
    // A block whose lines are not its records, whatever else its trailer says.
    var ofLengths = header
    ofLengths.flags |= BlockFormat.lengthsFlag
    #expect(try unopened(ofLengths, bytes) == nil)
    // Another kind in its place: that is a block without it, with one that nobody knows.
    var old = bytes
    var changed = header
    old.withUnsafeMutableBytes { bytes in
      bytes.put(UInt16(0x7F04), at: BlockFormat.headerSize)
      changed.trailerChecksum = Checksum.of(
        UnsafeRawBufferPointer(rebasing: bytes[BlockFormat.headerSize..<header.frontLength]), seed: Blocks.seed)
      changed.encode(into: bytes, seed: Blocks.seed)
    }
    #expect(try unopened(changed, old) == nil)
    let count = try Blocks.read(old).records.count
    #expect(count == 100)
  }
}
