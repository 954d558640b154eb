public import PenstockDelivery
import PenstockLog

/// The contract of `Sink`, as checks that any sink can be put through. The destination must be there and must take what
/// it is sent.
///
/// ```swift
/// try await SinkConformance.check(records: [Array(#"{"id":1}"#.utf8), Array(#"{"id":2}"#.utf8)]) { MySink(url: url) }
/// ```
public enum SinkConformance {
  /// Checks every rule, with batches of no more records than ``Sink/batchLimits`` allows; delivers a handful of batches
  /// under cursor names that begin with `sink-conformance`.
  ///
  /// - Parameters:
  ///   - records: At least two records that the sink can render.
  ///   - secrets: Texts that must not show in the sink's description or in its plans.
  ///   - reconfigured: The same destination under another configuration: it must render an old plan as the old one did.
  ///   - makeSink: A sink as a new process would make it. Called several times; every sink is closed.
  /// - Throws: ``SinkViolation`` for the first rule that the sink breaks.
  public static func check(
    records: [[UInt8]], secrets: [String] = [], reconfigured: (() async throws -> any Sink)? = nil,
    makeSink: () async throws -> any Sink
  ) async throws {
    guard records.count >= 2 else { throw SinkViolation(.setting, "give at least two records") }
    let sink = try await makeSink()
    let other = try await makeSink()
    let changed = try await reconfigured?()
    let bench = SinkHarness(records: records)

    try describes(sink, secrets: secrets)
    // A sink that takes one record at a time is never given more.
    let most = min(records.count, sink.batchLimits.maxRecords ?? .max)
    for end in most == 1 ? [1] : [1, most] {
      let trial = try await bench.trial(end: end)
      let plan = try planIsBounded(sink, trial, secrets: secrets)
      let bodies = try await renderings(of: trial, plan: plan, by: [sink, other] + (changed.map { [$0] } ?? []))
      try await takesRepetitions(trial, plan: plan, bodies: bodies, by: [sink, sink, other])
    }
    if most > 1 {
      try canBeSplit(sink, whole: try await bench.trial(end: most), upper: try await bench.trial(from: 1, end: most))
    }
    for sink in [sink, other, changed] { await sink?.close() }
  }

  private static func describes(_ sink: any Sink, secrets: [String]) throws(SinkViolation) {
    let text = sink.description
    guard !text.isEmpty else { throw SinkViolation(.description, "the description is empty") }
    guard sink.description == text else { throw SinkViolation(.description, "the description changes") }
    for secret in secrets where text.contains(secret) {
      throw SinkViolation(.description, "the description shows a secret")
    }
  }

  private static func planIsBounded(
    _ sink: any Sink, _ trial: SinkTrial, secrets: [String]
  ) throws(SinkViolation) -> [UInt8] {
    var plans: [[UInt8]] = []
    // Names and numbers as long as they get.
    for outline in [trial.outline, trial.longestOutline] {
      do throws(SinkError) { plans.append(try sink.plan(outline)) } catch {
        throw SinkViolation(.plan, "a batch of good records cannot be planned: \(error)")
      }
    }
    for plan in plans {
      guard plan.count <= Intent.maxPlanBytes else {
        throw SinkViolation(.plan, "a plan has \(plan.count) bytes; at most \(Intent.maxPlanBytes) are allowed")
      }
      let text = String(decoding: plan, as: UTF8.self)
      for secret in secrets where text.contains(secret) {
        throw SinkViolation(.plan, "a plan, which is written to disk, shows a secret")
      }
    }
    guard (try? sink.selection(plan: plans[0])) == sink.selection else {
      throw SinkViolation(.plan, "a plan does not keep what the sink selects")
    }
    return plans[0]
  }

