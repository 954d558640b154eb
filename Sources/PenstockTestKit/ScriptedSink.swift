public import PenstockDelivery
public import PenstockLog

/// A sink that answers as a script says, with a destination that remembers everything.
///
/// It renders every record followed by its configuration's line ending, and puts that into the plan: a sink with
/// another configuration renders an old plan as the old one did.
public final class ScriptedSink: Sink {
  /// An answer of the script.
  public enum Step: Sendable, Hashable {
    /// The destination takes the batch and says so.
    case accept
    /// The destination takes the batch; the answer is lost.
    case loseAnswer
    /// The destination does not take the batch and answers this.
    case answer(DeliveryOutcome)
    /// Nothing comes back until the task is cancelled; the destination takes nothing.
    case hang
    /// As `accept`, once ``release()`` has been called.
    case acceptWhenReleased
  }

  /// What goes wrong, whatever the script says.
  public struct Faults: Sendable {
    /// A batch with one of these records is rejected (422).
    public var rejects: Set<Offset>
    /// Of a new batch with one of these records, the first of them is named as the one that cannot be rendered.
    public var cannotRender: Set<Offset>
    /// Kills the process before or after one of the sink's calls.
    public var crash: CrashSwitch?

    /// Nothing goes wrong, unless the caller says so.
    public init(rejects: Set<Offset> = [], cannotRender: Set<Offset> = [], crash: CrashSwitch? = nil) {
      self.rejects = rejects
      self.cannotRender = cannotRender
      self.crash = crash
    }
  }

  private struct State: Sendable {
    var script: [Step]
    var renderings = 0
    var deliveries = 0
    var sentRanges: [Range<Offset>] = []
    var closings = 0
    var isReleased = false
  }

  /// What ``Sink/description`` returns.
  public let description: String
  /// What the sink delivers to.
  public let destination: RecordingDestination
  private let lineEnding: String
  private let last: Step
  private let faults: Faults
  private let state: AsyncCondition<State>

  /// - Parameters:
  ///   - destination: What it brings its batches to.
  ///   - lineEnding: The configuration; at most 32 characters.
  ///   - script: What the first attempts meet.
  ///   - last: What all later attempts meet.
  ///   - faults: What goes wrong, whatever the script says.
  ///   - description: Its own words for itself.
  public init(
    _ destination: RecordingDestination = RecordingDestination(), lineEnding: String = "\n", script: [Step] = [],
    last: Step = .accept, faults: Faults = Faults(), description: String = "scripted"
  ) {
    self.faults = faults
    self.description = description
    self.destination = destination
    self.lineEnding = lineEnding
    self.last = last
    state = AsyncCondition(State(script: script))
  }

  /// How many batches were rendered.
  public var renderings: Int { state.value.renderings }
  /// The range of every attempt, in order, rejected ones included.
  public var attempts: [Range<Offset>] { state.value.sentRanges }
  /// How often the sink was closed.
  public var closings: Int { state.value.closings }

  /// Lets attempts that wait for it go on.
  public func release() { state.update { $0.isReleased = true } }

  /// Returns when `deliver` has been called `count` times, answered or not.
  public func untilDeliveries(_ count: Int) async { _ = await state.wait { $0.deliveries >= count } }

  /// Returns when `prepare` has been called `count` times.
  public func untilRenderings(_ count: Int) async { _ = await state.wait { $0.renderings >= count } }

  /// True: neither plan nor rendering depends on what was delivered.
  public var plansAhead: Bool { true }

  public func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] {
    _ = faults.crash?.step("plan")
    if let guilty = faults.cannotRender.filter({ outline.first <= $0 && $0 < outline.end }).min() {
      throw SinkError("nothing can be made of it", offset: guilty)
    }
    return Array("1\(lineEnding)".utf8)
  }

  public func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    _ = faults.crash?.step("prepare")
    guard plan.first == UInt8(ascii: "1") else { throw SinkError("a plan of an unknown version") }
    state.update { $0.renderings += 1 }
    var content: [UInt8] = []
    batch.forEachRecord {
      content += $0.bytes
      content += plan.dropFirst()
    }
    return PreparedBody(content: content, eventCount: batch.count)
  }

  public func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    let isDead = DeliveryOutcome.retry(reason: "the process is dead", after: nil)
    guard await faults.crash.survives("before deliver") else { return isDead }
    let step = state.update { state in
      state.deliveries += 1
      state.sentRanges.append(delivery.intent.first..<delivery.intent.end)
      return state.script.isEmpty ? nil : state.script.removeFirst()
    }
    let range = delivery.intent.first..<delivery.intent.end
    let isRejected = faults.rejects.contains(where: range.contains)
    let outcome = isRejected ? .rejected(reason: "422 \(range.lowerBound)") : await perform(step ?? last, delivery)
    guard await faults.crash.survives("after deliver") else { return isDead }
    return outcome
  }

  public func close() async { state.update { $0.closings += 1 } }

  private func perform(_ step: Step, _ delivery: DeliveryRequest) async -> DeliveryOutcome {
    switch step {
    case .accept:
      destination.take(delivery)
      return .delivered(receipt: "200")
    case .loseAnswer:
      destination.take(delivery)
      return .retry(reason: "no answer in time", after: nil)
    case .answer(let outcome): return outcome
    case .hang:
      await hangUntilCancelled()
      return .retry(reason: "cancelled", after: nil)
    case .acceptWhenReleased:
      // In a task of its own, so that cancellation does not break the attempt off.
      _ = await Task { [state] in await state.wait { $0.isReleased } }.value
      return await perform(.accept, delivery)
    }
  }
}
