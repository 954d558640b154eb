import HTTPTypes
import Hummingbird
import NIOCore
import PenstockEvents
import PenstockLog
import PenstockSupport
import Synchronization

/// `POST /v1/events`: reads a body, appends its events, and answers when they have the durability that the log is
/// configured for.
final class Ingest: Sendable {
  private let log: Log
  private let keyed: IdempotentAppender
  private let producers: ProducerHandles
  let budget: MemoryBudget
  let counters = IngestCounters()
  private let limits: Mutex<ServiceLimits>
  private let isEnding = Atomic(false)
  private let quota = Mutex(ProducerQuota())
  private let recordBytes: Int
  private let startedAt = ContinuousClock.now

  /// - Parameter recordBytes: the longest record that the log accepts. A longer one would fail the whole append.
  init(_ log: Log, keyed: IdempotentAppender, limits: ServiceLimits, recordBytes: Int = .max) {
    self.log = log
    self.recordBytes = recordBytes
    self.keyed = keyed
    producers = ProducerHandles(log)
    budget = MemoryBudget(limit: limits.bodyMemory)
    self.limits = Mutex(limits)
  }

  /// Refuses every new request from now on.
  func end() { isEnding.store(true, ordering: .relaxed) }

  var isEnded: Bool { isEnding.load(ordering: .relaxed) }

  /// Sets the limits for new requests. Requests in progress keep theirs.
  func replace(_ limits: ServiceLimits) {
    self.limits.withLock { $0 = limits.replacing($0) }
    budget.set(limit: limits.bodyMemory)
  }

  /// The limits for new requests.
  var currentLimits: ServiceLimits { limits.withLock { $0 } }

  /// The number of remembered keys.
  var knownKeys: Int { keyed.count }
  /// Why requests with keys are refused; nil while they are accepted.
  var keyTrouble: LogError? { keyed.trouble }

  func producer(_ name: String, appID: String?) async -> Answer {
    let full: String
    do throws(IngestIdentity.Complaint) {
      full = try IngestIdentity.producerName(name, appID: appID)
    } catch { return .failure(400, "bad_request", error.message) }
    let entry = log.producers.entry(full)
    return Answer(
      200,
      .object([
        ("name", .string(name)), ("lastSequence", .optional(entry.flatMap { $0.last > 0 ? $0.last : nil })),
        ("isCertain", .bool(entry.map { !$0.isUncertain } ?? log.producers.isComplete)),
      ]))
  }

  /// Answers one request.
  ///
  /// - Parameters:
  ///   - appID: the only app whose events the body may hold; nil: any.
  ///   - key: the API key of the request; nil: it has none.
  ///   - willRead: called before the body is read; not called when the request is refused without reading it.
  func respond(
    to request: Request, appID: String?, key: APIKey?, willRead: () -> Void = {}
  ) async -> Answer {
    let answer = await answer(request, appID, key, willRead)
    if answer.status != 200 { counters.note(answer) }
    return answer
  }

