@testable import PenstockLog
import Testing

/// Every sequence of calls up to a length: a queue with a limit, two sizes, and who waits for it.
@Suite struct AdmissionQueueTests {
  enum Call: CaseIterable {
    case joinSmall, joinLarge, leaveFirst, leaveLast, useFirst, useLast, giveBack, newcomer, write
  }

  /// The line, a queue that is nothing but its bytes, and beside them what must be true.
  struct Model {
    static let limit = 10
    var line = AdmissionQueue<Int>()
    var queued = 0
    var joined: [(ticket: AdmissionTicket, bytes: Int)] = []
    /// Indices in `joined`.
    var (standing, admitted): ([Int], [Int]) = ([], [])
    var answered: Set<Int> = []

    func hasRoom(_ bytes: Int, _ kept: Int) -> Bool { queued + kept == 0 || queued + kept + bytes <= Self.limit }
    var kept: Int { admitted.reduce(0) { $0 + joined[$1].bytes } }

    /// Nil when the call is not possible now, else what is wrong ("" for nothing).
    mutating func apply(_ call: Call) -> String? {
      switch call {
      case .joinSmall, .joinLarge:
        let bytes = call == .joinSmall ? 4 : 15
        standing.append(joined.count)
        joined.append((line.join(bytes, joined.count), bytes))
      case .leaveFirst, .leaveLast:
        guard let index = call == .leaveFirst ? standing.first : standing.last else { return nil }
        if line.leave(joined[index].ticket) != index { return "somebody else left" }
        standing.removeAll { $0 == index }
        answered.insert(index)
      case .useFirst, .useLast, .giveBack:
        guard let index = call == .useLast ? admitted.last : admitted.first else { return nil }
        if line.leave(joined[index].ticket) != nil { return "left, and has its turn" }
        line.end(joined[index].ticket)
        line.end(joined[index].ticket)
        admitted.removeAll { $0 == index }
        if call != .giveBack { queued += joined[index].bytes }
      case .newcomer:
        // Comes by without a turn, and goes into the queue only where it overtakes nobody.
        guard line.isEmpty, hasRoom(4, line.reservedBytes) else { return nil }
        queued += 4
      case .write: queued = 0
      }
      for (ticket, index) in line.admit(hasRoom) {
        if standing.first != index || joined[index].ticket != ticket { return "it is not its turn" }
        standing.removeFirst()
        admitted.append(index)
        if !answered.insert(index).inserted { return "answered twice" }
      }
      if line.isEmpty != standing.isEmpty { return "the line is \(line.isEmpty ? "" : "not ")empty" }
      if line.reservedBytes != kept { return "keeps \(line.reservedBytes), should keep \(kept)" }
      if let first = standing.first, hasRoom(joined[first].bytes, kept) { return "waits while there is room" }
      let users = admitted.count + (queued > 0 ? 1 : 0)
      if users > 1, queued + kept > Self.limit { return "more than the queue holds" }
      return ""
    }
  }

  @Test func `turns come in the order of joining, room is kept for them, and nobody waits while there is some`() {
    #expect(explore(Model(), Call.allCases, upTo: 7) { $0.apply($1) } > 30_000)
  }

  @Test func `the end of the log lets everybody go, with nothing kept`() {
    var line = AdmissionQueue<Int>()
    let turns = (0..<3).map { line.join($0, $0) }
    #expect(line.dismiss().map(\.ticket) == turns && line.isEmpty && line.reservedBytes == 0)
    #expect(line.dismiss().isEmpty)
  }
}
