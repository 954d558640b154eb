import PenstockDelivery
import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Testing

/// `make lab-model` goes further: four crashes, four takeovers.
@Suite("The intent protocol between processes") struct IntentProtocolTests {
  typealias Model = IntentProtocolModel

  static let scopes = [
    Model.Scope(producers: 3, cursors: 1, crashes: 2, takeovers: 2),
    Model.Scope(producers: 3, cursors: 2, crashes: 2, takeovers: 1),
  ]

  @Test(arguments: scopes)
  func `a record has one name, is passed only when it is there; an earlier epoch writes nothing`(scope: Model.Scope) {
    let found = IntentProtocolSearch(scope)
    #expect(found.trace == nil, "\(found.trace ?? [])")
    #expect(found.states > 500 && found.finished > 0 && found.compared > 50)
    print("intent protocol \(scope): \(found.states) states, \(found.moves) moves, \(found.finished) at the end")
  }

  @Test func `states that are left out are the same as others, but for who is who`() {
    let scope = Model.Scope(producers: 2, cursors: 2, crashes: 1, takeovers: 1)
    let (reduced, whole) = (IntentProtocolSearch(scope), IntentProtocolSearch(scope, isReduced: false))
    #expect(whole.trace == nil && whole.states > 4 * reduced.states)
    #expect(whole.kinds == reduced.states && reduced.kinds == reduced.states)
  }

  @Test(arguments: Model.InjectedFault.allCases)
  func `a mistake in the protocol is found, by a shortest trace`(fault: Model.InjectedFault) throws {
    let trace = try #require(IntentProtocolSearch(Self.scopes[0], fault).trace, "\(fault) was not found")
    print("intent protocol, \(fault): \(trace.joined(separator: "; "))")
    // Append, take, begin, commit, and what is wrong: the shortest of all is not made longer by the search.
    if fault == .commitsBeforeSending { #expect(trace.count == 5) }
  }
}

@Suite("What a delivery is called") struct DeliveryIdentityTests {
  func id(
    log: String = "00112233445566778899aabbccddeeff", cursor: String = "archive", first: UInt64 = 5, end: UInt64 = 9,
    digest: [UInt8] = Array(0..<32)
  ) -> DeliveryID {
    DeliveryID(logID: log, cursor: cursor, first: Offset(first), end: Offset(end), contentDigest: digest)
  }

  @Test func `the name is the one that was given out from the first release on`() {
    // From another implementation: sha256 of the documented encoding, first 16 bytes.
    #expect(id().rawValue == "4c58f29c55630b56d7972efcd4534628")
  }

  @Test func `equal deliveries have one name, and it is 32 lowercase hexadecimal characters`() {
    #expect(id() == id())
    #expect(id().rawValue.utf8.count == 32)
    #expect(id().rawValue.allSatisfy { "0123456789abcdef".contains($0) })
  }

  @Test func `a difference in any part gives another name`() {
    let ids = [
      id(), id(log: "10112233445566778899aabbccddeeff"), id(cursor: "webhook"), id(first: 4), id(end: 10),
      id(digest: Array(1..<33)), id(log: "ab", cursor: "c"), id(log: "a", cursor: "bc"),
    ]
    #expect(Set(ids).count == ids.count)
  }

  @Test func `an uncompressed body's digest is its SHA-256`() {
    let body = PreparedBody(content: Array("abc".utf8), eventCount: 1)
    // FIPS 180-4, the example of one block.
    #expect(body.contentDigest.prefix(4) == [0xba, 0x78, 0x16, 0xbf])
    #expect(body.contentLength == 3 && body.bytes == Array("abc".utf8))
  }
}
