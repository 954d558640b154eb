import Logging

/// Seals segments on its own thread while the log runs.
///
/// Its failures are harmless: they are logged, and the segment stays as it was.
final class BackgroundSealer: Sendable {
  private struct State {
    var hasNews = true
    var isStopping = false
  }
  private let state = Monitor(State())
  private let isFinished = Monitor(false)
  private let sealer: SegmentSealer
  private let view: LogView
  private let clock: any MonotonicClock
  private let logger: Logger
  private let observation: Observation
  /// The longest sleep, so that the thread stops promptly.
  private static let nap: Int64 = 10_000_000

  /// Starts the thread, which first checks the present segments.
  init(
    _ sealer: SegmentSealer, _ view: LogView, clock: any MonotonicClock = SystemMonotonicClock(), logger: Logger,
    observation: Observation = Observation()
  ) {
    self.observation = observation
    self.sealer = sealer
    self.view = view
    self.clock = clock
    self.logger = logger
    LogThread.start(name: "penstock-seal") { [self] in
      LogThread.yieldToOthers()
      run()
      isFinished.withLock { $0 = true }
      isFinished.signal()
    }
  }

  /// There may be another segment to seal.
  func wake() {
    state.withLock { $0.hasNews = true }
    state.signal()
  }

  /// Ends the thread within the work for one block, and discards unfinished work. Call it once. Blocks the calling
  /// thread.
  func stop() {
    state.withLock { $0.isStopping = true }
    state.signal()
    isFinished.wait { $0 ? () : nil }
  }

  private func run() {
    var plan = SealingPlan()
    var rate = RateLimit(bytesPerSecond: sealer.settings.bytesPerSecond)
    while true {
      let isStopping = state.wait { state -> Bool? in
        if state.isStopping { return true }
        guard state.hasNews else { return nil }
        state.hasNews = false
        return false
      }
      if isStopping { return }
      while let job = plan.next(in: view.set.segments.map(\.name)) {
        guard let outcome = perform(job, &rate) else { return }
        plan.finished(job, outcome)
        if outcome == .later { break }
      }
    }
  }

  /// Nil when the sealer is stopping.
  private func perform(_ job: SealingPlan.Job, _ rate: inout RateLimit) -> SealingPlan.Outcome? {
    let name = job.segment.text
    let start = observation.start()
    do throws(LogError) {
      let outcome = try sealer.seal(job, in: view) { (bytes) throws(LogError) in try keepPace(bytes, &rate) }
      switch outcome {
      case .wasSealed, .dropped: break
      case .left(let reason):
        logger.warning("a segment was not sealed", metadata: ["segment": "\(name)", "reason": "\(reason)"])
        observation.tell(.notSealed(segment: job.segment.sequence, reason: reason))
      case .sealed(let seal):
        logger.debug(
          "a segment was sealed",
          metadata: ["segment": "\(name)", "before": "\(seal.originalBytes)", "after": "\(seal.fileLength)"])
        observation.tell(since: start) { duration in
          .sealed(
            LogObserverEvent.Sealed(
              segment: job.segment.sequence, bytesBefore: seal.originalBytes, bytesAfter: seal.fileLength,
              duration: duration))
        }
      }
      return .done
    } catch {
      if state.withLock({ $0.isStopping }) { return nil }
      logger.warning("a segment could not be sealed", metadata: ["segment": "\(name)", "error": "\(error)"])
      observation.tell(.notSealed(segment: job.segment.sequence, reason: error.description))
      return error.code == .noSpace ? .later : .done
    }
  }

  private func keepPace(_ bytes: Int, _ rate: inout RateLimit) throws(LogError) {
    let start = clock.now()
    let delay = rate.delay(after: bytes, now: start)
    while true {
      if state.withLock({ $0.isStopping }) { throw LogError(.cancelled, "the log is closing") }
      let left = delay - (clock.now() - start)
      if left <= 0 { return }
      clock.sleep(nanoseconds: min(left, Self.nap))
    }
  }
}
