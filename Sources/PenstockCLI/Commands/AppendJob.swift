import PenstockEvents
import PenstockLog
import PenstockSupport
import PenstockToolSupport

/// One run of `penstock append`.
struct AppendJob {
  let command: AppendCommand
  let input: InputFile
  let validator: EventValidator?
  let configuration: LogConfiguration
  /// Reads block a thread, so this worker does them.
  let reader: Worker
  private static let arrayLimit = 256 << 20

  func run() async throws {
    let token = Signals.handle { _ in }
    defer { Signals.forget(token) }
    let started = ContinuousClock.now
    // Validate before opening the log: bad input must not create one.
    let array = try await prepare()
    let log = try await open()
    do {
      try await append(array, to: log, started: started)
    } catch {
      try? await log.close()
      throw error
    }
  }

  /// Validates the input if it can be read twice. Returns the events of a JSON array.
  private func prepare() async throws -> RecordFeed? {
    if command.format == .array {
      let bytes = try await reader.run { [input] () throws(Failure) in try input.readAll(limit: Self.arrayLimit) }
      let feed = RecordFeed(validator: validator, maxRecords: command.batch)
      do throws(EventError) { try feed.feed(array: bytes) } catch { throw bad(error, feed, "nothing was appended") }
      guard feed.records > 0 else { throw empty }
      return feed
    }
    if input.isSeekable {
      try await reader.run { () throws(Failure) in try self.check() }
      input.seek(to: 0)
    }
    return nil
  }

  /// Validates the whole file in one pass.
  private func check() throws(Failure) {
    var feed = RecordFeed(validator: validator, maxRecords: command.batch, isKeeping: false)
    ProgressLine.shared.begin("checking", total: input.size)
    var done = 0
    while true {
      let bytes = try read(from: done)
      if Signals.received != nil { throw interrupted }
      do throws(EventError) {
        if bytes.isEmpty {
          if takesLastLine { try feed.finish() }
          break
        }
        try feed.feed(bytes)
      } catch {
        throw bad(error, feed, "nothing was appended")
      }
      done += bytes.count
      ProgressLine.shared.update(done)
    }
    // A growing file may have no complete line yet.
    guard feed.records > 0 || command.producer != nil else { throw empty }
  }

  /// Reads the next bytes, from `position` on. A growing file is read up to its size at opening, so that only validated
  /// bytes are appended.
  private func read(from position: Int) throws(Failure) -> [UInt8] {
    guard command.producer != nil, let size = input.size else { return try input.read() }
    guard position < size else { return [] }
    let bytes = try input.read()
    return bytes.count <= size - position ? bytes : Array(bytes.prefix(size - position))
  }

  /// Whether a last line without a line feed is a record. In a growing file it may be half a line.
  private var takesLastLine: Bool { command.producer == nil || command.isFinal }

  /// Opens the log. Retries briefly while `deliver` or `recover` holds the lock.
  private func open() async throws -> Log {
    let log = try await Log.open(at: command.logOption.log, configuration: configuration)
    if command.common.json {
      Output.standard.line(
        .object([("opened", .object([("end", .number(log.end.rawValue)), ("recovery", .encoding(log.recovery))]))]))
    } else if log.recovery.outcome != .clean, log.recovery.outcome != .created {
      Output.note("penstock append: opening the log recovered it (\(log.recovery.outcome.rawValue))")
    }
    return log
  }