  /// Renders equal records under an equal plan in every way they may come; all must be equal.
  private static func renderings(
    of trial: SinkTrial, plan: [UInt8], by sinks: [any Sink]
  ) async throws(SinkViolation) -> [PreparedBody] {
    var bodies: [PreparedBody] = []
    for sink in sinks {
      for batch in [trial.batch, trial.batch, trial.batchInPieces] {
        do throws(SinkError) { bodies.append(try sink.prepare(batch, plan: plan)) } catch {
          throw SinkViolation(.rendering, "the sink's own plan cannot be followed: \(error)")
        }
      }
    }
    for body in bodies {
      guard body.contentDigest.count == 32 else {
        throw SinkViolation(.rendering, "the content digest has \(body.contentDigest.count) bytes instead of 32")
      }
      guard body.eventCount <= trial.batch.count, body.eventCount >= 0 else {
        throw SinkViolation(.rendering, "\(body.eventCount) events from \(trial.batch.count) records")
      }
      guard body.contentDigest == bodies[0].contentDigest, body.contentLength == bodies[0].contentLength else {
        throw SinkViolation(.rendering, "equal records under an equal plan were rendered differently")
      }
    }
    try digestsTellContentsApart(bodies[0], trial)
    return bodies
  }

  /// A rejected batch is sent again in parts, each with a plan of its own.
  private static func canBeSplit(
    _ sink: any Sink, whole: SinkTrial, upper: SinkTrial
  ) throws(SinkViolation) {
    let bodies: [PreparedBody]
    do throws(SinkError) {
      bodies = [
        try sink.prepare(whole.batch, plan: try sink.plan(whole.outline)),
        try sink.prepare(upper.batch, plan: try sink.plan(upper.outline)),
      ]
    } catch {
      throw SinkViolation(.splitting, "a part of a batch cannot be rendered by itself: \(error)")
    }
    guard bodies[1].eventCount <= upper.batch.count else {
      throw SinkViolation(.splitting, "\(bodies[1].eventCount) events from \(upper.batch.count) records")
    }
    guard bodies[0].eventCount == bodies[1].eventCount || bodies[0].contentDigest != bodies[1].contentDigest else {
      throw SinkViolation(.splitting, "a batch and a part of it have the same digest")
    }
  }

  private static func digestsTellContentsApart(
    _ body: PreparedBody, _ trial: SinkTrial
  ) throws(SinkViolation) {
    if body.contentDigest.allSatisfy({ $0 == 0 }) {
      throw SinkViolation(.rendering, "the content digest is not one")
    }
    if let smaller = trial.bench.lastBody.value, smaller.contentLength != body.contentLength {
      guard smaller.contentDigest != body.contentDigest else {
        throw SinkViolation(.rendering, "contents of different lengths have the same digest")
      }
    }
    trial.bench.lastBody.update { $0 = body }
  }

  /// Sends the same delivery again and again, as after lost answers and crashes.
  private static func takesRepetitions(
    _ trial: SinkTrial, plan: [UInt8], bodies: [PreparedBody], by sinks: [any Sink]
  ) async throws(SinkViolation) {
    let intent = trial.intent(plan: plan, body: bodies[0])
    for (index, sink) in sinks.enumerated() {
      let body = bodies[index % bodies.count]
      let outcome = await sink.deliver(
        DeliveryRequest(
          intent: intent, body: body, logID: trial.outline.logID, cursor: trial.outline.cursor, attempt: index + 1))
      guard case .delivered = outcome else {
        let which = index == 0 ? "the first time" : "again, as after a lost answer,"
        throw SinkViolation(.delivery, "delivered \(which) the batch was not taken: \(outcome)")
      }
    }
  }
}

/// A rule of `Sink` that a sink breaks.
public struct SinkViolation: Error, Hashable, Sendable, CustomStringConvertible {
  /// The rules of a sink.
  public enum Rule: String, Hashable, Sendable, CaseIterable {
    /// The check was not set up so that it could say anything.
    case setting
    /// A description says what and where, and shows no secret.
    case description
    /// A plan is bounded, shows no secret, and keeps the selection.
    case plan
    /// Equal records and an equal plan have an equal digest, in whatever memory the records are and whichever process
    /// renders them.
    case rendering
    /// Any part of a batch can be planned and rendered as a batch of its own.
    case splitting
    /// A delivery may be repeated.
    case delivery
  }

  /// The broken rule.
  public let rule: Rule
  /// What the sink did.
  public let message: String

  init(_ rule: Rule, _ message: String) {
    self.rule = rule
    self.message = message
  }

  public var description: String { "\(rule.rawValue): \(message)" }
}
