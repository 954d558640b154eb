internal import Logging
import PenstockDelivery
import PenstockLog
import PenstockTestKit

// Cursors, deliveries, and other processes.
extension Simulation {
  /// Takes a cursor for this process, making it first.
  mutating func hold(
    _ name: String, _ process: inout Process, _ disk: SimulatedFileSystem
  ) throws(LogError) -> HeldCursor {
    if let held = process.held[name] { return held }
    let writer = process.writer
    let first = writer.view.set.first
    let present = try state(of: name, process, disk)
    let fresh = present ?? CursorState(startingAt: first)
    note(.cursorMoving(name, to: [fresh, fresh.acquired()]))
    let held = try CursorStore.hold(disk, LogPaths(Self.path), logID: writer.logID, name: name, startingAt: first)
    let state = try held.move { (state) throws(CursorMoveError) in state.acquired() }
    note(.cursorMoved(name, state))
    process.held[name] = held
    return held
  }

  /// One move: taking it, an intent, its completion, or taking note of a loss.
  mutating func consume(
    _ process: inout Process, _ disk: SimulatedFileSystem, _ random: inout SplitMix64
  ) throws(LogError) {
    let held = try hold(Self.consumer, &process, disk)
    for _ in 0...random.below(4) {
      let most = 1 + random.below(3)
      if try !move(held, upTo: process.writer.durableEnd, inFlight: most, choosing: { random.below($0) }) { return }
    }
  }

  /// Makes the next move of a cursor; false when there is none.
  ///
  /// - Parameter choose: One of so many: where an intent ends, and which open one is done.
  mutating func move(
    _ held: HeldCursor, upTo end: Offset, inFlight most: Int, choosing choose: (Int) -> Int
  ) throws(LogError) -> Bool {
    let state = held.state
    let next: CursorState
    do throws(CursorMoveError) {
      if let lost = state.lost {
        next = try state.acknowledging(lost, epoch: state.epoch, durableEnd: end)
      } else if state.inFlight.count < most, state.nextFirst < end {
        let last = state.nextFirst + 1 + choose(end - state.nextFirst)
        let intent = Intent(
          id: DeliveryID("\(state.nextFirst)-\(last)"), first: state.nextFirst, end: last,
          contentDigest: [UInt8](repeating: UInt8(truncatingIfNeeded: last.rawValue), count: 32), plan: [],
          createdAt: clock.now())
        next = try state.beginning(intent, epoch: state.epoch, durableEnd: end)
      } else {
        let open = state.inFlight.filter { !$0.isDelivered }
        if open.isEmpty { return false }
        next = try state.completing(open[choose(open.count)].intent.id, receipt: "200", epoch: state.epoch)
      }
    } catch {
      throw LogError(.illegalMove, "the simulation made an illegal move", cause: error)
    }
    note(.cursorMoving(held.name, to: [next]))
    note(.cursorMoved(held.name, try held.move { (_) throws(CursorMoveError) in next }))
    return true
  }

  // MARK: - Deliveries

  /// The peer's answers to the first requests: a ``SimulatedPeer/Manner``, or busy (503, 409, 429 with Retry-After),
  /// refused (403), other bytes there (412), disabled (410), or unreachable.
  static func manners(_ random: inout SplitMix64) -> [SimulatedPeer.Manner] {
    (0..<random.below(6)).map { _ in
      switch random.below(16) {
      case 0, 1: .loseAnswer
      case 2: .answer(.retry(reason: "503", after: nil))
      case 3: .answer(.retry(reason: "409", after: nil))
      case 4: .answer(.retry(reason: "429", after: .seconds(30)))
      case 5: .answer(random.below(3) == 0 ? .refused(reason: "403") : .retry(reason: "no route", after: nil))
      case 6: .answer(random.below(3) == 0 ? .conflict(reason: "412, other bytes") : .retry(reason: "500", after: nil))
      case 7: .answer(random.below(3) == 0 ? .disabled(reason: "410") : .retry(reason: "no route", after: nil))
      case 8, 9: .reset(arrived: random.below(2) == 0)
      case 10, 11: .slow
      case 12: .wrongETag(inParts: random.below(2) == 0)
      default: .accept
      }
    }
  }

  mutating func deliver(
    _ process: inout Process, _ disk: SimulatedFileSystem, _ random: inout SplitMix64
  ) throws(LogError) {
    let held = try hold(Self.webhook, &process, disk)
    // As after an operator has acknowledged it.
    if held.state.lost != nil {
      _ = try move(held, upTo: process.writer.durableEnd, inFlight: 0, choosing: { _ in 0 })
    }
    let view = process.writer.view
    let lease = RecordedLease(held: held, epoch: held.state.epoch, view: view, recorder: recorder)
    let first = held.state.committed
    let rejects = Set(
      (first.rawValue..<max(first.rawValue, view.end.rawValue)).filter { $0 % 29 == 7 }.map { Offset($0) })
    let sink = SimulatedPeer(
      rendering: ScriptedSink(lineEnding: random.below(2) == 0 ? "\n" : "\r\n"), branch.peer,
      manners: Self.manners(&random), rejects: rejects, random: SplitMix64(seed: random.next()), recorder: recorder)
    let policy =
      random.below(2) == 0
      ? BatchPolicy(maxRecords: 1 + random.below(8), maxWait: .seconds(3_600), boundary: .seconds(60))
      : BatchPolicy(maxRecords: 4, maxWait: .seconds(10))
    let delivery = Delivery(
      from: lease, source: ViewSource(view: view, logID: LogMeta.hex(process.writer.logID)), to: sink,
      options: DeliveryOptions(
        policy: policy,
        retry: RetryPolicy(
          first: .milliseconds(100), cap: .milliseconds(100), maxRetryAfter: .seconds(30), refusedWait: .zero,
          giveUpAfter: .seconds(60)),
        maxInFlight: 1 + random.below(2)),
      deadLetters: RecordedLetters(recorder: recorder),
      environment: DeliveryEnvironment(
        clock: TickingClock(isStalled: isStalled), wallClock: clock, random: { 0 }, logger: .silent))
    let failure: DeliveryFailure? = runner.run {
      do throws(DeliveryFailure) {
        _ = try await delivery.run(untilCaughtUpWith: view.end)
        return nil
      } catch { return error }
    }
    branch.peer = sink.memory
    tell("    delivery: \(failure.map { "\($0)" } ?? "caught up")")
    // After an error the lease is of no more use; so is this process's hold on the cursor.
    if failure != nil {
      held.close()
      process.held[Self.webhook] = nil
    }
  }

  // MARK: - Other processes

  /// Another process reads, and may not write.
  mutating func intrude(_ process: Process, _ disk: SimulatedFileSystem) throws(LogError) {
    do throws(LogError) {
      _ = try LogOpening.open(Self.path, configuration, environment(disk))
      if !disk.isDown { note(.failed("two processes write the log")) }
    } catch {
      if error.code != .locked { throw error }
    }
    let environment = environment(disk)
    let opened: Swift.Result<LogReader, LogError> = runner.run {
      do throws(LogError) {
        return .success(try await LogReader.open(at: Self.path, environment: environment))
      } catch { return .failure(error) }
    }
    let reader = try opened.get()
    defer { reader.close() }
    var offset = reader.first
    while let batch = try reader.view.batch(from: offset, maxRecords: 1_000, maxBytes: 1 << 20) {
      note(.read(first: batch.first, records: History.digests(of: batch)))
      offset = batch.end
    }
  }
}