  private func append(_ array: RecordFeed?, to log: Log, started: ContinuousClock.Instant) async throws {
    let isSpeakingJSON = command.common.json
    let resumed = try await takeProducer(of: log)
    let pipeline = AppendPipeline(log, configuration.durability, resumed?.producer) { receipt, tally in
      if isSpeakingJSON {
        let (first, last) = (receipt.offsets.lowerBound.rawValue, receipt.offsets.upperBound.rawValue - 1)
        Output.standard.line(#"{"acknowledged":{"first":\#(first),"last":\#(last)}}"#)
      }
      ProgressLine.shared.update(tally.bytes + tally.records, HumanFormat.count(tally.records, "record"))
    }
    ProgressLine.shared.begin("appending", total: input.size)
    var unfinished = 0
    do {
      if let array {
        for full in array.takeFull() { try await pipeline.append(full.batch) }
      } else {
        unfinished = try await stream(into: pipeline, resumed)
      }
      try await pipeline.finish()
    } catch let error as LogError {
      throw stopped(error, pipeline.tally)
    }
    let wasInterrupted = Signals.received != nil && array == nil
    try await applyRetention(to: log)
    try await log.close()
    if wasInterrupted { throw interrupted(after: pipeline.tally) }
    if unfinished > 0 {
      Output.note(
        "penstock append: the last \(unfinished) bytes of \(input.name) have no line feed and were not appended; the "
          + "next run appends them when the line is complete, --final appends them now")
    }
    if pipeline.tally.records == 0, resumed != nil {
      command.tell(
        .object([("appended", .number(0)), ("unfinishedBytes", .number(unfinished))]),
        "nothing new in \(input.name): every complete line is in the log")
      return
    }
    guard pipeline.tally.records > 0 else { throw empty }
    report(pipeline.tally, unfinished: unfinished, seconds: (ContinuousClock.now - started) / .seconds(1))
  }

  /// Applies retention, and prints what prevents further deletion.
  private func applyRetention(to log: Log) async throws {
    guard configuration.retention != RetentionPolicy() else { return }
    let report = try await log.trim()
    for hold in report.holds { Output.note("penstock append: retention: \(hold.message)") }
  }

  /// A producer, and the byte in the file at which this run starts.
  private struct ProducerStart {
    let producer: Producer
    let start: Int
    /// The file's first bytes, up to `FilePosition.window` of those already appended.
    let beginning: [UInt8]
  }

  /// Opens the producer and seeks to its stored position in the file.
  private func takeProducer(of log: Log) async throws -> ProducerStart? {
    guard let name = command.producer else { return nil }
    guard let size = input.size else {
      throw Failure(.usage, "usage", "--producer needs a seekable file")
    }
    let producer = try await log.producer(named: name)
    if command.resetsProducer, producer.history == .uncertain { try producer.resume(after: producer.lastSequence ?? 0) }
    let start = try await reader.run { () throws(Failure) in try self.startPosition(of: producer, size: size) }
    if start > 0 { Output.note("penstock append: resuming at byte \(start)") }
    let beginning = try await reader.run { [input] () throws(Failure) in
      try input.read(0..<min(start, FilePosition.window))
    }
    input.seek(to: start)
    return ProducerStart(producer: producer, start: start, beginning: beginning)
  }

  private func startPosition(of producer: Producer, size: Int) throws(Failure) -> Int {
    let kept = FilePosition.StoredPosition(producer.source)
    let decision = try FilePosition.decide(kept, size: size) { (range) throws(Failure) in try self.input.read(range) }
    switch decision {
    case .begin(let start): return start
    case .unproven(let start):
      Output.note(
        "penstock append: producer \(producer.name) has a position without a file fingerprint; assuming that "
          + "\(input.name) is the same file")
      return start
    case .otherFile(let why):
      if command.resetsProducer {
        Output.note("penstock append: \(input.name) is a different file than before (\(why)); starting at byte 0")
        return 0
      }
      throw Failure(
        .bad, "other_file", "\(input.name) is not the file that producer \(producer.name) read before: \(why)",
        advice:
          "append the rest of that file first, under its new name; then append this one with --reset-producer, which "
          + "starts at byte 0")
    case .notAPlace:
      throw Failure(
        .bad, "other_input", "producer \(producer.name) was not used with a file before",
        advice: "use a different producer name")
    }
  }

  /// Returns the number of bytes at the end that are not a complete line and were not appended.
  private func stream(into pipeline: AppendPipeline, _ resumed: ProducerStart?) async throws -> Int {
    var feed = RecordFeed(validator: validator, maxRecords: command.batch)
    let start = resumed?.start ?? 0
    var beginning = resumed?.beginning ?? []
    var position = start
    while Signals.received == nil {
      // Idle input closes the pending batch at once. While an append is in flight, arriving records share the next
      // batch.
      guard await isReady(within: feed.hasPendingBatch ? (pipeline.isBusy ? 1 : 0) : 100) else {
        if feed.hasPendingBatch, !pipeline.isBusy {
          feed.closePendingBatch()
          for full in feed.takeFull() { try await pipeline.append(full.batch) }
        }
        continue
      }
      let bytes = try await reader.run { [position] () throws(Failure) in try self.read(from: position) }
      position += bytes.count
      if beginning.count < FilePosition.window { beginning += bytes.prefix(FilePosition.window - beginning.count) }
      var fault: EventError?
      do throws(EventError) {
        if !bytes.isEmpty {
          try feed.feed(bytes)
        } else if takesLastLine {
          try feed.finish()
        } else {
          feed.closePendingBatch()
        }
      } catch {
        fault = error
      }
      for full in feed.takeFull() {
        guard resumed != nil else {
          try await pipeline.append(full.batch)
          continue
        }
        let source = FilePosition(
          position: start + full.end, beginning: beginning, record: full.batch.payload.dropLast())
        try await pipeline.append(full.batch, source: source.encoded)
      }
      if let fault {
        try await pipeline.finish()
        throw bad(fault, feed, Self.extent(pipeline.tally))
      }
      if bytes.isEmpty { return takesLastLine ? 0 : feed.unfinishedBytes }
    }
    return 0
  }

  private func isReady(within milliseconds: Int32) async -> Bool {
    if input.isSeekable { return true }
    if milliseconds == 0 { return input.isReady(within: 0) }
    return await reader.run { [input] in input.isReady(within: milliseconds) }
  }

  // MARK: Messages

  private func report(_ tally: AppendPipeline.Tally, unfinished: Int, seconds: Double) {
    guard let first = tally.first, let end = tally.end else { return }
    let stored = (try? LogInspector(command.logOption.log))?.storedBytes(of: first..<end) ?? 0
    let raw = tally.bytes + tally.records
    command.tell(
      .object(
        [
          ("appended", .number(tally.records)), ("bytes", .number(tally.bytes)), ("first", .number(first.rawValue)),
          ("last", .number(end.rawValue - 1)), ("seconds", .number(seconds)), ("bytesOnDisk", .number(stored)),
        ] + (command.producer == nil ? [] : [("unfinishedBytes", .number(unfinished))])),
      "\(HumanFormat.count(tally.records, "record")) appended, offsets \(first) to \(end.rawValue - 1): "
        + "\(HumanFormat.bytes(raw)) in, \(HumanFormat.bytes(stored)) on disk "
        + "(\(HumanFormat.share(stored, of: UInt64(raw)))), "
        + "\(HumanFormat.seconds(seconds)), \(HumanFormat.bytes(Int(Double(raw) / max(seconds, 0.001))))/s")
  }

  /// Which records are in the log.
  private static func extent(_ tally: AppendPipeline.Tally) -> String {
    guard let first = tally.first, let end = tally.end else { return "nothing was appended" }
    return
      "\(HumanFormat.count(tally.records, "record")) before it are in the log "
      + "(offsets \(first) to \(end.rawValue - 1)), and nothing after them"
  }

  private var empty: Failure { Failure(.bad, "empty", "no records in \(input.name)") }

  private var interrupted: Failure { Failure(.interrupted, "interrupted", "interrupted; nothing was appended") }

  private func interrupted(after tally: AppendPipeline.Tally) -> Failure {
    Failure(.interrupted, "interrupted", "interrupted; " + Self.extent(tally))
  }

  private func bad(_ error: EventError, _ feed: RecordFeed, _ extent: String) -> Failure {
    var failure = Failure(event: error, line: feed.lineAtFault, in: input.name)
    failure.message += "; \(extent)"
    if error.code == .recordTooLong {
      failure.advice = "the limit is \(HumanFormat.bytes(RecordFeed.recordLimit)) per record; split it, or remove it"
    } else {
      failure.advice = "correct the record and append the input from there (--no-validate appends any line)"
    }
    return failure
  }

  private func stopped(_ error: LogError, _ tally: AppendPipeline.Tally) -> Failure {
    var failure = Failure(log: error)
    failure.message += "; " + Self.extent(tally)
    return failure
  }
}