  private func answer(
    _ request: Request, _ appID: String?, _ key: APIKey?, _ willRead: () -> Void
  ) async -> Answer {
    if isEnding.load(ordering: .relaxed) {
      return .later(503, "ending", "the service is being shut down", after: 5).ending
    }
    let limits = limits.withLock { $0 }
    guard let format = Self.format(of: request) else {
      return Answer.failure(
        415, "unsupported_media_type", "send application/json (an array or an object) or application/x-ndjson"
      ).ending
    }
    guard let coding = ContentCoding(header: request.headers[.contentEncoding]) else {
      return Answer.failure(415, "unsupported_coding", "send the body uncompressed, or as gzip or zstd")
        .with("Accept-Encoding", "gzip, zstd").ending
    }
    if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limits.maxBodyBytes {
      return Answer(Self.tooLong(limits)).ending
    }
    let identity: IngestIdentity
    let onError: IngestRules.OnError
    do throws(IngestIdentity.Complaint) {
      identity = try IngestIdentity(
        key: request.headers[.idempotencyKey], producer: request.headers[.penstockProducer],
        sequence: request.headers[.penstockSequence], resumesAfter: request.headers[.penstockResumeAfter], appID: appID)
      onError = try Self.onError(request.uri.queryParameters["onError"].map { String($0) })
    } catch { return Answer.failure(400, "bad_request", error.message).ending }
    if case .producer(let name, _, _) = identity, let key,
      let wait = quota.withLock({ $0.wait(key.id, name, at: ContinuousClock.now.seconds(since: startedAt)) })
    {
      return .later(
        429, "too_many_producers",
        "this key has used \(ProducerQuota.names) producer names within an hour; use one of them",
        after: Int(wait)
      ).ending
    }
    // Held until the answer: a batch that waits for the log is in memory too.
    let share = MemoryShare(budget)
    defer { share.giveBack() }
    willRead()
    var rules = limits.rules(onError: onError, appID: appID)
    rules.maxEventBytes = min(rules.maxEventBytes, recordBytes)
    switch await read(request.body, format, coding, rules, limits, share) {
    case .success(let result): return await append(result, identity, onError)
    case .failure(let refusal): return refusal.answer
    }
  }

  private struct Refusal: Error { let answer: Answer }

  /// `curl -d` declares a form when no type is given; that counts as no type. Any web page can make a browser send such
  /// a form without a CORS preflight, so a form from a browser is refused.
  private static func format(of request: Request) -> IngestFormat? {
    let type = request.headers[.contentType]
    guard IngestFormat.isForm(contentType: type) else { return IngestFormat(contentType: type) }
    return Authorizer.isFromElsewhere(request) ? nil : .json
  }

  private static func onError(_ text: String?) throws(IngestIdentity.Complaint) -> IngestRules.OnError {
    guard let text else { return .reject }
    guard let known = IngestRules.OnError(rawValue: text) else {
      throw IngestIdentity.Complaint(message: "onError must be reject or skip")
    }
    return known
  }

  private static func tooLong(_ limits: ServiceLimits) -> EventError {
    EventError(
      .bodyTooLong, "the body is longer than \(limits.maxBodyBytes) bytes", position: limits.maxBodyBytes)
  }

  // MARK: Reading

  /// Reads the whole body, within the memory budget.
  private func read(
    _ body: RequestBody, _ format: IngestFormat, _ coding: ContentCoding, _ rules: IngestRules, _ limits: ServiceLimits,
    _ share: MemoryShare
  ) async -> Result<IngestResult, Refusal> {
    var decoder = IngestDecoder(format, rules)
    // The deadline is checked when a piece arrives, which catches a client that sends slowly. The connection's idle
    // timeout catches a client that stops.
    let deadline = ContinuousClock.now + limits.bodyTimeout
    var sent = 0
    do {
      let decompressor = try BodyDecompressor(coding)
      for try await chunk in body {
        sent += chunk.readableBytes
        if sent > limits.maxBodyBytes { throw Self.tooLong(limits) }
        if ContinuousClock.now > deadline {
          return .failure(Refusal(answer: .tooSlow))
        }
        try chunk.withUnsafeReadableBytes { bytes in
          try decompressor.feed(bytes) { (piece: UnsafeRawBufferPointer) throws(any Error) in
            try decoder.feed(piece)
            if !share.grow(to: decoder.heldBytes + decompressor.heldBytes) { throw OutOfMemory() }
          }
        }
      }
      try decompressor.finish()
      return .success(try decoder.finish())
    } catch let error as EventError {
      return .failure(Refusal(answer: Answer(error).ending))
    } catch let error as CodingError {
      return .failure(Refusal(answer: Answer.failure(400, "bad_coding", error.message).ending))
    } catch is OutOfMemory {
      return .failure(
        Refusal(answer: .later(429, "overloaded", "too many request bodies are in memory; send it again").ending))
    } catch {
      // The client disconnected, or a timeout closed the connection. No client receives this answer; counters and logs
      // do.
      return .failure(Refusal(answer: Answer.failure(400, "truncated", "the body ended too early").ending))
    }
  }

