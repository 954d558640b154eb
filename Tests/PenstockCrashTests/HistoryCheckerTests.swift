import PenstockLog
import PenstockTestKit
import Testing

/// A checker that finds nothing proves nothing: for each invariant a history that breaks it, and the name it is
/// reported by.
@Suite struct HistoryCheckerTests {
  private func offsets(_ range: Range<UInt64>) -> Range<Offset> { Offset(range.lowerBound)..<Offset(range.upperBound) }

  private func recovered(
    _ records: [UInt64], from first: UInt64 = 0, end: UInt64? = nil, damaged: Bool = false, gaps: [Range<UInt64>] = [],
    image: UInt64? = nil
  ) -> History.Event {
    .recovered(
      History.Recovered(
        first: Offset(first), end: Offset(end ?? first + UInt64(records.count)), reportsDamage: damaged,
        pieces: [.init(first: Offset(first), records: records)], gaps: gaps.map(offsets), image: image))
  }

  /// Two appends, of one record and of two, acknowledged.
  private var start: [History.Event] {
    [
      .appending(id: 1, records: [11]), .acknowledged(id: 1, offsets: offsets(0..<1)),
      .appending(id: 2, records: [12, 13]), .acknowledged(id: 2, offsets: offsets(1..<3)),
    ]
  }

  private func found(_ events: [History.Event], limits: HistoryChecker.Limits = .init()) -> [Invariant] {
    var checker = HistoryChecker(limits: limits)
    for event in start + events { checker.note(event) }
    return checker.violations.map(\.invariant)
  }

  private func intent(_ id: String, _ range: Range<UInt64>) -> Intent {
    Intent(
      id: DeliveryID(id), first: Offset(range.lowerBound), end: Offset(range.upperBound),
      contentDigest: [UInt8](repeating: UInt8(truncatingIfNeeded: range.upperBound), count: 32), plan: [],
      createdAt: Timestamp(nanoseconds: 0))
  }

  private let held = CursorState(startingAt: .zero).acquired()

  @Test func `an honest history has no violation`() throws {
    let pending = History.Event.appending(id: 3, records: [14, 15], producer: .init("p", 1))
    #expect(found([.crashed, recovered([11, 12, 13])]).isEmpty)
    #expect(found([pending, .crashed, recovered([11, 12, 13])]).isEmpty)
    #expect(found([pending, .crashed, recovered([11, 12, 13, 14, 15])]).isEmpty)
    #expect(found([.trimming(to: [Offset(1)]), .crashed, recovered([12, 13], from: 1)]).isEmpty)
    #expect(found([.damaged(nil), .crashed, recovered([11], end: 3, damaged: true, gaps: [1..<3])]).isEmpty)
  }

  @Test func `I1: an acknowledged record that is gone, and one that is there twice`() {
    #expect(found([.crashed, recovered([11, 12])]) == [.acknowledgedIsKept])
    let first = History.Event.appending(id: 3, records: [14], producer: .init("p", 1))
    let again = History.Event.appending(id: 4, records: [14], producer: .init("p", 1))
    let twice = [
      first, .acknowledged(id: 3, offsets: offsets(3..<4)), again, .acknowledged(id: 4, offsets: offsets(4..<5)),
    ]
    #expect(found(twice) == [.acknowledgedIsKept])
  }

  @Test func `I2: an offset that shows other bytes`() {
    #expect(found([.read(first: Offset(1), records: [99])]) == [.offsetHasOneContent])
    #expect(found([.crashed, recovered([11, 99, 13])]) == [.offsetHasOneContent])
  }

  @Test func `I3: a hole without a report`() {
    #expect(found([.damaged(nil), .crashed, recovered([11, 12, 13], end: 5)]) == [.noSilentGap, .noSilentGap])
    let inside: [History.Event] = [
      .cursorMoved("c", held), .trimming(to: [Offset(1)]), .trimmed(first: Offset(1)), .crashed,
      recovered([12, 13], from: 1), .cursorFound("c", held),
    ]
    #expect(found(inside) == [.noSilentGap])
  }

  @Test func `I4: a producer's appends out of order`() {
    let later = History.Event.appending(id: 3, records: [14], producer: .init("p", 2))
    #expect(found([later, .crashed, recovered([11, 12, 13, 14])]) == [.orderOfProducers])
  }

