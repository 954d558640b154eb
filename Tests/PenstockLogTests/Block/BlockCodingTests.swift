@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct BlockCodingTests {
  private static func shapes() -> [(name: String, batches: [[[UInt8]]])] {
    var random = SplitMix64(seed: 21)
    let noise = (0..<4).map { _ in random.bytes(5_000) }
    return [
      ("one record of no bytes", [[[]]]),
      ("many of no bytes", [Array(repeating: [], count: 300)]),
      ("one line feed", [[[10]]]),
      ("line feeds only in the second batch", [[Array("a".utf8), []], [[10, 10], []], [Array("z".utf8)]]),
      ("zeros", [[[UInt8](repeating: 0, count: 10_000)]]),
      ("does not compress", [noise]),
      ("one byte", [[[0xFF]]]),
      ("a hundred batches", (0..<100).map { [record($0), record($0 + 1)] }),
      ("big", [[Array(String(repeating: "0123456789abcdef", count: 200_000).utf8)]]),
    ]
  }

  /// Found by the fuzzer: recovery, which looks at headers before it knows whether they belong there, trapped.
  @Test func `an intact header of a block beyond the last offset or the last position is refused`() throws {
    var header = try Blocks.encode([batch([record(0), record(1)])]).header
    func decoded() throws -> BlockHeader {
      try withUnsafeTemporaryAllocation(byteCount: BlockFormat.headerSize, alignment: 8) { bytes in
        header.encode(into: bytes, seed: Blocks.seed)
        return try BlockHeader(decoding: UnsafeRawBufferPointer(bytes), seed: Blocks.seed)
      }
    }
    header.baseOffset = Offset(.max - 2)
    #expect(try decoded() == header)
    header.baseOffset = Offset(.max - 1)
    #expect(throws: BlockHeader.Flaw.self) { try decoded() }
    header.baseOffset = .zero
    header.position = .max - UInt64(header.totalLength)
    #expect(try decoded() == header)
    header.position += 1
    #expect(throws: BlockHeader.Flaw.self) { try decoded() }
  }

  @Test func `records come back as they went in, whatever they hold`() throws {
    for (name, batches) in Self.shapes() {
      for level in [-7, 1, 9] {
        let (header, bytes) = try Blocks.encode(batches.map(batch), level: level)
        let (found, records) = try Blocks.read(bytes)
        #expect(found == header, "\(name)")
        #expect(records == batches.flatMap { $0 }, "\(name)")
      }
    }
  }

  @Test func `random mixtures come back`() throws {
    var random = SplitMix64(seed: 22)
    var encoder = try WholeBlockEncoder(level: 1)
    for round in 0..<60 {
      let batches: [[[UInt8]]] = (0...random.below(4)).map { _ in
        (0...random.below(6)).map { _ in
          random.chance(128) ? random.bytes(random.below(200)) : Array(repeating: 65, count: random.below(9_000))
        }
      }
      // One encoder for all: nothing of an earlier block may show.
      _ = try encoder.compress(batches.map(batch))
      let bytes = encoder.finish(at: Blocks.place()) { (_, bytes) in Array(bytes) }
      #expect(try Blocks.read(bytes).records == batches.flatMap { $0 }, "round \(round)")
    }
  }

  @Test func `a block fills whole pages, and its padding is zeros`() throws {
    for (name, batches) in Self.shapes() {
      let (header, bytes) = try Blocks.encode(batches.map(batch))
      #expect(bytes.count % 4096 == 0, "\(name)")
      #expect(bytes.count == header.totalLength)
      #expect(header.paddingLength < 4096, "\(name)")
      let padding = bytes[(BlockFormat.headerSize + header.trailerLength)..<header.frontLength]
      #expect(padding.allSatisfy { $0 == 0 }, "\(name)")
    }
  }

  @Test func `no byte of an earlier block is left in the padding`() throws {
    var encoder = try WholeBlockEncoder(level: 1)
    var random = SplitMix64(seed: 23)
    _ = try encoder.compress([batch([random.bytes(9_000)])])
    encoder.finish(at: Blocks.place()) { (_, _) in }
    _ = try encoder.compress([batch([[65]])])
    let (header, bytes) = encoder.finish(at: Blocks.place()) { (header, bytes) in (header, Array(bytes)) }
    let front = BlockFormat.headerSize + header.trailerLength
    #expect(header.trailerLength == 12 && bytes[front..<header.frontLength].allSatisfy { $0 == 0 })
  }

  @Test func `the header stands in the bytes as documented`() throws {
    var batch = batch([Array("a\nb".utf8), Array("c".utf8)])
    batch.append("d", eventTime: Timestamp(nanoseconds: -5))
    batch.append("e", eventTime: Timestamp(nanoseconds: 9))
    let place = Blocks.place()
    let (header, bytes) = try Blocks.encode([batch])
    bytes.withUnsafeBytes { bytes in
      #expect(bytes.get(UInt32.self, at: 0) == 0x184D_2A50)
      #expect(Int(bytes.get(UInt32.self, at: 4)) == 104 + header.trailerLength + header.paddingLength)
      #expect(Array(bytes[8..<12]) == Array("PNB1".utf8))
      #expect(bytes.get(UInt16.self, at: 12) == 1)
      #expect(bytes.get(UInt16.self, at: 14) == 1)
      #expect(bytes.get(UInt64.self, at: 16) == place.position)
      #expect(bytes.get(UInt64.self, at: 24) == 1_000)
      #expect(bytes.get(UInt32.self, at: 32) == 4)
      #expect(bytes.get(UInt32.self, at: 36) == 8 + 4 * 4)
      #expect(Int(bytes.get(UInt32.self, at: 40)) == header.storedLength)
      #expect(bytes.get(UInt32.self, at: 44) == 10)
      #expect(bytes.get(UInt64.self, at: 48) == 7)
      #expect(bytes.get(UInt32.self, at: 56) == 3)
      let stored = UnsafeRawBufferPointer(rebasing: bytes[header.frontLength...])
      #expect(bytes.get(UInt32.self, at: 60) == Checksum.of(stored, seed: Blocks.seed))
      #expect(bytes.get(UInt64.self, at: 64) == 8192)
      #expect(bytes.get(Int64.self, at: 72) == place.appendTime.nanoseconds)
      #expect(bytes.get(Int64.self, at: 80) == -5)
      #expect(bytes.get(Int64.self, at: 88) == 9)
      #expect(bytes.get(UInt64.self, at: 96) == place.chain)
      let front = UnsafeRawBufferPointer(rebasing: bytes[112..<header.frontLength])
      #expect(bytes.get(UInt32.self, at: 104) == Checksum.of(front, seed: Blocks.seed))
      let covered = UnsafeRawBufferPointer(rebasing: bytes[..<108])
      #expect(bytes.get(UInt32.self, at: 108) == Checksum.of(covered, seed: Blocks.seed))
      // The trailer: one section of kind 1, a length for each record.
      #expect(bytes.get(UInt16.self, at: 112) == 1)
      #expect(bytes.get(UInt16.self, at: 114) == 0)
      #expect(bytes.get(UInt32.self, at: 116) == 16)
      #expect((0..<4).map { bytes.get(UInt32.self, at: 120 + $0 * 4) } == [3, 1, 1, 1])
    }
  }

  @Test func `the trailer has the checksum of the payload, unless a record contains a line feed`() throws {
    for (name, batches) in Self.shapes() {
      let (header, bytes) = try Blocks.encode(batches.map(batch))
      let records: [[UInt8]] = batches.flatMap { $0 }
      let payload: [UInt8] = records.flatMap { $0 + [10] }
      let found = bytes.withUnsafeBytes { BlockDecoder.contentChecksum(header, $0) }
      #expect(found == (records.contains { $0.contains(10) } ? nil : Checksum.of(payload)), "\(name)")
    }
    // As documented: one section of kind 4, a u32.
    let bytes = try Blocks.encode([batch([Array("a".utf8)])]).bytes
    bytes.withUnsafeBytes { bytes in
      #expect(bytes.get(UInt16.self, at: 112) == 4 && bytes.get(UInt16.self, at: 114) == 0)
      #expect(bytes.get(UInt32.self, at: 116) == 4)
      #expect(bytes.get(UInt32.self, at: 120) == Checksum.of(Array("a\n".utf8)))
    }
  }

  @Test func `without event times the minimum stands above the maximum`() throws {
    let bytes = try Blocks.encode([batch([[65]])]).bytes
    bytes.withUnsafeBytes { #expect($0.get(Int64.self, at: 80) > $0.get(Int64.self, at: 88)) }
    #expect(try Blocks.read(bytes).header.eventTimes == nil)
  }

  @Test func `the span of event times covers all batches`() throws {
    var first = RecordBatch()
    first.append("a", eventTime: Timestamp(nanoseconds: 50))
    var second = RecordBatch()
    second.append("b", eventTime: Timestamp(nanoseconds: 10))
    let block = try Blocks.encode([first, batch([[65]]), second])
    #expect(try Blocks.read(block.bytes).header.eventTimes == 10...50)
  }

  @Test func `one compressed block can be finished for two places`() throws {
    var encoder = try WholeBlockEncoder(level: 1)
    _ = try encoder.compress([batch([record(1)])])
    var headers: [BlockHeader] = []
    for position in [8192, 16384] as [UInt64] {
      let bytes = encoder.finish(at: Blocks.place(position: position, base: position)) { (_, bytes) in Array(bytes) }
      let (header, records) = try Blocks.read(bytes)
      #expect(records == [record(1)])
      headers.append(header)
    }
    #expect(headers.map(\.position) == [8192, 16384])
    #expect(headers.map(\.baseOffset.rawValue) == [8192, 16384])
  }

  @Test func `records of one block are taken up to both limits`() {
    let payload = Array("aa\nbbb\n\nc\n".utf8)
    let block = DecodedBlock(
      baseOffset: Offset(5), appendTime: Timestamp(nanoseconds: 0), payload: payload, ends: [2, 6, 7, 9])
    #expect(block.count == 4 && block.endOffset == Offset(9))
    #expect(block.byteCount(of: 0..<4) == 6 && block.byteCount(of: 1..<3) == 3 && block.byteCount(of: 2..<2) == 0)
    #expect(block.prefixCount(from: 0, maxRecords: 3, maxBytes: 100, atLeastOne: false) == 3)
    #expect(block.prefixCount(from: 0, maxRecords: 9, maxBytes: 5, atLeastOne: false) == 3)
    #expect(block.prefixCount(from: 0, maxRecords: 9, maxBytes: 1, atLeastOne: false) == 0)
    #expect(block.prefixCount(from: 0, maxRecords: 9, maxBytes: 1, atLeastOne: true) == 1)
    #expect(block.prefixCount(from: 2, maxRecords: 9, maxBytes: 0, atLeastOne: false) == 1)
    #expect(block.prefixCount(from: 4, maxRecords: 9, maxBytes: 9, atLeastOne: true) == 0)
  }
}
