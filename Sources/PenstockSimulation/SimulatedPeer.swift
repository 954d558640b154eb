import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization

/// The other end of a delivery, reached through a sink. It is a receiver that accepts everything and recognises repeats
/// by their id, or a bucket that accepts a name once (`If-None-Match: *`). It notes what it is sent and what it
/// accepts.
final class SimulatedPeer: Sink {
  /// How it meets a request.
  enum Manner: Sendable, Hashable {
    case accept
    /// It takes the batch; the answer is lost: a timeout after the success, a 2xx that does not get through.
    case loseAnswer
    /// The peer accepts a batch of one piece and returns an ETag of other bytes. For a batch in parts, the store finds
    /// the difference when it joins the parts (`InvalidPart`), and accepts nothing.
    case wrongETag(inParts: Bool)
    /// The connection breaks in the middle of the body, as far as the client can tell. The peer keeps nothing of half a
    /// body, and accepts a body that had arrived.
    case reset(arrived: Bool)
    /// The peer carries the request out after the client has given up: before or after the next request, or in the run
    /// of another process.
    case slow
    /// It takes nothing and answers this.
    case answer(DeliveryOutcome)
  }

  /// What it remembers, across all senders.
  struct Memory: Sendable {
    /// Digests of what it took.
    var taken: [DeliveryID: UInt64] = [:]
    /// What it has not carried out yet.
    var late: [History.Delivered] = []
    var isCreateOnly = false
    /// Requests that found their own bytes there.
    var found = 0
  }

  private struct State {
    var memory: Memory
    var manners: [Manner]
    var random: SplitMix64
  }

  /// A destination that wants some of the events.
  struct Routed: Sendable {
    /// A place in `WantedEvents.all`.
    var wanted: Int
    var recordsEveryRange: Bool
    /// Of all records, by their digests.
    var traits: [UInt64: EventTraits]
    var turns: Turns
  }

  private let rendering: ScriptedSink
  private let rejects: Set<Offset>
  private let routed: Routed?
  private let recorder: EventRecorder<SimulationEvent>
  private let state: Mutex<State>

  /// - Parameters:
  ///   - manners: Of the first requests; all later ones are accepted.
  ///   - rejects: A batch with one of these is rejected. Of a routed destination: see ``EventTraits/isRejected``.
  init(
    rendering: ScriptedSink, _ memory: Memory, manners: [Manner], rejects: Set<Offset> = [], random: SplitMix64,
    recorder: EventRecorder<SimulationEvent>, routed: Routed? = nil
  ) {
    self.routed = routed
    self.rendering = rendering
    self.rejects = rejects
    self.recorder = recorder
    state = Mutex(State(memory: memory, manners: manners, random: random))
  }

  var memory: Memory { state.withLock { $0.memory } }

  var description: String { rendering.description }
  var recordsEveryRange: Bool { routed?.recordsEveryRange == true }
  var plansAhead: Bool { true }
  var selection: EventSelection { routed.map { Self.selection($0.wanted) } ?? .all }

  /// A plan begins with what is wanted.
  func selection(plan: [UInt8]) throws(SinkError) -> EventSelection {
    guard routed != nil, let wanted = plan.first else { return .all }
    return Self.selection(Int(wanted))
  }

  private static func selection(_ wanted: Int) -> EventSelection {
    EventSelection(filter: WantedEvents.filters[wanted])
  }

  func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] {
    (routed.map { [UInt8($0.wanted)] } ?? []) + (try rendering.plan(outline))
  }

  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    try rendering.prepare(batch, plan: routed == nil ? plan : Array(plan.dropFirst()))
  }

  func close() async { await rendering.close() }

  func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    let intent = delivery.intent
    // After a seek an equal batch may have another plan.
    let plan = routed == nil ? intent.plan : []
    let batch = History.Delivered(
      intent.id, intent.first..<intent.end, digest: History.digest(plan + delivery.body.bytes))
    recorder.note(.sending(cursor: delivery.cursor, batch))
    var guilty = rejects.filter { batch.range.contains($0) }.min().map { "\($0)" }
    if let routed {
      let records = delivery.body.bytes.split(separator: UInt8(ascii: "\n")).map { line in
        History.digest(Array(line.last == UInt8(ascii: "\r") ? line.dropLast() : line))
      }
      recorder.note(
        .sent(cursor: delivery.cursor, batch, wanted: Int(intent.plan.first ?? 0), records: records))
      let rejected = records.lazy.compactMap { routed.traits[$0] }.first { $0.isRejected }
      guilty = rejected.map { "event \($0.number)" }
    }
    await routed?.turns.some()
    let outcome = answer(batch, delivery.cursor, guilty: guilty)
    await routed?.turns.some()
    return outcome
  }

  private func answer(_ batch: History.Delivered, _ cursor: String, guilty: String?) -> DeliveryOutcome {
    state.withLock { state in
      let manner = state.manners.isEmpty ? .accept : state.manners.removeFirst()
      if let guilty { return .rejected(reason: "422 \(guilty)") }
      let late = state.memory.late
      let isBefore = state.random.below(2) == 0
      if !late.isEmpty, isBefore { state.memory.late = [] }
      if isBefore { for request in late { _ = take(request, cursor, &state.memory) } }
      defer {
        if !late.isEmpty, !isBefore, state.random.below(2) == 0 {
          state.memory.late.removeFirst(late.count)
          for request in late { _ = take(request, cursor, &state.memory) }
        }
      }
      switch manner {
      case .answer(let outcome): return outcome
      case .accept, .wrongETag(inParts: false): return take(batch, cursor, &state.memory)
      case .wrongETag(inParts: true): return .retry(reason: "400 InvalidPart", after: nil)
      case .loseAnswer, .reset(arrived: true): _ = take(batch, cursor, &state.memory)
      case .slow: state.memory.late.append(batch)
      case .reset(arrived: false): break
      }
      return .retry(reason: "no answer in time", after: nil)
    }
  }

  /// Carries a request out; returns what is answered to who is still there.
  private func take(_ batch: History.Delivered, _ cursor: String, _ memory: inout Memory) -> DeliveryOutcome {
    if memory.isCreateOnly, let known = memory.taken[batch.id] {
      guard known == batch.digest else {
        recorder.note(.failed("\(batch.id) is there with other bytes: 412"))
        return .conflict(reason: "412, other bytes")
      }
      memory.found += 1
      return .delivered(receipt: "412, equal bytes")
    }
    memory.taken[batch.id] = batch.digest
    recorder.note(.received(cursor: cursor, batch))
    return .delivered(receipt: "200")
  }
}
