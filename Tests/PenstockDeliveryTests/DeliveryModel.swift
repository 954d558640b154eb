import PenstockDelivery
import PenstockLog

/// A delivery, its cursor, its destination and its dead letters as a model, small enough to be walked through whole.
///
/// The log has three records, of which the destination may want only some. A batch takes one or two of them. The
/// configuration of the sink may change at a crash, and the destination may answer anything at any time. Every event a
/// phase may meet is tried in every state that can be reached.
struct DeliveryModel: Hashable {
  struct Content: Hashable {
    let first: Offset, end: Offset
    let digest: [UInt8], plan: [UInt8]
  }

  var state: DeliveryState
  /// What is durable.
  var cursor: CursorState
  /// Where the cursor is in this process, if it has skipped records since.
  var ahead: CursorState?
  /// The offsets that the destination wants.
  let wanted: Set<UInt64>
  /// Whether every range is part of a batch.
  let recordsEveryRange: Bool
  /// Whether each event is sent by itself.
  let isSingle: Bool
  let plansAhead: Bool
  /// A full disk kept what was skipped from becoming durable.
  var couldNotSave = false
  /// What the destination was ever sent, by id.
  var sent: [DeliveryID: Content] = [:]
  /// What it holds.
  var taken: Set<DeliveryID> = []
  /// Digests rendered in this process, by id.
  var rendered: [DeliveryID: [UInt8]] = [:]
  /// Deliveries whose newest attempt, in this process, was answered with success.
  var confirmed: Set<DeliveryID> = []
  /// Single events that cannot be rendered.
  var unrenderable: Set<DeliveryID> = []
  /// The offsets of dead letters, in order, as the log of them has them.
  var letters: [Offset] = []
  /// Where the newest first attempt of this process began.
  var newestFirst: Offset?
  var configuration: UInt8 = 1
  var crashes = 0
  let maxCrashes: Int
  /// How often a person may still put a pause on.
  var pauses: Int
  /// The pause is durable, so a crash does not take it off.
  var isPaused = false

  static let end = Offset(3)
  static let now = MonotonicInstant(sinceStart: .zero)
  static let later = now + DeliveryState.saveAfter
  static let retry = RetryPolicy(first: .zero, cap: .zero, refusedWait: .zero)

  init(
    mode: DeliveryState.Mode, maxInFlight: Int = 1, writesDeadLetters: Bool = false, maxCrashes: Int = 2,
    pauses: Int = 0, wanted: Set<UInt64> = [0, 1, 2], recordsEveryRange: Bool = false, isSingle: Bool = false,
    plansAhead: Bool = false
  ) {
    self.plansAhead = plansAhead
    self.isSingle = isSingle
    self.wanted = wanted
    self.recordsEveryRange = recordsEveryRange
    cursor = CursorState(startingAt: .zero).acquired()
    let options = DeliveryOptions(
      maxInFlight: maxInFlight, rejection: RejectionPolicy(maxInRow: 2), circuit: CircuitPolicy(failures: 2, drain: nil)
    )
    state = DeliveryState(
      cursor, mode: mode, retry: Self.retry, options: options, writesDeadLetters: writesDeadLetters,
      sendsSingleEvents: isSingle, plansAhead: plansAhead)
    self.maxCrashes = maxCrashes
    self.pauses = pauses
  }

  static func content(_ first: Offset, _ end: Offset, plan: [UInt8]) -> [UInt8] {
    [plan.first ?? 0, UInt8(first.rawValue), UInt8(end.rawValue)] + [UInt8](repeating: 0, count: 29)
  }

  func intent(_ range: Range<Offset>, isRendered: Bool = true) -> Intent {
    let plan = isRendered ? [configuration] : []
    let digest = Self.content(range.lowerBound, range.upperBound, plan: plan)
    let count = events(range).count
    return Intent(
      id: DeliveryID("\(digest.prefix(3))"), first: range.lowerBound, end: range.upperBound, contentDigest: digest,
      plan: plan, createdAt: Timestamp(nanoseconds: 0), singleEvents: isSingle && isRendered && count > 0 ? count : nil)
  }

  var seen: CursorState { ahead ?? cursor }

