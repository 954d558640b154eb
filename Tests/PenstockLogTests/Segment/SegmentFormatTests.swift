@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct SegmentFormatTests {
  private func header() -> SegmentHeader {
    var header = SegmentHeader(
      logID: Array(101...116), sequence: 9, epoch: 4, baseOffset: Offset(1_234_567_890_123), salt: Array(1...16),
      previousChain: 0x1122_3344_5566_7788, begunAt: Timestamp(nanoseconds: -7))
    header.compatibleFeatures = 1 << 63
    return header
  }

  private func decode(_ bytes: [UInt8]) throws(SegmentHeader.Flaw) -> SegmentHeader {
    var flaw: SegmentHeader.Flaw?
    let header = bytes.withUnsafeBytes { bytes -> SegmentHeader? in
      do throws(SegmentHeader.Flaw) { return try SegmentHeader(decoding: bytes) } catch {
        flaw = error
        return nil
      }
    }
    if let header { return header }
    throw flaw ?? .invalid
  }

  /// Changes a field of one copy and makes its checksum right again.
  private func changed(
    _ bytes: [UInt8], copies: [Int] = [0, 1], _ change: (UnsafeMutableRawBufferPointer) -> Void
  ) -> [UInt8] {
    var bytes = bytes
    bytes.withUnsafeMutableBytes { bytes in
      for copy in copies {
        let page = UnsafeMutableRawBufferPointer(rebasing: bytes[(copy * 4096)..<(copy * 4096 + 4096)])
        change(page)
        page.put(Checksum.of(UnsafeRawBufferPointer(rebasing: page[..<4092])), at: 4092)
      }
    }
    return bytes
  }

  @Test func `a header comes back as it was written`() throws {
    let bytes = header().encoded()
    #expect(bytes.count == 8192)
    #expect(try decode(bytes) == header())
  }

  @Test func `the header stands in the bytes as documented`() {
    let bytes = header().encoded()
    bytes.withUnsafeBytes { bytes in
      for copy in 0..<2 {
        let page = UnsafeRawBufferPointer(rebasing: bytes[(copy * 4096)..<(copy * 4096 + 4096)])
        #expect(page.get(UInt32.self, at: 0) == 0x184D_2A51)
        #expect(page.get(UInt32.self, at: 4) == 4088)
        #expect(Array(page[8..<12]) == Array("PNS1".utf8))
        #expect(page.get(UInt16.self, at: 12) == 1)
        #expect(Int(page.get(UInt16.self, at: 14)) == copy)
        #expect(page.get(UInt64.self, at: 16) == 0)
        #expect(page.get(UInt64.self, at: 24) == 0)
        #expect(page.get(UInt64.self, at: 32) == 1 << 63)
        #expect(Array(page[40..<56]) == Array(101...116))
        #expect(page.get(UInt64.self, at: 56) == 9)
        #expect(page.get(UInt32.self, at: 64) == 4)
        #expect(page.get(UInt32.self, at: 68) == 0)
        #expect(page.get(UInt64.self, at: 72) == 1_234_567_890_123)
        #expect(Array(page[80..<96]) == Array(1...16))
        #expect(page.get(UInt64.self, at: 96) == 0x1122_3344_5566_7788)
        #expect(page.get(Int64.self, at: 104) == -7)
        #expect(page[112..<4092].allSatisfy { $0 == 0 })
        #expect(page.get(UInt32.self, at: 4092) == Checksum.of(UnsafeRawBufferPointer(rebasing: page[..<4092])))
      }
    }
  }

  @Test(arguments: [0, 1])
  func `any damaged byte in one copy is survived`(copy: Int) throws {
    var bytes = header().encoded()
    for position in (copy * 4096)..<(copy * 4096 + 4096) {
      bytes[position] ^= 1 << UInt8(position % 8)
      if try decode(bytes) != header() { Issue.record("byte \(position)") }
      bytes[position] ^= 1 << UInt8(position % 8)
    }
  }

  @Test func `two damaged copies are refused`() throws {
    var bytes = header().encoded()
    for position in stride(from: 0, to: 4096, by: 7) {
      bytes[position] ^= 1
      bytes[4096 + position] ^= 128
      #expect(throws: SegmentHeader.Flaw.invalid) { try decode(bytes) }
      bytes[position] ^= 1
      bytes[4096 + position] ^= 128
    }
  }

  @Test func `a copy in the other's place is not believed`() throws {
    let bytes = header().encoded()
    #expect(throws: SegmentHeader.Flaw.invalid) { try decode(Array(bytes[4096...]) + Array(bytes[..<4096])) }
  }

  @Test func `every length below one page is refused, one page is enough`() throws {
    let bytes = header().encoded()
    for length in [0, 1, 111, 4095] {
      #expect(throws: SegmentHeader.Flaw.invalid) { try decode(Array(bytes[..<length])) }
    }
    #expect(try decode(Array(bytes[..<4096])) == header())
  }

  @Test func `a later version and an incompatible feature are the future, not damage`() throws {
    let bytes = header().encoded()
    for copies in [[0, 1], [0]] {
      #expect(throws: SegmentHeader.Flaw.future("format version 2")) {
        try decode(changed(bytes, copies: copies) { $0.put(UInt16(2), at: 12) })
      }
    }
    #expect(throws: SegmentHeader.Flaw.future("incompatible feature bits 0x8000000000000000")) {
      try decode(changed(bytes) { $0.put(UInt64(1) << 63, at: 16) })
    }
  }

  @Test func `a read-only feature may be read and not written, a compatible one both`() throws {
    let readOnly = try decode(changed(header().encoded()) { $0.put(UInt64(2), at: 24) })
    #expect(!readOnly.isWritable)
    let compatible = try decode(changed(header().encoded()) { $0.put(UInt64.max, at: 32) })
    #expect(compatible.isWritable)
  }

  @Test func `a name and its parts are the same`() {
    for (sequence, base) in [(1, 0), (9_999_999_999, UInt64.max), (42, 1_000_000)] as [(UInt64, UInt64)] {
      let name = SegmentName(sequence: sequence, baseOffset: Offset(base))
      #expect(SegmentName(name.text) == name)
    }
    #expect(SegmentName(sequence: 1, baseOffset: .zero).text == "0000000001-00000000000000000000.seg")
    #expect(SegmentName(sequence: 2, baseOffset: .zero) > SegmentName(sequence: 1, baseOffset: Offset(5)))
  }

  @Test(arguments: [
    "", ".seg", "0000000001-00000000000000000000", "0000000001-00000000000000000000.seg.tmp",
    "000000001-00000000000000000000.seg", "0000000001-0000000000000000000.seg", "0000000001_00000000000000000000.seg",
    "000000000a-00000000000000000000.seg", "0000000001-99999999999999999999.seg", "0000000001-00000000000000000000.SEG",
    "0000000001-00000000000000000000-.seg", "-000000001-00000000000000000000.seg",
    "+000000001-00000000000000000000.seg", "0000000001-+0000000000000000000.seg",
  ])
  func `nothing else is a segment's name`(text: String) {
    #expect(SegmentName(text) == nil)
  }
}
