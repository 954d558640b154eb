import PenstockLog
import Testing

/// Every sequence of moves up to a depth, in a world that small: three offsets, two holders, three intents.
@Suite struct CursorStateTests {
  private static let end = Offset(3)

  private static func intent(
    _ first: UInt64, _ end: UInt64, id: String? = nil, digest: Int = 32, plan: Int = 0
  ) -> Intent {
    Intent(
      id: DeliveryID(id ?? "\(first)-\(end)"), first: Offset(first), end: Offset(end),
      contentDigest: [UInt8](repeating: 1, count: digest), plan: [UInt8](repeating: 2, count: plan),
      createdAt: Timestamp(nanoseconds: 5))
  }

  private enum Move: CustomStringConvertible {
    case acquire
    case begin(Intent, UInt32)
    case complete(String, UInt32)
    case commit(UInt64, UInt32)
    case seek(UInt64, UInt32)

    var description: String {
      switch self {
      case .acquire: "acquire"
      case .begin(let intent, let epoch): "begin \(intent.id) as \(epoch)"
      case .complete(let id, let epoch): "complete \(id) as \(epoch)"
      case .commit(let offset, let epoch): "commit \(offset) as \(epoch)"
      case .seek(let offset, let epoch): "seek \(offset) as \(epoch)"
      }
    }

    var epoch: UInt32? {
      switch self {
      case .acquire: nil
      case .begin(_, let epoch), .complete(_, let epoch), .commit(_, let epoch), .seek(_, let epoch): epoch
      }
    }

    func applied(to state: CursorState) throws(CursorMoveError) -> CursorState {
      switch self {
      case .acquire: state.acquired()
      case .begin(let intent, let epoch): try state.beginning(intent, epoch: epoch, durableEnd: end)
      case .complete(let id, let epoch): try state.completing(DeliveryID(id), receipt: id, epoch: epoch)
      case .commit(let offset, let epoch): try state.committing(to: Offset(offset), epoch: epoch, durableEnd: end)
      case .seek(let offset, let epoch): try state.seeking(to: Offset(offset), epoch: epoch, durableEnd: end)
      }
    }
  }

  private static let moves: [Move] = {
    var moves: [Move] = [.acquire]
    for epoch in 0...2 as ClosedRange<UInt32> {
      for (first, last) in [(0, 1), (0, 2), (1, 2), (2, 3), (1, 1), (2, 4), (2, 1)] as [(UInt64, UInt64)] {
        moves.append(.begin(intent(first, last), epoch))
      }
      for id in ["0-1", "0-2", "1-2", "2-3", "no"] { moves.append(.complete(id, epoch)) }
      for offset in [0, 1, 3, 4] as [UInt64] {
        moves.append(.commit(offset, epoch))
        moves.append(.seek(offset, epoch))
      }
    }
    return moves
  }()