  func events(_ range: Range<Offset>) -> [Offset] {
    (range.lowerBound.rawValue..<range.upperBound.rawValue).filter(wanted.contains).map { Offset($0) }
  }

  /// The cursor past records that nobody wants; nil where a batch has to hold them.
  func passing(_ range: Range<Offset>) -> CursorState? {
    let mayPass = !recordsEveryRange && events(range).isEmpty && range.lowerBound == seen.committed
    return mayPass
      ? try? seen.committing(to: range.upperBound, epoch: seen.epoch, durableEnd: Self.end) : nil
  }

  /// The process dies and another one takes the cursor, perhaps with another configuration.
  func crashed() -> [DeliveryModel] {
    guard crashes < maxCrashes else { return [] }
    return [configuration, 3 - configuration].map { configuration in
      var next = self
      next.crashes += 1
      next.configuration = configuration
      next.cursor = cursor.acquired()
      (next.ahead, next.couldNotSave) = (nil, false)
      next.rendered = [:]
      next.confirmed = []
      next.newestFirst = nil
      next.state = DeliveryState(
        next.cursor, mode: state.mode, retry: Self.retry, options: state.options,
        writesDeadLetters: state.writesDeadLetters, sendsSingleEvents: isSingle, plansAhead: plansAhead)
      // The shell looks before anything is begun.
      if isPaused { try? next.state.handle(.pause) }
      return next
    }
  }

  static func failed(_ code: LogError.Code) -> DeliveryState.Event { .failed(code, message: "no", at: now, roll: 0) }
}

extension DeliveryModel {
  /// The model after `change` and `event`; records what is wrong.
  func step(
    _ event: DeliveryState.Event, _ violations: inout [String], change: (inout DeliveryModel) -> Void = { _ in }
  ) -> DeliveryModel {
    var next = self
    change(&next)
    let wasStopping = state.isStopping
    do { try next.state.handle(event) } catch { violations.append("\(event) was refused in \(state.phase)") }
    if wasStopping || event == .stop, case .working(let work) = next.state.phase, next.state.phase != state.phase {
      switch work {
      case .commit(_, _, nil), .save, .settle(_, .settled): break
      default: violations.append("a stopped delivery began \(work)")
      }
    }
    next.checkPause(&violations)
    // Nothing is stuck: every phase is ended by work, an attempt in the air, a moment, or a person who is named.
    switch next.state.phase {
    case .sending where !next.state.isInFlight: violations.append("it waits for attempts, and none is in the air")
    case .halted where next.state.trouble == nil: violations.append("it is halted without a trouble")
    case .pacing, .backingOff:
      if next.state.deadline == nil { violations.append("it waits, and nothing is to end that") }
    default: break
    }
    return next
  }

  /// Every model that can come next.
  func successors(_ violations: inout [String]) -> [DeliveryModel] {
    var next: [DeliveryModel] = []
    if case .ended(let ending) = state.phase { return ended(ending, &violations) }
    for delivery in state.open where delivery.isInFlight {
      next += delivery.events == nil ? answers(delivery.intent, &violations) : singleAnswers(delivery, &violations)
    }
    next += pausing(&violations)
    switch state.phase {
    case .ended, .sending, .paused: break
    case .backingOff, .halted(.some, _):
      next.append(step(.wake(at: Self.now), &violations))
      next.append(step(.retryNow, &violations))
    case .pacing: next.append(step(.wake(at: Self.now), &violations))
    case .halted: next.append(step(.retryNow, &violations))
    case .working(let work): next += working(work, &violations)
    }
    next.append(step(.stop, &violations))
    return next + crashed()
  }

  private func ended(_ ending: DeliveryState.Ending, _ violations: inout [String]) -> [DeliveryModel] {
    if ending == .stopped || ending == .caughtUp || ending == .paused, ahead != nil, !couldNotSave {
      violations.append("it ended, and where it is is not durable")
    }
    if ending == .paused, state.mode == .service || !isPaused { violations.append("it ended by a pause") }
    return crashed()
  }

