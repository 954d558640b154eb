@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct ProducerTrailerTests {
  private func batch(_ name: String?, _ sequence: UInt64, records: Int = 1, source: [UInt8] = []) -> RecordBatch {
    var batch = RecordBatch()
    for number in 0..<records { batch.append("\(number)") }
    batch.producer = name.map { ProducerMark(name: $0, epoch: 9, sequence: sequence, source: source) }
    return batch
  }

  @Test func `batches without a producer leave no section`() throws {
    #expect(ProducerTrailer([batch(nil, 0), batch(nil, 0)]) == nil)
    // Only the checksum of the payload is there.
    #expect(try Blocks.encode([batch(nil, 0)]).header.trailerLength == 12)
  }

  @Test func `a producer has one entry, whatever it appended`() throws {
    let batches =
      [batch("a", 4, records: 2, source: [1])] + (5...40).map { batch($0 % 2 == 0 ? nil : "b", $0) }
      + [batch("a", 5, records: 3, source: [2])]
    let trailer = try #require(ProducerTrailer(batches))
    // b's numbers jump by two, so each stands alone.
    #expect(trailer.entries.filter { $0.name == "b" }.count == 18)
    let a = try #require(trailer.entries.first)
    #expect(a.name == "a" && a.lastSequence == 5 && a.firstSequence == 4 && a.source == [2] && a.appendCount == 2)
    #expect(a.runs.map(\.first) == [0, 38] && a.runs.map(\.count) == [2, 3])
    let many = try #require(ProducerTrailer((1...100).map { batch("a", $0) }))
    #expect(many.entries.count == 1 && many.entries[0].appendCount == 100)
    #expect(many.entries[0].runs.map(\.first) == Array(84..<100))
    let longest = String(repeating: "n", count: 64)
    let largest = try #require(
      ProducerTrailer((1...100).map { batch(longest, $0, source: [UInt8](repeating: 1, count: 64)) }))
    #expect(largest.encoded().count <= 4 + 280)
  }

  @Test func `it comes back as it was written, and cut short not at all`() throws {
    let trailer = try #require(
      ProducerTrailer((1...20).map { batch($0 < 18 ? "a" : "b", $0 < 18 ? $0 : $0 - 17, source: [UInt8($0)]) }))
    let bytes = trailer.encoded()
    #expect(try ProducerTrailer(decoding: bytes, recordCount: 20) == trailer)
    expectRefusalOfEveryCut(bytes, as: BlockFlaw.self) { try ProducerTrailer(decoding: $0, recordCount: 20) }
    #expect(throws: BlockFlaw.self) { try ProducerTrailer(decoding: bytes, recordCount: 19) }
  }

  @Test func `two blocks made one say the same of their producers`() throws {
    var random = SplitMix64(seed: 5)
    for _ in 0..<200 {
      var next: [String: UInt64] = [:]
      let batches = (0..<12).map { _ -> RecordBatch in
        let name = ["a", "b", "c"][random.below(3)]
        next[name, default: 0] += random.below(6) == 0 ? 2 : 1
        return batch(random.below(4) == 0 ? nil : name, next[name] ?? 1, records: 1 + random.below(3))
      }
      let cut = random.below(12)
      var joined = ProducerTrailer(batches[..<cut]) ?? ProducerTrailer()
      let before = batches[..<cut].reduce(0) { $0 + $1.count }
      joined.join((ProducerTrailer(batches[cut...]) ?? ProducerTrailer()).rebased(by: before))
      #expect(joined == ProducerTrailer(batches) ?? ProducerTrailer())
    }
  }

  @Test func `it stands beside record lengths in a block`() throws {
    var lines = batch("a", 1)
    lines.append("with\na line feed")
    let (header, bytes) = try Blocks.encode([lines])
    #expect(header.flags & BlockFormat.lengthsFlag != 0)
    #expect(try Blocks.read(bytes).records.count == 2)
  }

  @Test func `a snapshot that changed in any bit is none`() throws {
    var table = ProducerTable(capacity: 4)
    let trailer = try #require(ProducerTrailer([batch("a", 1, source: [1, 2]), batch("b", 1)]))
    table.apply(trailer, at: .zero, upTo: Offset(2))
    let bytes = ProducerSnapshot(table, logID: Array(1...16), generation: 3, end: Offset(2)).encoded()
    #expect(try ProducerSnapshot(decoding: bytes).table(capacity: 4).entries == table.entries)
    forEachFlippedBit(bytes) { _, bytes in #expect(throws: LogError.self) { try ProducerSnapshot(decoding: bytes) } }
    expectRefusalOfEveryCut(bytes, as: LogError.self) { try ProducerSnapshot(decoding: $0) }
  }

  @Test func `a snapshot with an append beyond the last offset is damaged, though its checksum holds`() throws {
    var table = ProducerTable(capacity: 4)
    table.apply(try #require(ProducerTrailer([batch("a", 1)])), at: Offset(.max - 1), upTo: Offset(.max))
    var bytes = ProducerSnapshot(table, logID: Array(1...16), generation: 3, end: Offset(.max)).encoded()
    #expect(throws: Never.self) { try ProducerSnapshot(decoding: bytes) }
    // The last field before the checksum is how many records the append has.
    bytes.removeLast(8)
    bytes.append(littleEndian: UInt32(2))
    bytes.append(littleEndian: Checksum.of(bytes))
    #expect(code { try ProducerSnapshot(decoding: bytes) } == .damaged)
  }

  @Test func `a producer's name that is not text is refused, in a snapshot and in a block`() throws {
    let trailer = try #require(ProducerTrailer([batch("a", 1)]))
    var table = ProducerTable(capacity: 4)
    table.apply(trailer, at: .zero, upTo: Offset(1))
    func forged(_ bytes: [UInt8], _ name: ArraySlice<UInt8>) throws -> [UInt8] {
      let place = try #require(bytes.indices.first { bytes[$0...].starts(with: name) })
      return Array(bytes[...place]) + [0xFF] + bytes[(place + 2)...]
    }
    var snapshot = try forged(
      ProducerSnapshot(table, logID: Array(1...16), generation: 3, end: Offset(1)).encoded(), [1, 0x61])
    snapshot.removeLast(4)
    snapshot.append(littleEndian: Checksum.of(snapshot))
    #expect(code { try ProducerSnapshot(decoding: snapshot) } == .damaged)
    let section = try forged(trailer.encoded(), [1, 0x61])
    #expect(throws: BlockFlaw.self) { try ProducerTrailer(decoding: section, recordCount: 1) }
  }
}