  @Test func `no sequence of moves reaches a state that contradicts itself`() {
    let start = CursorState(startingAt: .zero)
    var seen: Set<CursorState> = [start]
    var frontier: [CursorState] = [start]
    var taken = 0
    for _ in 0..<7 {
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
  }

  /// What a move did that it must not do.
  private static func wrong(_ before: CursorState, _ move: Move, _ after: CursorState) -> String? {
    if let violation = after.violations(durableEnd: end).first { return violation }
    if let epoch = move.epoch, epoch != before.epoch { return "a move of another epoch was taken" }
    if after.epoch != before.epoch + (move.epoch == nil ? 1 : 0) { return "the epoch is \(after.epoch)" }
    if after.committed < before.committed {
      guard case .seek = move else { return "committed fell" }
    }
    switch move {
    case .acquire:
      return after.inFlight == before.inFlight && after.committed == before.committed ? nil : "acquiring changed more"
    case .begin(let intent, _):
      let isAppended = after.inFlight.dropLast() == before.inFlight[...] && after.inFlight.last?.intent == intent
      return isAppended && after.committed == before.committed ? nil : "beginning did more than append"
    case .complete(let id, _):
      let undelivered = before.inFlight.filter { !$0.isDelivered && $0.intent.id.rawValue != id }.map(\.intent)
      if after.inFlight.filter({ !$0.isDelivered }).map(\.intent) != undelivered { return "others were delivered, too" }
      if let first = undelivered.first, after.committed > first.first { return "committed passed an open intent" }
      if undelivered.isEmpty, after.committed != before.nextFirst { return "all are delivered, not all committed" }
    case .commit(let offset, _), .seek(let offset, _):
      if after.committed != Offset(offset) || !before.inFlight.isEmpty { return "moved among open intents" }
    }
    return nil
  }

  @Test func `every refusal says why, and has no effect`() throws {
    let held = CursorState(startingAt: Offset(1)).acquired()
    func refusal(_ move: (CursorState) throws -> CursorState, of state: CursorState = held) -> CursorMoveError? {
      do { _ = try move(state) } catch { return error as? CursorMoveError }
      return nil
    }
    let fenced = CursorMoveError.fenced(held: 1, attempted: 2)
    #expect(refusal { try $0.beginning(Self.intent(1, 2), epoch: 2, durableEnd: Self.end) } == fenced)
    #expect(refusal { try $0.completing(DeliveryID("x"), receipt: "", epoch: 2) } == fenced)
    #expect(refusal { try $0.committing(to: Offset(2), epoch: 2, durableEnd: Self.end) } == fenced)
    #expect(refusal { try $0.seeking(to: Offset(2), epoch: 2, durableEnd: Self.end) } == fenced)
    #expect(
      refusal { try $0.beginning(Self.intent(0, 2), epoch: 1, durableEnd: Self.end) }
        == .outOfOrder(expected: Offset(1), found: .zero))
    #expect(
      refusal { try $0.beginning(Self.intent(1, 4), epoch: 1, durableEnd: Self.end) }
        == .outOfOrder(expected: Offset(3), found: Offset(4)))
    #expect(refusal { try $0.completing(DeliveryID("x"), receipt: "", epoch: 1) } == .unknownIntent(DeliveryID("x")))
    #expect(
      refusal { try $0.committing(to: .zero, epoch: 1, durableEnd: Self.end) }
        == .outOfOrder(expected: Offset(1), found: .zero))
    #expect(
      refusal { try $0.seeking(to: Offset(4), epoch: 1, durableEnd: Self.end) }
        == .outOfOrder(expected: Self.end, found: Offset(4)))
    let open = try held.beginning(Self.intent(1, 2), epoch: 1, durableEnd: Self.end)
    #expect(refusal({ try $0.committing(to: Offset(2), epoch: 1, durableEnd: Self.end) }, of: open) == .intentsOpen(1))
    #expect(refusal({ try $0.seeking(to: Offset(2), epoch: 1, durableEnd: Self.end) }, of: open) == .intentsOpen(1))
  }

  @Test func `an intent is refused when it is malformed`() throws {
    let held = CursorState(startingAt: .zero).acquired()
    func isMalformed(_ intent: Intent, on state: CursorState = held) -> Bool {
      do { _ = try state.beginning(intent, epoch: 1, durableEnd: Self.end) } catch {
        if case .malformedIntent = error { return true }
      }
      return false
    }
    #expect(isMalformed(Self.intent(0, 1, digest: 31)) && isMalformed(Self.intent(0, 1, digest: 33)))
    #expect(isMalformed(Self.intent(0, 1, plan: Intent.maxPlanBytes + 1)))
    #expect(!isMalformed(Self.intent(0, 1, plan: Intent.maxPlanBytes)))
    // A name that fits no slot must be refused here, not end the process when it is written.
    #expect(isMalformed(Self.intent(0, 1, id: String(repeating: "x", count: 70_000))))
    #expect(isMalformed(Self.intent(0, 1, id: "")))
    let open = try held.beginning(Self.intent(0, 1, id: "a"), epoch: 1, durableEnd: Self.end)
    #expect(isMalformed(Self.intent(1, 2, id: "a"), on: open))
  }

  @Test func `four intents may be open, not five`() throws {
    var state = CursorState(startingAt: .zero).acquired()
    for first in 0..<4 as Range<UInt64> {
      state = try state.beginning(Self.intent(first, first + 1), epoch: 1, durableEnd: Offset(9))
    }
    #expect(throws: CursorMoveError.tooManyInFlight) {
      try state.beginning(Self.intent(4, 5), epoch: 1, durableEnd: Offset(9))
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
      state = try state.beginning(Self.intent(0, 1), epoch: 1, durableEnd: Self.end)
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
        inFlight: intents.map { CursorState.OpenIntent(intent: Self.intent($0.0, $0.1), isDelivered: $0.2) },
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
        CursorState.OpenIntent(intent: Self.intent($0, $0 + 1), isDelivered: false)
      }, lastReceipt: nil)
    #expect(!five.violations(durableEnd: Offset(9)).isEmpty)
  }
}