  /// A person puts a pause on, or takes it off.
  private func pausing(_ violations: inout [String]) -> [DeliveryModel] {
    if isPaused { return [step(.resume(at: Self.now), &violations) { $0.isPaused = false }] }
    guard pauses > 0 else { return [] }
    return [
      step(.pause, &violations) {
        $0.isPaused = true
        $0.pauses -= 1
      }
    ]
  }

  /// A paused delivery begins nothing, and keeps nothing that a restart would not find in the cursor.
  private mutating func checkPause(_ violations: inout [String]) {
    if isPaused, case .working(let work) = state.phase {
      switch work {
      case .commit(_, _, nil), .save, .settle(_, .settled): break
      default: violations.append("a paused delivery began \(work)")
      }
    }
    guard state.phase == .paused else { return }
    if !isPaused { violations.append("it waits for a pause to end, and there is none") }
    if ahead != nil, !couldNotSave { violations.append("it is paused, and where it is is not durable") }
    if state.isInFlight || state.unfinished != nil { violations.append("something is in progress during a pause") }
    // The shell lets all renderings go.
    rendered = [:]
  }

  private func working(_ work: DeliveryState.Work, _ violations: inout [String]) -> [DeliveryModel] {
    switch work {
    case .accumulate(let first):
      if first != seen.nextFirst { violations.append("a batch begins at \(first), not at \(seen.nextFirst)") }
      let isInTrouble = state.open.contains {
        $0.attempts > 1 || ($0.attempts == 1 && !$0.isInFlight) || hasTrouble($0)
      }
      if isInTrouble { violations.append("a new batch is begun beside one in trouble") }
      var next = [step(.sourceClosed, &violations), step(Self.failed(.gap), &violations)]
      for count in 1...2 where first + count <= Self.end {
        if let passed = passing(first..<first + count) {
          next += skipping(passed, &violations)
        } else {
          next.append(step(.accumulated(first..<first + count, .records), &violations))
        }
      }
      if ahead != nil { next.append(step(.wake(at: Self.later), &violations)) }
      return next
    case .bisect(let intent, _): return bisecting(intent, &violations)
    case .save:
      if ahead == nil, !couldNotSave { violations.append("it saves what is durable") }
      var durable = self
      (durable.cursor, durable.ahead) = (seen, nil)
      return [
        durable.step(.saved, &violations),
        step(Self.failed(.noSpace), &violations) { $0.couldNotSave = true }, step(Self.failed(.poisoned), &violations),
      ] + durable.crashed()
    case .plan(let range, _, _, let rejectionReason):
      return planning(range, rejectionReason: rejectionReason, &violations)
    case .begin(let intent, let old, let rejectionReason): return beginning(intent, old, rejectionReason, &violations)
    case .reopen(let intent):
      let digest = Self.content(intent.first, intent.end, plan: intent.plan)
      let wrong = Self.content(intent.first, intent.end, plan: [9])
      return [
        step(.rendered(digest: digest), &violations) { $0.rendered[intent.id] = digest },
        step(.rendered(digest: wrong), &violations) { $0.rendered[intent.id] = wrong },
        step(.unrenderable(SinkError("no", offset: intent.first)), &violations),
        step(Self.failed(.damaged), &violations),
      ]
    case .send(let intent, nil, let attempt): return [sending(intent, attempt: attempt, &violations)]
    case .send(let intent, let event?, let attempt):
      return sendingSingle(intent, event, attempt: attempt, &violations)
    case .writeDeadLetter(let intent, nil, _): return afterDeadLetter(intent, &violations)
    case .writeDeadLetter(let intent, let event?, _): return afterSingleDeadLetter(intent, event, &violations)
    case .settle(let intent, let move): return settling(intent, move, &violations)
    case .commit(let intent, _, let next): return committing(intent, beginning: next, &violations)
    }
  }

  private func skipping(_ passed: CursorState, _ violations: inout [String]) -> [DeliveryModel] {
    [false, true].map { savesAtOnce in
      step(.skipped(passed, savesAtOnce: savesAtOnce, at: Self.now), &violations) { $0.ahead = passed }
    }
  }

