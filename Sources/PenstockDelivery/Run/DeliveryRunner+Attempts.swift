import Logging
import PenstockLog

extension DeliveryRunner {
  /// Begins an attempt that runs concurrently. Its answer arrives through the commands.
  mutating func launch(
    _ batch: Intent, event: Int?, attempt: Int, _ group: inout DiscardingTaskGroup
  ) -> DeliveryState.Event {
    let start = environment.clock.now()
    guard let rendering = rendered[batch.id] else {
      return .failed(.illegalMove, message: "nothing is rendered", at: start, roll: 0)
    }
    var (intent, body) = (batch, rendering.body)
    if let event, let single = rendering.events?[event] {
      switch single.body {
      case .success(let rendered): (intent, body) = (single.intent(of: batch, source.logID, lease.name), rendered)
      case .failure(let error): return .unsendable(error)
      }
    }
    let number = attempts.begin(intent, bodyBytes: body.bytes.count, at: environment.wallClock.now())
    progress.update {
      $0.attempts += 1
      $0.attemptsAtBatch = attempt
      if attempt > 1 { $0.retries += 1 }
    }
    let request = DeliveryRequest(
      intent: intent, body: body, logID: source.logID, cursor: lease.name, attempt: attempt)
    underWay += 1
    group.addTask { [sink, commands, clock = environment.clock] in
      let outcome = await sink.deliver(request)
      let answer = DeliveryAnswer(
        batch: batch.id, event: event, intent: request.intent, attempt: attempt, number: number, outcome: outcome,
        start: start, end: clock.now())
      commands.update { $0.answers.append(answer) }
    }
    return .launched(at: start, records: body.eventCount, bytes: body.contentLength)
  }

  /// The oldest answer that is not handled yet.
  mutating func takeAnswer() -> DeliveryState.Event? {
    let next = commands.update { $0.answers.isEmpty ? nil : $0.answers.removeFirst() }
    guard let answer = next else { return nil }
    underWay -= 1
    attempts.end(answer.number, answer.outcome, after: answer.end - answer.start)
    environment.observer?(
      .answered(answer.intent, attempt: answer.attempt, answer.outcome, duration: answer.end - answer.start))
    if case .delivered = answer.outcome {
    } else {
      environment.logger.warning(
        "delivery attempt failed",
        metadata: subject.metadata([
          "delivery": "\(answer.intent.id)", "attempt": "\(answer.attempt)", "outcome": "\(answer.outcome)",
        ]))
    }
    return .answered(
      answer.batch, event: answer.event, answer.outcome, at: answer.end, roll: environment.random())
  }

  /// Names a record that cannot be rendered by its own bytes, since there is no rendering.
  mutating func planDeadLetter(_ range: Range<Offset>, closedBy reason: CloseReason) async -> DeliveryState.Event {
    closedBy = reason
    do throws(LogError) {
      let batch = try await record(at: range.lowerBound)
      var bytes: [UInt8] = []
      batch.forEachRecord { bytes.append(contentsOf: $0.bytes) }
      return .planned(intent(range, digest: PreparedBody(content: bytes, eventCount: 1).contentDigest, plan: []))
    } catch { return failed(error) }
  }

  /// Writes the dead letter of a rejected record. Repeated after a crash, it writes nothing again.
  mutating func writeDeadLetter(_ batch: Intent, event: Int?, reason: String) async -> DeliveryState.Event {
    guard let deadLetters else {
      let now = environment.clock.now()
      return .failed(.illegalMove, message: "the delivery has no dead-letter store", at: now, roll: 0)
    }
    let single = event.flatMap { rendered[batch.id]?.events?[$0] }
    let intent = single?.intent(of: batch, source.logID, lease.name) ?? batch
    do throws(LogError) {
      let record = try await record(at: intent.first)
      var bytes: [UInt8] = []
      record.forEachRecord { bytes.append(contentsOf: $0.bytes) }
      let number = try await deadLetters.writeDeadLetter(
        DeadLetter(
          logID: source.logID, cursor: lease.name, offset: intent.first, appendTime: record.firstAppendTime,
          deadLetteredAt: environment.wallClock.now(), deliveryID: intent.id,
          isUnrenderable: intent.plan.isEmpty || single?.isUnrenderable == true,
          attempts: attempts.count(of: isolatedFrom[intent.id] ?? intent.id), destination: sink.description,
          reason: reason, record: bytes))
      environment.observer?(.deadLettered(intent, reason: reason))
      environment.logger.error(
        "record became a dead letter",
        metadata: subject.metadata(["offset": "\(intent.first)", "letter": "\(number)", "reason": "\(reason)"]))
      return .wroteDeadLetter(receipt: "dead letter \(number): \(reason)")
    } catch { return failed(error) }
  }
}
