import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockDelivery

@Suite("What ends the wait of a delivery", .timeLimit(.minutes(3))) struct WaitTests {
  private static let waits = [nil, Offset(7)].flatMap { offset in
    [nil, MonotonicInstant(sinceStart: .seconds(5))].flatMap { deadline in
      [false, true].map { Wait(recordsPast: offset, isRouted: $0, deadline: deadline) }
    }
  }

  private static let answer = DeliveryAnswer(
    batch: DeliveryID("a"), event: nil,
    intent: Intent(
      id: DeliveryID("a"), first: .zero, end: Offset(1), contentDigest: [], plan: [],
      createdAt: Timestamp(nanoseconds: 0)),
    attempt: 1, number: 1, outcome: .delivered(receipt: ""), start: MonotonicInstant(sinceStart: .zero),
    end: MonotonicInstant(sinceStart: .zero))

  @Test func `each mark ends the waits that want it and no other, whatever else is marked`() {
    var count = 0
    for bits in 0..<32 {
      for seen in [nil, Wakeup.records, .sourceClosed, .time] {
        for wait in Self.waits {
          var commands = DeliveryCommands()
          (commands.stop, commands.retry, commands.pauseChanged) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0)
          if bits & 8 > 0 { commands.answers = [Self.answer] }
          commands.routerCalls = bits & 16 > 0
          if let seen { commands.see(seen) }
          let wanted: Wakeup? = bits & 15 > 0 ? .signal : wait.isRouted && bits & 16 > 0 ? .records : seen
          #expect(commands.wakeup(for: wait) == wanted, "\(commands) \(wait)")
          // What was seen for one wait does not end the next. A signal, and a call of the router, does.
          commands.beginWait()
          let left: Wakeup? = bits & 15 > 0 ? .signal : wait.isRouted && bits & 16 > 0 ? .records : nil
          #expect(commands.wakeup(for: wait) == left)
          count += 1
        }
      }
    }
    #expect(count == 32 * 4 * 8)
  }

  @Test func `the first that a task sees counts`() {
    var commands = DeliveryCommands()
    commands.see(.time)
    commands.see(.records)
    #expect(commands.seen == .time)
  }

  @Test func `a call of the router during the look, or after it, is not lost`() {
    let commands = AsyncCondition(DeliveryCommands())
    let wait = Wait(recordsPast: .zero, isRouted: true)
    commands.update { $0.routerCalls = true }
    #expect(commands.answerRouter { 1 } == 1)
    #expect(commands.value.wakeup(for: wait) == nil)
    commands.answerRouter { _ = commands.update { $0.routerCalls = true } }
    #expect(commands.value.wakeup(for: wait) == .records)
  }

  // MARK: Every order

  /// A delivery that takes what there is and waits, and those who wake it, step by step.
  private struct World: Hashable {
    enum Step: Hashable { case answers, clear, look, begin, sleep, asleep, woken }
    var step = Step.answers
    var marks = Marks()
    /// What waits in the router, and whether its call for it is still to come.
    var (routed, owesCall) = (0, false)
    var isPaused = false
    /// What the delivery has taken or noted.
    var (taken, answered, pauseSeen, stopped) = (0, 0, false, false)
    /// What is still to happen.
    var (events, answers, pauses, stops) = (2, 2, 1, 1)

    /// The fields of the commands, which are not hashable.
    struct Marks: Hashable {
      var (stop, pauseChanged, routerCalls, answers) = (false, false, false, 0)

      var commands: DeliveryCommands {
        var commands = DeliveryCommands()
        (commands.stop, commands.pauseChanged, commands.routerCalls) = (stop, pauseChanged, routerCalls)
        commands.answers = Array(repeating: answer, count: answers)
        return commands
      }
    }
  }

  private static let routedWait = Wait(recordsPast: .zero, isRouted: true)

  /// What the delivery does next. Wrongly, where it looks before it removes the mark.
  private static func run(_ world: World, looksFirst: Bool) -> World? {
    var next = world
    switch world.step {
    case .answers:
      (next.answered, next.marks.answers) = (world.answered + world.marks.answers, 0)
      next.step = looksFirst ? .look : .clear
    case .clear:
      next.marks.routerCalls = false
      next.step = looksFirst ? .begin : .look
    case .look:
      (next.taken, next.routed) = (world.taken + world.routed, 0)
      next.step = looksFirst ? .clear : .begin
    case .begin: next.step = .sleep
    case .sleep: next.step = .asleep
    case .asleep:
      guard let wakeup = world.marks.commands.wakeup(for: routedWait) else { return nil }
      next.step = wakeup == .signal ? .woken : .answers
    case .woken:
      next.marks.pauseChanged = false
      if world.marks.pauseChanged { next.pauseSeen = world.isPaused }
      // It ends, and waits for nothing any more.
      (next.stopped, next.marks.stop) = (world.stopped || world.marks.stop, false)
      next.step = .answers
    }
    return next
  }

  /// What others may do now.
  private static func others(_ world: World) -> [World] {
    var found: [World] = []
    func add(_ isPossible: Bool, _ change: (inout World) -> Void) {
      guard isPossible else { return }
      var next = world
      change(&next)
      found.append(next)
    }
    // The router calls after it has released its lock, and only for the first event.
    add(world.events > 0) { next in
      next.events -= 1
      if next.routed == 0 { next.owesCall = true }
      next.routed += 1
    }
    add(world.owesCall) { ($0.owesCall, $0.marks.routerCalls) = (false, true) }
    add(world.answers > 0) { ($0.answers, $0.marks.answers) = ($0.answers - 1, $0.marks.answers + 1) }
    add(world.pauses > 0) { ($0.pauses, $0.isPaused) = (0, true) }
    add(world.isPaused && !world.pauseSeen && world.pauses == 0) { $0.marks.pauseChanged = true }
    add(world.stops > 0) { ($0.stops, $0.marks.stop) = (0, true) }
    return found
  }

  /// Worlds in which the delivery sleeps for good and has missed something; and how many worlds there are.
  private static func search(looksFirst: Bool) -> (missed: [World], worlds: Int) {
    var (open, seen, missed): ([World], Set<World>, [World]) = ([World()], [World()], [])
    while let world = open.popLast() {
      let (moved, others) = (run(world, looksFirst: looksFirst), others(world))
      if moved == nil, others.isEmpty {
        if world.taken < 2 || world.answered < 2 || !world.pauseSeen || !world.stopped { missed.append(world) }
      }
      for next in others + [moved].compactMap({ $0 }) where seen.insert(next).inserted { open.append(next) }
    }
    return (missed, seen.count)
  }

  @Test func `in every order of calls, answers, a pause and a stop, nothing is missed`() {
    let (missed, worlds) = Self.search(looksFirst: false)
    #expect(missed.isEmpty && worlds > 3_000, "\(worlds) worlds, \(missed.first.map { "\($0)" } ?? "")")
    #expect(!Self.search(looksFirst: true).missed.isEmpty, "looking before the mark is removed misses events")
  }

  // MARK: The shell

  @Test func `a wait for signals alone holds no task, and a cancelled one is a signal`() async {
    let rig = DeliveryRig()
    let waiter = DeliveryWaiter(source: rig.source, clock: rig.clock, commands: AsyncCondition(DeliveryCommands()))
    #expect(Wait(recordsPast: .zero, isRouted: true).isForSignalsOnly && Wait().isForSignalsOnly)
    #expect(!Wait(recordsPast: .zero).isForSignalsOnly)
    #expect(!Wait(isRouted: true, deadline: MonotonicInstant(sinceStart: .zero)).isForSignalsOnly)
    for wait in Self.waits {
      let waiting = Task { await waiter.wakeup(for: wait) }
      waiting.cancel()
      #expect(await waiting.value == .signal)
    }
  }

  @Test func `time, records and the end of the source end a wait for them, and the next one waits again`() async {
    let rig = DeliveryRig()
    let waiter = DeliveryWaiter(source: rig.source, clock: rig.clock, commands: AsyncCondition(DeliveryCommands()))
    for round in 1...3 {
      let deadline = MonotonicInstant(sinceStart: .seconds(round))
      let waiting = Task { await waiter.wakeup(for: Wait(recordsPast: rig.source.end, deadline: deadline)) }
      await rig.clock.untilSomebodySleeps(until: deadline)
      rig.clock.advance(by: .seconds(1))
      #expect(await waiting.value == .time)
      let end = rig.source.end
      let reading = Task { await waiter.wakeup(for: Wait(recordsPast: end)) }
      rig.source.append("one more")
      #expect(await reading.value == .records)
    }
  }
}