  private func bisecting(_ intent: Intent, _ violations: inout [String]) -> [DeliveryModel] {
    let events = events(intent.first..<intent.end)
    let next: DeliveryModel
    if events.isEmpty {
      next = step(.indivisible, &violations)
    } else if events.count > 1 {
      next = step(.halved(intent.first..<(events[(events.count - 1) / 2] + 1)), &violations)
    } else if recordsEveryRange, events[0] > intent.first {
      next = step(.halved(intent.first..<events[0]), &violations)
    } else {
      let isWhole = intent.first == events[0] && intent.end == events[0] + 1
      let record = Intent(
        id: DeliveryID("\(events[0]) of \(intent.id)"), first: events[0], end: events[0] + 1,
        contentDigest: intent.contentDigest, plan: intent.plan, createdAt: intent.createdAt)
      next = step(.isolated(isWhole ? intent : record), &violations)
    }
    return [next, step(Self.failed(.io), &violations)]
  }

  private func planning(
    _ range: Range<Offset>, rejectionReason: String?, _ violations: inout [String]
  ) -> [DeliveryModel] {
    if rejectionReason == nil, case .working(.plan(_, _, nil, _)) = state.phase, let passed = passing(range) {
      return skipping(passed, &violations)
    }
    let intent = intent(range, isRendered: rejectionReason == nil)
    var next = [step(Self.failed(.io), &violations)]
    next.append(
      step(.planned(intent), &violations) {
        if rejectionReason == nil { $0.rendered[intent.id] = intent.contentDigest }
      })
    guard rejectionReason == nil else { return next }
    next.append(step(.unrenderable(SinkError("no")), &violations))
    next.append(step(.unrenderable(SinkError("no", offset: Offset(range.upperBound.rawValue - 1))), &violations))
    return next
  }

  private func beginning(
    _ intent: Intent, _ old: Intent?, _ rejectionReason: String?, _ violations: inout [String]
  ) -> [DeliveryModel] {
    let begun: CursorState?
    if let old {
      if taken.contains(old.id), rejectionReason == nil, state.open.first?.intent != old {
        violations.append("split in the middle")
      }
      begun = try? seen.replacing(old.id, with: intent, rejectionReason: rejectionReason, epoch: seen.epoch)
    } else {
      begun = try? seen.beginning(intent, rejectionReason: rejectionReason, epoch: seen.epoch, durableEnd: Self.end)
    }
    guard let begun else {
      violations.append("the cursor refuses \(intent.id)")
      return []
    }
    if begun.committed > seen.committed { checkPassed(begun, &violations) }
    if !begun.violations(durableEnd: Self.end).isEmpty { violations.append("the cursor is broken: \(begun)") }
    var durable = self
    (durable.cursor, durable.ahead) = (begun, nil)
    return [
      durable.step(.begun(begun), &violations), step(Self.failed(.noSpace), &violations),
      step(Self.failed(.poisoned), &violations), step(Self.failed(.fenced), &violations),
    ] + durable.crashed()
  }

  private func sending(_ intent: Intent, attempt: Int, _ violations: inout [String]) -> DeliveryModel {
    let open = cursor.inFlight.first { $0.intent == intent }
    if open == nil { violations.append("\(intent.id) is sent and is not open") }
    if open?.rejectionReason != nil || open?.isDelivered == true {
      violations.append("\(intent.id) must not be sent again")
    }
    if rendered[intent.id] != intent.contentDigest { violations.append("\(intent.id) is sent with another content") }
    // Parts of a batch that was rejected, and so was attempted before, come later than those behind it.
    let isPart = sent.values.contains { $0.first <= intent.first && intent.first < $0.end }
    if attempt == 1, !isPart, let newestFirst, intent.first < newestFirst {
      violations.append("first attempts out of order")
    }
    let content = Content(first: intent.first, end: intent.end, digest: rendered[intent.id] ?? [], plan: intent.plan)
    if let before = sent[intent.id], before != content { violations.append("\(intent.id) has two contents") }
    return step(.launched(at: Self.now, records: 1, bytes: 1), &violations) {
      $0.sent[intent.id] = content
      if attempt == 1, !isPart { $0.newestFirst = intent.first }
    }
  }

