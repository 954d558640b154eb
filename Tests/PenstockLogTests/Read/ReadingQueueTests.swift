@testable import PenstockLog
import Testing

/// Every sequence of calls up to a length, with the threads that the queue asks for.
@Suite struct ReadingQueueTests {
  enum Call: CaseIterable {
    case joinShort, joinLong, leaveFirst, leaveLast, take, endTurn, finishFirst, finishLast, close
  }

  struct Model {
    static let mostReadings = 4
    var queue: ReadingQueue<Int>
    /// Threads that sleep, that are about to look, and what the others do.
    var (sleeping, looking): (Int, Int) = (0, 0)
    var running: [ReadingQueue<Int>.Entry] = []
    var waiting: [(ticket: ReadingQueue<Int>.Ticket, length: ReadingLength, number: Int)] = []
    var joined = 0
    var ended: Set<Int> = []

    init(limit: Int) { queue = ReadingQueue(limit: limit) }

    var longLimit: Int { max(1, queue.limit / 2) }
    var runningLong: Int { running.count { $0.length == .long } }
    /// The first that may run.
    var next: Int? { waiting.first { $0.length == .short || runningLong < longLimit }?.number }

    mutating func wakeOne() {
      guard sleeping > 0 else { return }
      (sleeping, looking) = (sleeping - 1, looking + 1)
    }

    /// Nil when the call is not possible now, else what is wrong ("" for nothing).
    mutating func apply(_ call: Call) -> String? {
      switch call {
      case .joinShort, .joinLong:
        guard joined < Self.mostReadings else { return nil }
        let length: ReadingLength = call == .joinShort ? .short : .long
        let ticket = queue.ticket()
        waiting.append((ticket, length, joined))
        if queue.join(ticket, length, joined) { looking += 1 } else { wakeOne() }
        joined += 1
      case .leaveFirst, .leaveLast:
        guard let place = call == .leaveFirst ? waiting.indices.first : waiting.indices.last else { return nil }
        let left = waiting.remove(at: place)
        if queue.leave(left.ticket) != left.number { return "another one left" }
        if queue.leave(left.ticket) != nil { return "left twice" }
        if !ended.insert(left.number).inserted { return "ended twice" }
      case .take:
        guard looking > 0 else { return nil }
        looking -= 1
        switch queue.take() {
        case .run(let entry):
          if entry.reading != next { return "\(entry.reading) overtakes \(next.map(String.init) ?? "nobody")" }
          waiting.removeAll { $0.number == entry.reading }
          running.append(entry)
        case .sleep:
          if queue.isClosed { return "sleeps after the end" }
          if next != nil { return "sleeps while there is work" }
          sleeping += 1
        case .exit: if !queue.isClosed || next != nil { return "ends while it may be needed" }
        }
      case .endTurn:
        guard let place = running.firstIndex(where: { $0.length == .short }) else { return nil }
        let (entry, another) = (running[place], next)
        if queue.leave(entry.ticket) != nil { return "left while it runs" }
        if queue.endTurn(entry) != (another == nil) { return "its turn is not over" }
        guard another != nil else { break }
        running.remove(at: place)
        waiting.append((entry.ticket, entry.length, entry.reading))
        looking += 1
      case .finishFirst, .finishLast:
        guard let place = call == .finishFirst ? running.indices.first : running.indices.last else { return nil }
        let entry = running.remove(at: place)
        queue.finish(entry)
        if queue.leave(entry.ticket) != nil { return "left, and is done" }
        if !ended.insert(entry.reading).inserted { return "ended twice" }
        looking += 1
      case .close:
        guard !queue.isClosed else { return nil }
        queue.close()
        (sleeping, looking) = (0, looking + sleeping)
      }
      return flaw ?? ""
    }

    private var flaw: String? {
      if queue.threads != sleeping + looking + running.count { return "\(queue.threads) threads are counted" }
      if queue.running != running.count || queue.runningLong != runningLong { return "\(queue.running) are busy" }
      if queue.threads > queue.limit { return "too many threads" }
      if runningLong > longLimit { return "too many long readings" }
      if queue.waiting.map(\.reading) != waiting.map(\.number) { return "\(queue.waiting) wait" }
      if next != nil, looking == 0, running.count < queue.limit { return "nobody looks for work" }
      return nil
    }

    /// Lets all threads work until they have nothing to do. Returns what is wrong then.
    func drained() -> String? {
      var model = self
      while model.looking > 0 || !model.running.isEmpty {
        let call: Call = model.looking > 0 ? .take : .finishFirst
        if let wrong = model.apply(call), wrong != "" { return wrong }
      }
      if !model.waiting.isEmpty || model.ended.count != model.joined { return "\(model.waiting) are never read" }
      if model.queue.isClosed, model.queue.threads > 0 { return "\(model.queue.threads) threads are left" }
      return nil
    }
  }

  @Test(arguments: 1...3)
  func `each reading is read or leaves, in its turn, and threads end with the queue`(limit: Int) {
    let tried = explore(Model(limit: limit), Call.allCases, upTo: 7) { model, call in
      guard let wrong = model.apply(call) else { return nil }
      return wrong == "" ? model.drained() ?? "" : wrong
    }
    #expect(tried > 20_000)
  }
}