  private struct OutOfMemory: Error {}

  // MARK: Appending

  private func append(
    _ result: IngestResult, _ identity: IngestIdentity, _ onError: IngestRules.OnError
  ) async -> Answer {
    if result.batch.isEmpty {
      counters.note(accepted: 0, bytes: 0, refused: result.refused.count, isDuplicate: false)
      return IngestAnswer(result, first: nil, isDuplicate: false, listing: onError == .skip).answer
    }
    do throws(LogError) {
      let (first, count, isDuplicate): (Offset?, Int, Bool)
      switch identity {
      case .none:
        let receipt = try await log.tryAppend(result.batch)
        (first, count, isDuplicate) = (receipt.offsets.lowerBound, result.accepted, false)
      case .producer(let name, let sequence, let resumesAfter):
        let receipt = try await append(result.batch, name, sequence, resumesAfter)
        // A duplicate reports the count of the first append, whatever this request contains.
        (first, count, isDuplicate) = (
          receipt?.offsets.lowerBound,
          receipt.map { $0.offsets.upperBound - $0.offsets.lowerBound } ?? result.accepted,
          receipt?.isDuplicate ?? true
        )
      case .key(let key):
        switch await keyed.append(result.batch, key: key) {
        case .success(let (append, again)): (first, count, isDuplicate) = (append.first, Int(append.count), again)
        case .failure(.log(let error)): throw error
        case .failure(.overloaded):
          return .later(429, "overloaded", "too many requests with idempotency keys are waiting; send it again")
        case .failure(.journalUnavailable(let error)):
          let after = error.code == .noSpace ? 30 : 10
          return .later(
            503, "keys_unavailable", "idempotency keys cannot be stored now (\(error.code)); nothing was written",
            after: after)
        case .failure(.otherContent):
          return .failure(422, "key_reused", "this Idempotency-Key was used with other events; use a new one")
        }
      }
      counters.note(
        accepted: count, bytes: result.batch.byteCount, refused: result.refused.count, isDuplicate: isDuplicate)
      return IngestAnswer(result, first: first, isDuplicate: isDuplicate, listing: onError == .skip, count: count)
        .answer
    } catch {
      return Answer(error)
    }
  }

  /// The receipt; nil for a duplicate whose offsets the log no longer remembers.
  private func append(
    _ batch: RecordBatch, _ name: String, _ sequence: UInt64, _ resumesAfter: UInt64?
  ) async throws(LogError) -> Receipt? {
    let producer = try await producers.producer(name)
    do throws(LogError) {
      // Only when the log has forgotten the producer: its own record is more reliable than the client's claim.
      if let resumesAfter, producer.isForgotten { try producer.resume(after: resumesAfter) }
      return try await producer.append(batch, sequence: sequence)
    } catch {
      if error.code == .duplicate { return nil }
      // The next request opens the producer again.
      if error.code == .fenced || error.code == .unknownProducer { producers.forget(name) }
      throw error
    }
  }
}

extension ContinuousClock.Instant {
  fileprivate func seconds(since start: Self) -> Int64 { (self - start).components.seconds }
}

extension Answer {
  static var tooSlow: Answer { Answer.failure(408, "too_slow", "the body took too long to arrive").ending }

  /// The same answer, for a request whose body is not read any further.
  var ending: Answer {
    var answer = self
    answer.endsConnection = true
    return answer
  }
}

extension HTTPField.Name {
  static let idempotencyKey = named("Idempotency-Key")
  static let penstockProducer = named("Penstock-Producer")
  static let penstockSequence = named("Penstock-Sequence")
  static let penstockResumeAfter = named("Penstock-Resume-After")

  private static func named(_ name: String) -> HTTPField.Name {
    guard let field = HTTPField.Name(name) else { preconditionFailure("\(name) is not a valid header name") }
    return field
  }
}
