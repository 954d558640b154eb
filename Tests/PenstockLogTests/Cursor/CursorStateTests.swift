@testable import PenstockLog
import Testing

/// Every sequence of moves up to a depth, in a world that small: three offsets, two holders, three intents.
@Suite struct CursorStateTests {
  private static let end = Offset(3)

  private enum Move: CustomStringConvertible {
    case acquire
    case begin(Intent, UInt32)
    case replace(String, Intent, String?, UInt32)
    case complete(String, UInt32)
    case commit(UInt64, UInt32)
    case seek(UInt64, givingUp: Bool, UInt32)
    case pass(UInt64)
    case acknowledge(UInt64, UInt64, UInt32)
    case settle(String, EventMove, UInt32)

    var description: String {
      switch self {
      case .acquire: "acquire"
      case .begin(let intent, let epoch): "begin \(intent.id) as \(epoch)"
      case .replace(let id, let intent, let rejectionReason, let epoch):
        "replace \(id) by \(intent.id), rejected: \(rejectionReason ?? "no"), as \(epoch)"
      case .complete(let id, let epoch): "complete \(id) as \(epoch)"
      case .commit(let offset, let epoch): "commit \(offset) as \(epoch)"
      case .seek(let offset, let isGivingUp, let epoch):
        "seek \(offset)\(isGivingUp ? ", giving up batches," : "") as \(epoch)"
      case .pass(let start): "passed up to \(start)"
      case .acknowledge(let first, let end, let epoch): "acknowledge \(first) ..< \(end) as \(epoch)"
      case .settle(let id, let move, let epoch): "\(move) of \(id) as \(epoch)"
      }
    }

    var epoch: UInt32? {
      switch self {
      case .acquire, .pass: nil
      case .acknowledge(_, _, let epoch), .replace(_, _, _, let epoch), .settle(_, _, let epoch): epoch
      case .begin(_, let epoch), .complete(_, let epoch), .commit(_, let epoch), .seek(_, _, let epoch): epoch
      }
    }

    func applied(to state: CursorState) throws(CursorMoveError) -> CursorState {
      switch self {
      case .acquire: state.acquired()
      case .begin(let intent, let epoch): try state.beginning(intent, epoch: epoch, durableEnd: end)
      case .replace(let id, let intent, let rejectionReason, let epoch):
        try state.replacing(DeliveryID(id), with: intent, rejectionReason: rejectionReason, epoch: epoch)
      case .complete(let id, let epoch): try state.completing(DeliveryID(id), receipt: id, epoch: epoch)
      case .commit(let offset, let epoch): try state.committing(to: Offset(offset), epoch: epoch, durableEnd: end)
      case .seek(let offset, let isGivingUp, let epoch):
        try state.seeking(to: Offset(offset), givingUpBatches: isGivingUp, epoch: epoch, durableEnd: end)
      case .pass(let start): state.passed(upTo: Offset(start))
      case .acknowledge(let first, let last, let epoch):
        try state.acknowledging(Offset(first)..<Offset(last), epoch: epoch, durableEnd: end)
      case .settle(let id, let move, let epoch): try state.settling(DeliveryID(id), move, epoch: epoch)
      }
    }
  }