  private func answers(_ intent: Intent, _ violations: inout [String]) -> [DeliveryModel] {
    var taken = self
    taken.taken.insert(intent.id)
    func answered(_ outcome: DeliveryOutcome) -> DeliveryState.Event {
      .answered(intent.id, outcome, at: Self.now, roll: 0)
    }
    return [
      taken.step(answered(.delivered(receipt: "")), &violations) { $0.confirmed.insert(intent.id) },
      taken.step(answered(.retry(reason: "lost", after: nil)), &violations),
      step(answered(.refused(reason: "")), &violations), step(answered(.rejected(reason: "")), &violations),
      step(answered(.conflict(reason: "")), &violations),
    ] + taken.crashed()
  }

  private func afterDeadLetter(_ intent: Intent, _ violations: inout [String]) -> [DeliveryModel] {
    let open = cursor.inFlight.first
    if open?.intent != intent || open?.rejectionReason == nil || cursor.committed != intent.first {
      violations.append("\(intent.id) becomes a dead letter and is not the oldest that is rejected")
    }
    var deadLettered = self
    // The log of letters knows the newest one again.
    if letters.last != intent.first { deadLettered.letters.append(intent.first) }
    return [deadLettered.step(.wroteDeadLetter(receipt: ""), &violations), step(Self.failed(.noSpace), &violations)]
      + deadLettered.crashed()
  }

  private func committing(
    _ intent: Intent, beginning ahead: Intent?, _ violations: inout [String]
  ) -> [DeliveryModel] {
    if let ahead {
      if rendered[ahead.id] != ahead.contentDigest { violations.append("\(ahead.id) is begun and not rendered") }
      let isInTrouble = state.open.contains { $0.intent != intent && $0.isInFlight && $0.attempts > 1 }
      if isInTrouble || state.suspension != nil { violations.append("a batch is begun beside one in trouble") }
    }
    let isDeadLetter = cursor.inFlight.contains { $0.intent == intent && $0.rejectionReason != nil }
    if isDeadLetter {
      if letters.last != intent.first { violations.append("\(intent.id) is committed before its dead letter") }
    } else {
      if !confirmed.contains(intent.id) { violations.append("\(intent.id) is committed without a successful attempt") }
      if !taken.contains(intent.id) { violations.append("\(intent.id) is committed and not delivered") }
    }
    let combined = try? seen.completing(
      intent.id, receipt: "", beginning: ahead, epoch: seen.epoch, durableEnd: Self.end)
    guard let next = combined else {
      violations.append("the cursor refuses to commit \(intent.id)")
      return []
    }
    if let ahead, !next.inFlight.contains(where: { $0.intent == ahead }) || next.inFlight.count > state.maxOpen {
      violations.append("\(ahead.id) is begun without room")
    }
    if !next.violations(durableEnd: Self.end).isEmpty { violations.append("the cursor is broken: \(next)") }
    if next.committed > cursor.committed { checkPassed(next, &violations) }
    let stale = step(.committed(cursor), &violations)
    if stale.state.trouble?.kind != .defect { violations.append("a commit that moved nothing was believed") }
    var durable = self
    durable.cursor = next
    return [
      step(.committed(next), &violations) { $0.cursor = next }, step(Self.failed(.noSpace), &violations),
      step(Self.failed(.fenced), &violations), stale,
    ] + durable.crashed() + (ahead == nil ? [] : [alone(intent, &violations)])
  }

  /// The cursor takes the commit and refuses the beginning.
  private func alone(_ intent: Intent, _ violations: inout [String]) -> DeliveryModel {
    guard let next = try? seen.completing(intent.id, receipt: "", epoch: seen.epoch) else { return self }
    return step(.committed(next), &violations) { $0.cursor = next }
  }

  /// Every wanted record below `committed` is with the destination or among the dead letters.
  func checkPassed(_ cursor: CursorState, _ violations: inout [String]) {
    let held = taken.compactMap { sent[$0] }
    for raw in 0..<cursor.committed.rawValue where wanted.contains(raw) {
      let offset = Offset(raw)
      let isHeld = held.contains { $0.first <= offset && offset < $0.end } || letters.contains(offset)
      if !isHeld { violations.append("record \(offset) is passed and nowhere") }
    }
    if Set(letters).count != letters.count { violations.append("a record has two dead letters") }
  }
}