  @Test func `I5: a record that was shown and is gone`() {
    let shown: [History.Event] = [
      .appending(id: 3, records: [14]), .read(first: Offset(3), records: [14]), .crashed, recovered([11, 12, 13]),
    ]
    #expect(found(shown) == [.readIsDurable])
  }

  @Test func `I6: half a batch`() {
    let half: [History.Event] = [.appending(id: 3, records: [14, 15]), .crashed, recovered([11, 12, 13, 14])]
    #expect(found(half) == [.batchIsWhole])
  }

  @Test func `I7: a cursor that is elsewhere, goes back, or passes the end`() throws {
    let on = try held.committing(to: Offset(2), epoch: 1, durableEnd: Offset(3))
    let far = try held.committing(to: Offset(9), epoch: 1, durableEnd: Offset(9))
    #expect(found([.cursorMoved("c", on), .crashed, .cursorFound("c", held)]) == [.cursorIsExact])
    #expect(
      found([.cursorMoved("c", on), .cursorMoving("c", to: [held]), .cursorMoved("c", held)]) == [.cursorIsExact])
    // Two breaches: no move asked for that, and the log ends before it.
    #expect(found([.cursorMoved("c", far)]) == [.cursorIsExact, .cursorIsExact])
    #expect(found([.cursorMoving("c", to: [held, on]), .crashed, .cursorFound("c", on)]).isEmpty)
  }

  @Test func `I8: an id with two contents, sending before the intent, committing what was not taken`() throws {
    let begun = try held.beginning(intent("a", 0..<2), epoch: 1, durableEnd: Offset(3))
    let done = try begun.completing(DeliveryID("a"), receipt: "200", epoch: 1)
    let sent = History.Delivered(DeliveryID("a"), offsets(0..<2), digest: 5)
    let open: [History.Event] = [.destination(cursor: "c"), .cursorMoved("c", held), .cursorMoved("c", begun)]
    #expect(found([.sending(cursor: "c", sent)]) == [.deliveryIsExact])
    #expect(found(open + [.cursorMoved("c", done)]) == [.deliveryIsExact])
    let took: [History.Event] = [.sending(cursor: "c", sent), .received(cursor: "c", sent)]
    #expect(found(open + took + [.cursorMoved("c", done)]).isEmpty)
    let other = History.Delivered(DeliveryID("a"), offsets(0..<2), digest: 6)
    #expect(found(open + took + [.received(cursor: "c", other)]) == [.deliveryIsExact])
    let skipped = try held.committing(to: Offset(2), epoch: 1, durableEnd: Offset(3))
    #expect(
      found([.destination(cursor: "c"), .cursorMoved("c", held), .cursorMoved("c", skipped)]) == [.deliveryIsExact])
  }

  @Test func `I8: a consumer that processes a record twice, or passes one it has not processed`() {
    func done(_ offset: UInt64, _ key: String? = nil) -> History.Event {
      .processed(consumer: "c", Offset(offset), key: key)
    }
    #expect(found([done(0), done(1, "b"), done(1, "b"), .passed(consumer: "c", upTo: Offset(2))]).isEmpty)
    #expect(found([done(0), done(0)]) == [.deliveryIsExact])
    #expect(found([done(0, "a"), done(1, "a")]) == [.deliveryIsExact])
    #expect(found([done(0, "a"), done(0, "b")]) == [.deliveryIsExact])
    #expect(found([done(1), .passed(consumer: "c", upTo: Offset(2))]) == [.deliveryIsExact])
    #expect(found([done(0), .passed(consumer: "other", upTo: Offset(1))]) == [.deliveryIsExact])
  }

  /// Each event takes a moment, however many there were before: with a look at all of them this is a matter of minutes.
  @Test(.timeLimit(.minutes(1))) func `a history of 150,000 events is no more work for each than a short one`() throws {
    var checker = HistoryChecker()
    checker.note(.destination(cursor: "c"))
    var state = held
    checker.note(.cursorMoved("c", state))
    for number in 0..<UInt64(17_000) {
      let (first, end) = (Offset(number), Offset(number + 1))
      checker.note(.appending(id: number, records: [number + 1], producer: .init("p", number + 1)))
      checker.note(.acknowledged(id: number, offsets: first..<end))
      checker.note(.processed(consumer: "worker", first, key: "\(number)"))
      checker.note(.passed(consumer: "worker", upTo: end))
      let sent = History.Delivered(DeliveryID("\(number)"), first..<end, digest: number)
      let begun = try state.beginning(intent("\(number)", number..<(number + 1)), epoch: 1, durableEnd: end)
      let done = try begun.completing(sent.id, receipt: "200", epoch: 1)
      checker.note(.cursorMoving("c", to: [begun]))
      checker.note(.cursorMoved("c", begun))
      checker.note(.sending(cursor: "c", sent))
      checker.note(.received(cursor: "c", sent))
      checker.note(.cursorMoved("c", done))
      state = done
      if number % 4 == 3 { checker.note(.trimmed(first: Offset(number / 4 * 3))) }
    }
    // Appends that many callers make at once, answered in order.
    for id in UInt64(20_000)..<25_000 { checker.note(.appending(id: id, records: [id])) }
    for id in UInt64(20_000)..<25_000 {
      checker.note(.acknowledged(id: id, offsets: Offset(id - 3_000)..<Offset(id - 2_999)))
    }
    #expect(checker.events > 150_000 && checker.end == Offset(22_000))
    #expect(checker.violations.isEmpty, "\(checker.violations.first?.description ?? "")")
    // It has forgotten nothing: neither the records that are left, nor what was done, nor what was sent.
    checker.note(.read(first: Offset(13_000), records: [1]))
    checker.note(.processed(consumer: "worker", .zero, key: "again"))
    checker.note(.passed(consumer: "worker", upTo: Offset(17_001)))
    checker.note(.sending(cursor: "c", History.Delivered(DeliveryID("9"), Offset(9)..<Offset(10), digest: 9)))
    checker.note(.received(cursor: "c", History.Delivered(DeliveryID("9"), Offset(9)..<Offset(10), digest: 10)))
    #expect(
      checker.violations.map(\.invariant) == [.offsetHasOneContent] + Array(repeating: .deliveryIsExact, count: 4))
  }

  @Test func `a consumer is asked for what it has passed from where it was asked last`() {
    func done(_ offset: UInt64) -> History.Event { .processed(consumer: "c", Offset(offset), key: nil) }
    func passed(_ end: UInt64) -> History.Event { .passed(consumer: "c", upTo: Offset(end)) }
    #expect(found([done(0), passed(1), done(2), passed(3), done(1), passed(3)]) == [.deliveryIsExact])
    #expect(found([passed(2), .trimmed(first: Offset(2)), passed(2), done(2), passed(3)]) == [.deliveryIsExact])
  }

  @Test func `I9: a second recovery that changes bytes`() {
    let once = [History.Event.crashed, recovered([11, 12, 13], image: 7)]
    #expect(found(once + [.recoveredAgain(image: 8)]) == [.recoveryIsIdempotent])
    #expect(found(once + [.recoveredAgain(image: 7)]).isEmpty)
  }

  @Test func `I10: an honest crash called damage, too much given up, and records that were not appended`() {
    #expect(found([.crashed, recovered([11, 12, 13], damaged: true)]) == [.damageIsReported])
    let narrow = History.Event.damaged(offsets(2..<3))
    #expect(
      found([narrow, .crashed, recovered([11], end: 3, damaged: true, gaps: [1..<3])]) == [.damageIsReported])
    #expect(found([.crashed, recovered([11, 12, 13, 99])]) == [.damageIsReported])
  }

  @Test func `I11: a log that has become shorter at its beginning by itself`() {
    #expect(found([.crashed, recovered([12, 13], from: 1)]).first == .nothingVanishes)
  }

  @Test func `I12: more bytes or files than are allowed`() {
    let limits = HistoryChecker.Limits(bytes: 100, files: 3)
    #expect(found([.resources(bytes: 101, files: 3)], limits: limits) == [.resourcesAreBounded])
    #expect(found([.resources(bytes: 100, files: 4)], limits: limits) == [.resourcesAreBounded])
  }
}
