import Testing

@testable import PenstockServer

@Suite("Descriptors are counted before the start")
struct OpenFileNeedTests {
  private static func need(_ destinations: Int, inFlight: Int = 1, letters: Bool = true) -> OpenFileNeed {
    OpenFileNeed(
      eventLoops: 2,
      destinations: Array(
        repeating: .init(maxInFlight: inFlight, hasDeadLetters: letters), count: destinations))
  }

  @Test("each destination, batch in flight, place for dead letters and event loop counts")
  func each() {
    let one = Self.need(1).count
    #expect(Self.need(2).count - one == Self.need(3).count - Self.need(2).count)
    #expect(Self.need(1, inFlight: 4).count - one == 6)
    #expect(one - Self.need(1, letters: false).count == 8)
    var more = Self.need(1)
    more.eventLoops = 4
    #expect(more.count - one == 6)
    more = Self.need(1)
    more.isService = true
    #expect(more.count > one)
  }

  @Test("what does not fit is refused with the number that would do, and what fits is not")
  func complaint() throws {
    for (destinations, limit) in [(60, 128), (600, 1024)] {
      let need = Self.need(destinations)
      let said = try #require(need.complaint(limit: limit))
      #expect(said.message.contains("\(destinations) destinations") && said.message.contains("\(limit)"))
      #expect(said.advice.contains("LimitNOFILE=\(need.count)"))
      #expect(need.complaint(limit: need.count - 1) != nil)
      #expect(need.complaint(limit: need.count) == nil)
    }
    // The usual limit is enough for a usual number, and an unknown one is not judged.
    #expect(Self.need(40).complaint(limit: 1024) == nil)
    #expect(Self.need(600).complaint(limit: nil) == nil)
    #expect(Self.need(1).complaint(limit: 8)?.message.hasPrefix("1 destination may") == true)
  }

  @Test("connections leave what destinations need, also where the limit is low")
  func connections() {
    #expect(OpenFileLimit.connections(wanted: 500, of: 1000, destinations: 60, needed: 900) == 100)
    #expect(OpenFileLimit.connections(wanted: 500, of: 1000, destinations: 1, needed: 20) == 500)
    #expect(OpenFileLimit.connections(wanted: 500, of: 100, destinations: 60, needed: 900) == 1)
  }
}
