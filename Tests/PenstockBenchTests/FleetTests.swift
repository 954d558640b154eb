import PenstockEvents
import PenstockLog
import PenstockToolSupport
import Testing

@testable import PenstockBench

/// The bench of many webhooks must not measure lost, doubled or misdirected work. These are its pure parts.
@Suite struct FleetTests {
  @Test(arguments: AppEvents.Order.allCases)
  func togetherTheFiltersWantEachEventOnce(_ order: AppEvents.Order) throws {
    for apps in 1...7 {
      let events = AppEvents(apps: apps, order: order, count: 30)
      for destinations in 1...9 {
        let filters = try (0..<destinations).map { try events.filter(of: $0, among: destinations) }
        for number in 0..<30 {
          var event: [UInt8] = []
          events.append(number, to: &event)
          let takers = event.withUnsafeBytes { event in
            filters.indices.filter { filters[$0].verdict(on: event) == .passes }
          }
          #expect(takers == [events.destination(of: number, among: destinations)])
        }
      }
    }
  }

  @Test func clusteredEventsHaveEveryAppAndFewChanges() {
    let events = AppEvents(apps: 10, order: .clustered, count: 2000)
    let apps = (0..<2000).map(events.app)
    #expect(Set(apps).count == 10)
    #expect(zip(apps, apps.dropFirst()).filter { $0 != $1 }.count == 19)
    #expect(Set((0..<20).map(AppEvents(apps: 10, order: .clustered, count: 20).app)).count == 10)
  }

  @Test func aBodyTellsWhichEventsItHas() {
    let wanted = [EventMark(number: 41, moment: 9_007_199_254_740_993), EventMark(number: 42, moment: 0)]
    let events = AppEvents(apps: 3, order: .mixed, count: 100)
    var body = Array("[".utf8)
    for mark in wanted {
      events.append(mark.number, at: mark.moment, to: &body)
      body += Array(",".utf8)
    }
    body[body.count - 1] = UInt8(ascii: "]")
    #expect(marks(body) == wanted)
    #expect(marks([]) == [])
    #expect(marks(Array(#"{"bench":[7"#.utf8)) == [EventMark(number: 7, moment: 0)])
  }

  /// Cut at every place, and into single bytes.
  @Test func requestsComeWholeHoweverTheyAreCut() {
    let bodies = [#"[{"bench":[1,5]},{"bench":[2,6]}]"#, "", #"{"bench":[3,0]}"#]
    let bytes = Array(
      bodies.enumerated().map { number, body in
        "POST /\(number) HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
      }.joined().utf8)
    for cut in bytes.indices { expectAll([bytes[..<cut], bytes[cut...]]) }
    expectAll(bytes.indices.map { bytes[$0...$0] })
  }

  private func expectAll(_ pieces: [ArraySlice<UInt8>]) {
    var stream = RequestBytes()
    let requests = pieces.flatMap { stream.take($0) }
    #expect(requests.map(\.destination) == [0, 1, 2])
    #expect(requests.map { $0.marks.map(\.number) } == [[1, 2], [], [3]])
  }

  private struct Arrival: Hashable {
    var number: Int
    var destination: Int?
  }

  /// Every sequence of at most three arrivals of two events at two destinations.
  @Test func theLedgerAcceptsEachEventOnceWhereItIsWantedAndNothingElse() {
    let events = AppEvents(apps: 2, order: .mixed, count: 2)
    let right: Set = [Arrival(number: 0, destination: 0), Arrival(number: 1, destination: 1)]
    let possible = (-1...2).flatMap { number in [0, 1, nil].map { Arrival(number: number, destination: $0) } }
    var sequences: [[Arrival]] = [[]]
    var accepted = 0
    for _ in 0...3 {
      for sequence in sequences {
        var ledger = EventLedger(events, count: 2, destinations: 2)
        for arrival in sequence {
          ledger.note([EventMark(number: arrival.number, moment: 0)], at: arrival.destination, now: 0)
        }
        let isRight = sequence.count == 2 && Set(sequence) == right
        #expect(isAccepted(ledger) == isRight, "\(sequence)")
        accepted += isRight ? 1 : 0
      }
      sequences = sequences.flatMap { sequence in possible.map { sequence + [$0] } }
    }
    #expect(accepted == 2)
  }

  @Test func timesCountFromTheMomentThatAnEventCarries() {
    var ledger = EventLedger(AppEvents(apps: 1, order: .mixed, count: 3), count: 3, destinations: 1)
    let marks = [EventMark(number: 0, moment: 0), EventMark(number: 1, moment: 1_000_000_000)]
    ledger.note(marks, at: 0, now: 3_000_000_000)
    ledger.note([EventMark(number: 2, moment: 9)], at: 0, now: 8)
    #expect(ledger.waits == [2, 0])
    #expect(ledger.requests == 2)
    #expect(ledger.arrived == 3)
  }

  @Test(arguments: [(1000, 3.0, 10, 300), (7, 2.0, 1, 14), (100, 0.001, 1, 1)])
  func aLivePlanHasTheRate(rate: Int, seconds: Double, size: Int, turns: Int) {
    let plan = LivePlan(rate: rate, seconds: seconds)
    #expect(plan.size == size)
    #expect(plan.turns == turns)
    #expect(abs(Double(plan.step) * Double(rate) / Double(size) - 1e9) < 1e3)
  }

  private func isAccepted(_ ledger: EventLedger) -> Bool {
    do throws(Failure) { try ledger.check() } catch { return false }
    return true
  }

  private func marks(_ body: [UInt8]) -> [EventMark] {
    var found: [EventMark] = []
    body.withUnsafeBytes { EventMark.forEach(in: $0) { found.append($0) } }
    return found
  }
}