  private static let moves: [Move] = {
    var moves: [Move] = [.acquire]
    for epoch in 0...2 as ClosedRange<UInt32> {
      for (first, last) in [(0, 1), (0, 2), (1, 2), (2, 3), (1, 1), (2, 4), (2, 1)] as [(UInt64, UInt64)] {
        moves.append(.begin(intent(first, last), epoch))
      }
      for (old, first, last) in [
        ("0-2", 0, 1), ("0-3", 0, 2), ("0-3", 0, 1), ("0-2", 0, 3), ("1-3", 1, 2), ("0-1", 0, 2),
      ]
        as [(String, UInt64, UInt64)]
      { moves.append(.replace(old, intent(first, last), nil, epoch)) }
      for (first, last) in [(0, 1), (1, 2), (0, 2)] as [(UInt64, UInt64)] {
        moves.append(.replace("\(first)-\(last)", intent(first, last), "no", epoch))
      }
      for (old, first) in [("0-2", 1), ("0-3", 1), ("0-3", 2), ("1-3", 2)] as [(String, UInt64)] {
        moves.append(.replace(old, intent(first, first + 1), "no", epoch))
      }
      moves.append(.begin(intent(0, 3), epoch))
      for id in ["0-1", "0-2", "1-2", "2-3", "0-3", "no"] { moves.append(.complete(id, epoch)) }
      for offset in [0, 1, 3, 4] as [UInt64] {
        moves.append(.commit(offset, epoch))
        moves.append(.seek(offset, givingUp: false, epoch))
        moves.append(.seek(offset, givingUp: true, epoch))
      }
      for (first, last) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (2, 4)] as [(UInt64, UInt64)] {
        moves.append(.acknowledge(first, last, epoch))
      }
    }
    for start in 1...3 as ClosedRange<UInt64> { moves.append(.pass(start)) }
    return moves
  }()

  /// What a move of single events did that it must not do.
  private static func wrongSettling(
    _ before: CursorState, _ id: String, _ change: EventMove, _ after: CursorState
  ) -> String? {
    guard let was = before.inFlight.first(where: { $0.intent.id.rawValue == id }), let events = was.events else {
      return "events of no open batch were settled"
    }
    let others = { (state: CursorState) in
      state.inFlight.filter { $0.intent.id.rawValue != id && $0.intent.first >= after.committed }
    }
    if others(before) != others(after) { return "other batches changed" }
    let now = after.inFlight.first { $0.intent.id.rawValue == id }
    let open = before.inFlight.filter { !$0.isDelivered && $0.intent.id.rawValue != id }.map(\.intent.first)
    let settled = (0..<events.count).filter { events.contains($0) }
    switch change {
    case .settled(let numbers, _):
      let isComplete = settled.count + numbers.count == events.count
      if !Set(settled).isDisjoint(with: numbers) { return "an event was settled twice" }
      if let now, let left = now.events {
        let expected = Set(settled).union(numbers)
        if Set((0..<left.count).filter { left.contains($0) }) != expected { return "other events were settled" }
        if now.isDelivered != isComplete { return "the batch is done or not, against its events" }
        if left.condemned != nil, numbers.contains(left.condemned?.event ?? -1) { return "it is still condemned" }
      } else if !isComplete || !open.allSatisfy({ $0 >= was.intent.end }) {
        return "the batch is gone before its time"
      }
      let isLetter = events.condemned.map { numbers.contains($0.event) } ?? false
      let base = numbers.count > (isLetter ? 1 : 0) ? 0 : before.consecutiveDeadLetters
      if after.consecutiveDeadLetters != base + (isLetter ? 1 : 0) { return "dead letters are miscounted" }
    case .condemned(let number, _):
      if after.committed != before.committed { return "condemning moved the cursor" }
      if was.intent.first != before.committed || events.front != number { return "condemned out of turn" }
      if now?.events?.condemned?.event != number || now?.events?.settled != events.settled { return "not condemned" }
    }
    return nil
  }

  private static let singleMoves: [Move] = {
    var moves: [Move] = [.acquire, .pass(1), .pass(3), .seek(0, givingUp: true, 1), .acknowledge(0, 1, 1)]
    let batches = [(0, 2, 2), (0, 3, 2), (2, 3, 1), (2, 3, nil)] as [(UInt64, UInt64, Int?)]
    for epoch in 1...2 as ClosedRange<UInt32> {
      for (first, last, count) in batches {
        moves.append(.begin(intent(first, last, id: "\(first)-\(last)", singleEvents: count), epoch))
      }
      for id in ["0-2", "0-3", "2-3"] {
        moves.append(.complete(id, epoch))
        for numbers in [[0], [1], [0, 1], [1, 0], [], [0, 0], [2]] {
          moves.append(.settle(id, .settled(numbers, receipt: "ok"), epoch))
        }
        for number in 0...2 { moves.append(.settle(id, .condemned(number, reason: "no"), epoch)) }
      }
      moves.append(.replace("0-2", intent(0, 1), nil, epoch))
      for (first, last) in [(0, 2), (1, 2), (2, 3)] as [(UInt64, UInt64)] {
        moves.append(.acknowledge(first, last, epoch))
      }
    }
    return moves
  }()

  @Test func `single events are settled once and condemned in turn, and the batch is done with the last`() {
    let start = CursorState(startingAt: .zero)
    var seen: Set<CursorState> = [start]
    var frontier: [CursorState] = [start]
    var taken = 0
    for _ in 0..<9 {
      var next: [CursorState] = []
      for state in frontier {
        for move in Self.singleMoves {
          guard let after = try? move.applied(to: state) else { continue }
          taken += 1
          if let wrong = Self.wrong(state, move, after) { Issue.record("\(move) on \(state): \(wrong)") }
          if let copy = try? CursorRecord(
            decoding: CursorRecord(logID: Array(1...16), name: "a", state: after).encoded()), copy.state != after
          {
            Issue.record("\(after) is read back as \(copy.state)")
          }
          if after.epoch <= 2, seen.insert(after).inserted { next.append(after) }
        }
      }
      frontier = next
    }
    #expect(seen.count > 300 && taken > 2_000, "\(seen.count) states, \(taken) moves")
    #expect(seen.contains { $0.inFlight.count == 2 && $0.inFlight[1].isDelivered && $0.inFlight[1].events != nil })
    #expect(seen.contains { $0.inFlight.first?.events?.condemned?.event == 1 })
    #expect(seen.contains { $0.consecutiveDeadLetters == 3 && $0.committed == Self.end })
    #expect(seen.contains { $0.lost == .zero..<Offset(3) || $0.lost == .zero..<Offset(2) })
  }

  @Test func `no sequence of moves reaches a state that contradicts itself`() {
    let start = CursorState(startingAt: .zero)
    var seen: Set<CursorState> = [start]
    var frontier: [CursorState] = [start]
    var taken = 0
    for _ in 0..<6 {
      var next: [CursorState] = []
      for state in frontier {
        for move in Self.moves {
          guard let after = try? move.applied(to: state) else { continue }
          taken += 1
          if let wrong = Self.wrong(state, move, after) { Issue.record("\(move) on \(state): \(wrong)") }
          if after.epoch <= 2, seen.insert(after).inserted { next.append(after) }
        }
      }
      frontier = next
    }
    #expect(seen.count > 50 && taken > 500, "\(seen.count) states, \(taken) moves")
    // Everything of interest was reached.
    #expect(seen.contains { $0.inFlight.count == 3 })
    #expect(seen.contains { $0.inFlight.contains { $0.isDelivered } })
    #expect(seen.contains { $0.committed == Self.end })
    #expect(seen.contains { $0.reserved.count == 2 } && seen.contains { $0.consecutiveDeadLetters == 2 })
    #expect(seen.contains { !$0.reserved.isEmpty && $0.inFlight.contains { $0.isDelivered } })
    #expect(seen.contains { $0.lost != nil && !$0.reserved.isEmpty })
    #expect(seen.contains { $0.lost != nil && !$0.inFlight.isEmpty })
    #expect(seen.contains { $0.lastReceipt?.hasPrefix("given up") == true && !$0.inFlight.isEmpty })
    #expect(seen.contains { state in state.lost.map { $0.upperBound < state.committed } ?? false })
  }

  /// The offsets that are still to be delivered.
  private static func todo(_ state: CursorState) -> Set<Offset> {
    Set(
      (0..<end.rawValue).map { Offset($0) }.filter { offset in
        offset >= state.nextFirst || state.reserved.contains { $0.contains(offset) }
          || state.inFlight.contains { !$0.isDelivered && $0.intent.first <= offset && offset < $0.intent.end }
      })
  }

  /// Nothing but the lost records, and the open batches that hold some, is done with by it.
  private static func wrongPassing(_ before: CursorState, _ gap: Range<Offset>, _ after: CursorState) -> String? {
    let hit = before.inFlight.filter {
      !$0.isDelivered && $0.intent.first < gap.upperBound && gap.lowerBound < $0.intent.end
    }
    let expected = todo(before).filter { offset in
      !gap.contains(offset) && !hit.contains { $0.intent.first <= offset && offset < $0.intent.end }
    }
    if todo(after) != expected { return "to be delivered are \(todo(after)), not \(expected)" }
    if after.committed != (expected.min() ?? end) { return "committed is \(after.committed)" }
    for open in before.inFlight where !hit.contains(open) && open.intent.end > after.committed {
      if !after.inFlight.contains(open) { return "\(open.intent.id) changed" }
    }
    return after.lastReceipt?.contains("records") == true ? nil : "it is not noted"
  }

  /// What a move did that it must not do.
  private static func wrong(_ before: CursorState, _ move: Move, _ after: CursorState) -> String? {
    if let violation = after.violations(durableEnd: end).first { return violation }
    if let epoch = move.epoch, epoch != before.epoch { return "a move of another epoch was taken" }
    var isAcquiring = false
    if case .acquire = move { isAcquiring = true }
    if after.epoch != before.epoch + (isAcquiring ? 1 : 0) { return "the epoch is \(after.epoch)" }
    if after.committed < before.committed {
      guard case .seek = move else { return "committed fell" }
    }
    // What is lost is forgotten by nobody but those who say so, and nothing new is begun before.
    switch move {
    case .pass, .acknowledge, .seek: break
    case .begin where before.lost != nil, .commit where before.lost != nil: return "went on over a loss"
    default: if after.lost != before.lost { return "the loss changed" }
    }
    switch move {
    case .seek(let offset, let isGivingUp, _):
      if !before.inFlight.isEmpty, !isGivingUp { return "a batch was given up unasked" }
      let isMoved = after.committed == Offset(offset) && after.inFlight.isEmpty && after.reserved.isEmpty
      let isElseEqual = after.lost == nil && after.epoch == before.epoch && after.lastReceipt == before.lastReceipt
      return isMoved && isElseEqual && after.consecutiveDeadLetters == before.consecutiveDeadLetters
        ? nil : "the seek did more, or less, than move"
    case .pass(let start): return wrongPass(before, Offset(start), after)
    case .acknowledge(let first, let last, _):
      let gap = Offset(first)..<Offset(last)
      if let lost = before.lost {
        let isIt = gap == lost && after.lost == nil && after.committed == before.committed
        return isIt ? nil : "acknowledged another loss"
      }
      return wrongPassing(before, gap, after)
    case .acquire:
      return after.inFlight == before.inFlight && after.committed == before.committed ? nil : "acquiring changed more"
    case .begin(let intent, _):
      let others = after.inFlight.filter { $0.intent != intent }
      let isAdded = others == before.inFlight && after.inFlight.count == others.count + 1
      let wasFree = intent.first >= before.nextFirst || before.reserved.contains { $0.contains(intent.first) }
      return isAdded && wasFree && after.committed == before.committed ? nil : "beginning did more than add"
    case .replace(let id, let intent, let rejectionReason, _):
      let others = { (state: CursorState, name: String) in state.inFlight.filter { $0.intent.id.rawValue != name } }
      guard others(after, intent.id.rawValue) == others(before, id) else { return "others were replaced, too" }
      // Only the front of the oldest batch may be passed, and only for a record that is not sent again.
      let front = before.inFlight.first { $0.intent.id.rawValue == id }?.intent.first
      let mayPass = rejectionReason != nil && front == before.committed
      guard after.committed == (mayPass ? intent.first : before.committed) else { return "it moved" }
      guard after.nextFirst == before.nextFirst else { return "its end moved" }
      let new = after.inFlight.first { $0.intent == intent }
      return new?.rejectionReason == rejectionReason && new?.isDelivered == false ? nil : "it is not in the place"
    case .complete(let id, _):
      let undelivered = before.inFlight.filter { !$0.isDelivered && $0.intent.id.rawValue != id }.map(\.intent)
      if after.inFlight.filter({ !$0.isDelivered }).map(\.intent) != undelivered { return "others were delivered, too" }
      if let first = undelivered.first, after.committed > first.first { return "committed passed an open intent" }
      if let hole = before.reserved.first, after.committed > hole.lowerBound {
        return "committed passed what is reserved"
      }
      if undelivered.isEmpty, before.reserved.isEmpty, after.committed != before.nextFirst {
        return "all are delivered, not all committed"
      }
    case .commit(let offset, _):
      if after.committed != Offset(offset) || !before.inFlight.isEmpty { return "moved among open intents" }
    case .settle(let id, let change, _): return wrongSettling(before, id, change, after)
    }
    return nil
  }

  /// What retention may do to a cursor: nothing it has passed; else every undelivered record below the start, and whole
  /// batches, are in the loss.
  private static func wrongPass(_ before: CursorState, _ start: Offset, _ after: CursorState) -> String? {
    guard start > before.committed else { return after == before ? nil : "passed a cursor that was beyond" }
    guard let lost = after.lost else { return "the loss is not kept" }
    if after.committed < start { return "the cursor still needs what is gone" }
    if lost.lowerBound != before.lost?.lowerBound ?? before.committed { return "the loss begins at \(lost.lowerBound)" }
    let cut = before.inFlight.filter { $0.intent.first < start }
    let undelivered = cut.filter { !$0.isDelivered }.map(\.intent.end).max() ?? .zero
    let notSent = before.reserved.filter { $0.lowerBound < start }.map { min($0.upperBound, start) }.max() ?? .zero
    let end = start > before.nextFirst ? start : max(undelivered, notSent)
    if after.reserved.contains(where: { $0.lowerBound < start }) { return "what is gone is reserved" }
    if lost.upperBound != end { return "the loss ends at \(lost.upperBound), not \(end)" }
    let kept = before.inFlight.filter { $0.intent.first >= start }
    let open = kept.filter { !$0.isDelivered }
    if after.inFlight.filter({ !$0.isDelivered }) != open { return "later batches are not as before" }
    return nil
  }

  @Test func `a batch in flight that is cut is given up whole, and its confirmation is refused with the gap`() throws {
    var state = CursorState(startingAt: .zero).acquired()
    for (first, end) in [(0, 3), (3, 6), (6, 9)] as [(UInt64, UInt64)] {
      state = try state.beginning(intent(first, end), epoch: 1, durableEnd: Offset(20))
    }
    state = try state.completing(DeliveryID("3-6"), receipt: "", epoch: 1)
    state = state.passed(upTo: Offset(1))
    #expect(state.lost == .zero..<Offset(3) && state.committed == Offset(6), "the batch behind it is delivered")
    #expect(state.inFlight.map(\.intent.id.rawValue) == ["6-9"])
    #expect(throws: CursorMoveError.lost(.zero..<Offset(3))) {
      try state.completing(DeliveryID("0-3"), receipt: "", epoch: 1)
    }
    #expect(throws: CursorMoveError.lost(.zero..<Offset(3))) {
      try state.beginning(intent(9, 10), epoch: 1, durableEnd: Offset(20))
    }
    // Retention goes on before anybody has seen the first loss: one range, and the old word for it does not count.
    state = state.passed(upTo: Offset(15))
    #expect(state.lost == .zero..<Offset(15) && state.committed == Offset(15) && state.inFlight.isEmpty)
    #expect(throws: CursorMoveError.lost(.zero..<Offset(15))) {
      try state.acknowledging(.zero..<Offset(3), epoch: 1, durableEnd: Offset(20))
    }
    state = try state.acknowledging(.zero..<Offset(15), epoch: 1, durableEnd: Offset(20))
    #expect(state.lost == nil && state.committed == Offset(15))
    #expect(try state.beginning(intent(15, 16), epoch: 1, durableEnd: Offset(20)).inFlight.count == 1)
  }

  @Test func `a rejected batch is split without a hole, and what is reserved goes in parts, in order`() throws {
    var state = CursorState(startingAt: .zero).acquired()
    state = try state.beginning(intent(0, 8), epoch: 1, durableEnd: Offset(9))
    state = try state.beginning(intent(8, 9), epoch: 1, durableEnd: Offset(9))
    state = try state.replacing(DeliveryID("0-8"), with: intent(0, 4), rejectionReason: nil, epoch: 1)
    #expect(state.reserved == [Offset(4)..<Offset(8)] && state.nextFirst == Offset(9))
    state = try state.completing(DeliveryID("8-9"), receipt: "", epoch: 1)
    state = try state.completing(DeliveryID("0-4"), receipt: "", epoch: 1)
    #expect(state.committed == Offset(4), "what is reserved is not passed")
    #expect(throws: CursorMoveError.self) {
      try state.beginning(intent(4, 9), epoch: 1, durableEnd: Offset(9))
    }
    state = try state.beginning(intent(4, 5), epoch: 1, durableEnd: Offset(9))
    #expect(state.reserved == [Offset(5)..<Offset(8)])
    state = try state.replacing(DeliveryID("4-5"), with: intent(4, 5), rejectionReason: "422", epoch: 1)
    state = try state.completing(DeliveryID("4-5"), receipt: "", epoch: 1)
    #expect(state.consecutiveDeadLetters == 1)
    state = try state.beginning(intent(5, 8), epoch: 1, durableEnd: Offset(9))
    state = try state.completing(DeliveryID("5-8"), receipt: "", epoch: 1)
    #expect(state.committed == Offset(9) && state.consecutiveDeadLetters == 0 && state.inFlight.isEmpty)
  }

  @Test func `nothing delivered or condemned is replaced, and only a single record is condemned`() throws {
    let held = CursorState(startingAt: .zero).acquired()
    let open = try held.beginning(intent(0, 2), epoch: 1, durableEnd: Offset(9))
    func isRefused(_ state: CursorState, _ intent: Intent, _ rejectionReason: String?, epoch: UInt32 = 1) -> Bool {
      (try? state.replacing(DeliveryID("0-2"), with: intent, rejectionReason: rejectionReason, epoch: epoch)) == nil
    }
    #expect(isRefused(open, intent(0, 2), "no") && isRefused(open, intent(0, 2), nil))
    #expect(isRefused(open, intent(1, 2), nil) && isRefused(open, intent(0, 3), nil))
    #expect(!isRefused(open, intent(1, 2), "no") && isRefused(open, intent(2, 3), "no"))
    #expect(isRefused(open, intent(0, 1), nil, epoch: 2) && isRefused(held, intent(0, 1), nil))
    #expect(!isRefused(open, intent(0, 1), nil) && !isRefused(open, intent(0, 1), "no"))
    let one = try open.replacing(DeliveryID("0-2"), with: intent(0, 1, id: "a"), rejectionReason: "no", epoch: 1)
    #expect(throws: CursorMoveError.self) {
      try one.replacing(DeliveryID("a"), with: intent(0, 1), rejectionReason: nil, epoch: 1)
    }
    var behind = try open.beginning(intent(2, 4), epoch: 1, durableEnd: Offset(9))
    // It is not the oldest, so what lies before it may still have to be sent.
    #expect(throws: CursorMoveError.self) {
      try behind.replacing(DeliveryID("2-4"), with: intent(3, 4), rejectionReason: "no", epoch: 1)
    }
    behind = try behind.completing(DeliveryID("2-4"), receipt: "", epoch: 1)
    #expect(throws: CursorMoveError.self) {
      try behind.replacing(DeliveryID("2-4"), with: intent(2, 3), rejectionReason: nil, epoch: 1)
    }
  }

  @Test func `the rejected record of a batch may lie further on, where the records before it are nobody's`() throws {
    var state = CursorState(startingAt: .zero).acquired()
    state = try state.beginning(intent(0, 8), epoch: 1, durableEnd: Offset(9))
    state = try state.beginning(intent(8, 9), epoch: 1, durableEnd: Offset(9))
    state = try state.replacing(DeliveryID("0-8"), with: intent(5, 6), rejectionReason: "422", epoch: 1)
    #expect(state.committed == Offset(5) && state.reserved == [Offset(6)..<Offset(8)])
    state = try state.completing(DeliveryID("5-6"), receipt: "", epoch: 1)
    #expect(state.committed == Offset(6) && state.nextFirst == Offset(9))
    // Behind what is reserved, nothing may be passed.
    #expect(throws: CursorMoveError.self) {
      let behind = try state.beginning(intent(6, 7), epoch: 1, durableEnd: Offset(9))
      let wide = try behind.replacing(DeliveryID("8-9"), with: intent(8, 9), rejectionReason: "no", epoch: 1)
      _ = try wide.replacing(DeliveryID("6-7"), with: intent(7, 8), rejectionReason: "no", epoch: 1)
    }
  }

  @Test func `a commit and the next beginning are one move, or the commit alone`() throws {
    let open = try CursorState(startingAt: .zero).acquired().beginning(intent(0, 2), epoch: 1, durableEnd: Offset(3))
    func both(_ next: Intent?, of state: CursorState) throws -> CursorState {
      try state.completing(DeliveryID("0-2"), receipt: "", beginning: next, epoch: 1, durableEnd: Offset(3))
    }
    let alone = try open.completing(DeliveryID("0-2"), receipt: "", epoch: 1)
    #expect(try both(intent(2, 3), of: open) == alone.beginning(intent(2, 3), epoch: 1, durableEnd: Offset(3)))
    // It begins elsewhere, or past the end.
    for next in [intent(1, 3), intent(2, 4), nil] { #expect(try both(next, of: open) == alone) }
    let passed = open.passed(upTo: Offset(2))
    #expect(throws: CursorMoveError.lost(.zero..<Offset(2))) { try both(intent(2, 3), of: passed) }
  }

  @Test func `every refusal says why, and has no effect`() throws {
    let held = CursorState(startingAt: Offset(1)).acquired()
    func refusal(_ move: (CursorState) throws -> CursorState, of state: CursorState = held) -> CursorMoveError? {
      do { _ = try move(state) } catch { return error as? CursorMoveError }
      return nil
    }
    let fenced = CursorMoveError.fenced(held: 1, attempted: 2)
    #expect(refusal { try $0.beginning(intent(1, 2), epoch: 2, durableEnd: Self.end) } == fenced)
    #expect(refusal { try $0.completing(DeliveryID("x"), receipt: "", epoch: 2) } == fenced)
    #expect(refusal { try $0.committing(to: Offset(2), epoch: 2, durableEnd: Self.end) } == fenced)
    #expect(refusal { try $0.seeking(to: Offset(2), epoch: 2, durableEnd: Self.end) } == fenced)
    #expect(
      refusal { try $0.beginning(intent(0, 2), epoch: 1, durableEnd: Self.end) }
        == .outOfOrder(expected: Offset(1), found: .zero))
    #expect(
      refusal { try $0.beginning(intent(1, 4), epoch: 1, durableEnd: Self.end) }
        == .outOfOrder(expected: Offset(3), found: Offset(4)))
    #expect(refusal { try $0.completing(DeliveryID("x"), receipt: "", epoch: 1) } == .unknownIntent(DeliveryID("x")))
    #expect(
      refusal { try $0.committing(to: .zero, epoch: 1, durableEnd: Self.end) }
        == .outOfOrder(expected: Offset(1), found: .zero))
    #expect(
      refusal { try $0.seeking(to: Offset(4), epoch: 1, durableEnd: Self.end) }
        == .outOfOrder(expected: Self.end, found: Offset(4)))
    let open = try held.beginning(intent(1, 2), epoch: 1, durableEnd: Self.end)
    #expect(refusal({ try $0.committing(to: Offset(2), epoch: 1, durableEnd: Self.end) }, of: open) == .intentsOpen(1))
    #expect(refusal({ try $0.seeking(to: Offset(2), epoch: 1, durableEnd: Self.end) }, of: open) == .intentsOpen(1))
    let givingUp = try open.seeking(to: Offset(2), givingUpBatches: true, epoch: 1, durableEnd: Self.end)
    #expect(givingUp.inFlight.isEmpty && givingUp.nextFirst == Offset(2))
  }

  @Test func `an intent is refused when it is malformed`() throws {
    let held = CursorState(startingAt: .zero).acquired()
    func isMalformed(_ intent: Intent, on state: CursorState = held) -> Bool {
      do { _ = try state.beginning(intent, epoch: 1, durableEnd: Self.end) } catch {
        if case .malformedIntent = error { return true }
      }
      return false
    }
    #expect(isMalformed(intent(0, 1, digest: 31)) && isMalformed(intent(0, 1, digest: 33)))
    #expect(isMalformed(intent(0, 1, plan: Intent.maxPlanBytes + 1)))
    #expect(!isMalformed(intent(0, 1, plan: Intent.maxPlanBytes)))
    // A name that fits no slot must be refused here, not end the process when it is written.
    #expect(isMalformed(intent(0, 1, id: String(repeating: "x", count: 70_000))))
    #expect(isMalformed(intent(0, 1, id: "")))
    let open = try held.beginning(intent(0, 1, id: "a"), epoch: 1, durableEnd: Self.end)
    #expect(isMalformed(intent(1, 2, id: "a"), on: open))
  }

  @Test func `four intents may be open, not five`() throws {
    var state = CursorState(startingAt: .zero).acquired()
    for first in 0..<4 as Range<UInt64> {
      state = try state.beginning(intent(first, first + 1), epoch: 1, durableEnd: Offset(9))
    }
    #expect(throws: CursorMoveError.tooManyInFlight) {
      try state.beginning(intent(4, 5), epoch: 1, durableEnd: Offset(9))
    }
    // Delivered out of order: committed waits for the first, then passes all that are done.
    state = try state.completing(DeliveryID("1-2"), receipt: "", epoch: 1)
    state = try state.completing(DeliveryID("2-3"), receipt: "", epoch: 1)
    #expect(state.committed == .zero && state.inFlight.count == 4)
    state = try state.completing(DeliveryID("0-1"), receipt: "", epoch: 1)
    #expect(state.committed == Offset(3) && state.inFlight.map(\.intent.id.rawValue) == ["3-4"])
  }

  @Test func `of a receipt at most 256 bytes are kept, and whole characters`() throws {
    for prefix in 0..<5 {
      let receipt = String(repeating: "x", count: prefix) + String(repeating: "🚰", count: 100)
      var state = CursorState(startingAt: .zero).acquired()
      state = try state.beginning(intent(0, 1), epoch: 1, durableEnd: Self.end)
      state = try state.completing(DeliveryID("0-1"), receipt: receipt, epoch: 1)
      let kept = try #require(state.lastReceipt)
      #expect(kept.utf8.count <= 256 && kept.utf8.count > 252)
      #expect(receipt.hasPrefix(kept))
    }
  }

  @Test func `violations are seen`() {
    func state(_ committed: UInt64, _ intents: (UInt64, UInt64, Bool)...) -> CursorState {
      CursorState(
        restoring: Offset(committed), epoch: 1,
        inFlight: intents.map { CursorState.OpenIntent(intent: intent($0.0, $0.1), isDelivered: $0.2) },
        lastReceipt: nil)
    }
    #expect(state(0, (0, 1, false), (1, 3, true)).violations(durableEnd: Self.end).isEmpty)
    #expect(!state(4).violations(durableEnd: Self.end).isEmpty)
    #expect(!state(0, (1, 2, false)).violations(durableEnd: Self.end).isEmpty)
    #expect(!state(0, (0, 0, false)).violations(durableEnd: Self.end).isEmpty)
    #expect(!state(0, (0, 4, false)).violations(durableEnd: Self.end).isEmpty)
    #expect(!state(0, (0, 1, true)).violations(durableEnd: Self.end).isEmpty)
    #expect(!state(0, (0, 1, false), (2, 3, false)).violations(durableEnd: Self.end).isEmpty)
    let five = CursorState(
      restoring: .zero, epoch: 1,
      inFlight: (0..<5 as Range<UInt64>).map {
        CursorState.OpenIntent(intent: intent($0, $0 + 1), isDelivered: false)
      }, lastReceipt: nil)
    #expect(!five.violations(durableEnd: Offset(9)).isEmpty)
  }
}
