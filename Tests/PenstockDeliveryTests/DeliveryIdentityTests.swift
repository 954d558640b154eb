import PenstockDelivery
import PenstockLog
import Testing

@Suite("What a delivery is called")
struct DeliveryIdentityTests {
  func id(
    log: String = "00112233445566778899aabbccddeeff", cursor: String = "archive", first: UInt64 = 5, end: UInt64 = 9,
    digest: [UInt8] = Array(0..<32)
  ) -> DeliveryID {
    DeliveryID(logID: log, cursor: cursor, first: Offset(first), end: Offset(end), contentDigest: digest)
  }

  @Test("the name is the one that was given out from the first release on")
  func golden() {
    // From another implementation: sha256 of the documented encoding, first 16 bytes.
    #expect(id().rawValue == "4c58f29c55630b56d7972efcd4534628")
  }

  @Test("equal deliveries have one name, and it is 32 lowercase hexadecimal characters")
  func stable() {
    #expect(id() == id())
    #expect(id().rawValue.utf8.count == 32)
    #expect(id().rawValue.allSatisfy { "0123456789abcdef".contains($0) })
  }

  @Test("a difference in any part gives another name")
  func different() {
    let ids = [
      id(), id(log: "10112233445566778899aabbccddeeff"), id(cursor: "webhook"), id(first: 4), id(end: 10),
      id(digest: Array(1..<33)), id(log: "ab", cursor: "c"), id(log: "a", cursor: "bc"),
    ]
    #expect(Set(ids).count == ids.count)
  }

  @Test("an uncompressed body's digest is its SHA-256")
  func digest() {
    let body = PreparedBody(content: Array("abc".utf8), eventCount: 1)
    // FIPS 180-4, the example of one block.
    #expect(body.contentDigest.prefix(4) == [0xba, 0x78, 0x16, 0xbf])
    #expect(body.contentLength == 3 && body.bytes == Array("abc".utf8))
  }
}
