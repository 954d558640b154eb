import PenstockEvents
import PenstockLog
import PenstockSinks
import PenstockSupport

/// The parts of a request that the receiver uses.
struct ReceivedRequest: Sendable {
  var id: String?
  var timestamp: String?
  var signature: String?
  var range: String?
  /// The value of the required header.
  var key: String?
  /// A test delivery: checked like every request, but not stored.
  var isTest = false
  var body: [UInt8]
}

/// A status and a text.
struct ReceiverAnswer: Sendable, Hashable {
  var status: Int
  var text: String
}

/// Decides on requests and stores them, one at a time. It answers 200 after rows and ledger are written.
actor ReceiverStore {
  private let configuration: ReceiverConfiguration
  private let signature: WebhookSignature?
  private let output: ReceiverFile?
  private let ledgerFile: ReceiverFile?
  private var ledger: ReceiverLedger
  private let rejected: [[UInt8]]
  private var chance: SeededChance
  private(set) var counters = ReceiverCounters()

  init(_ configuration: ReceiverConfiguration) throws(ReceiverError) {
    self.configuration = configuration
    do {
      signature = configuration.secrets.isEmpty ? nil : try WebhookSignature(secrets: configuration.secrets)
    } catch {
      throw ReceiverError("\(error)")
    }
    let isSynced = configuration.isSynced
    var output: ReceiverFile?
    var ledgerFile: ReceiverFile?
    var ledger = ReceiverLedger()
    if let path = configuration.output { output = try ReceiverFile(path, isSynced: isSynced) }
    if let path = configuration.ledger {
      let file = try ReceiverFile(path, isSynced: isSynced)
      ledger = try ReceiverLedger(reading: file.contents())
      try file.truncate(to: ledger.length)
      try output?.truncate(to: ledger.end)
      ledgerFile = file
    }
    self.output = output
    self.ledgerFile = ledgerFile
    self.ledger = ledger
    rejected = configuration.rejected.filter { !$0.isEmpty }.map { Array($0.utf8) }
    chance = SeededChance(rate: configuration.failureRate, seed: configuration.seed)
  }

  /// - Parameter now: seconds since 1970.
  func receive(_ request: ReceivedRequest, now: Int64) -> ReceiverAnswer {
    counters.requests += 1
    do throws(ReceiverError) {
      return try decide(request, now: now)
    } catch {
      return ReceiverAnswer(status: 500, text: error.description)
    }
  }

  /// Counts a request without a usable body.
  func noteUnreadable() {
    counters.requests += 1
    counters.malformed += 1
  }

  private func decide(_ request: ReceivedRequest, now: Int64) throws(ReceiverError) -> ReceiverAnswer {
    let sha256 = Digest.hex(Digest.sha256(request.body))
    if let complaint = complaint(about: request, now: now) {
      counters.unauthorized += 1
      return try answer(401, complaint, request, sha256)
    }
    guard let id = request.id, (1...256).contains(id.utf8.count) else {
      counters.malformed += 1
      return try answer(400, "webhook-id is missing or too long", request, sha256)
    }
    if request.isTest { return ReceiverAnswer(status: 200, text: "a test delivery, nothing stored") }
    if rejected.contains(where: { Self.holds($0, in: request.body) }) {
      counters.rejected += 1
      return try answer(422, "rejected on purpose, nothing stored", request, sha256)
    }
    let failure = chance.next()
    if failure == .beforeStoring {
      counters.injectedFailures += 1
      return try answer(500, "failed on purpose, nothing stored", request, sha256)
    }
    var result: ReceiverAnswer
    switch ledger.find(id: id, sha256: sha256) {
    case .violation:
      counters.violations += 1
      result = try answer(409, "this webhook-id was used with another body", request, sha256)
    case .duplicate:
      counters.duplicates += 1
      result = try answer(failure == nil ? 200 : 500, "seen before", request, sha256, isDuplicate: true)
    case .new:
      result = try store(request, sha256, status: failure == nil ? 200 : 500)
    }
    if failure != nil, result.status == 500 { counters.injectedFailures += 1 }
    return result
  }

  private func complaint(about request: ReceivedRequest, now: Int64) -> String? {
    if let required = configuration.requiredHeader {
      let key = Array((request.key ?? "").utf8)
      guard Digest.equalInConstantTime(key, Array(required.value.revealed.utf8)) else {
        return "the header \(required.name) is missing or wrong"
      }
    }
    guard let signature else { return nil }
    do throws(WebhookSignature.VerificationError) {
      try signature.verify(
        id: request.id, timestamp: request.timestamp, signature: request.signature, body: request.body, now: now,
        tolerance: configuration.tolerance)
      return nil
    } catch {
      return error.description
    }
  }

  /// Complexity: O(body), for text that does not repeat its own beginning.
  private static func holds(_ text: [UInt8], in body: [UInt8]) -> Bool {
    body.withUnsafeBytes { body in
      text.withUnsafeBytes { text in
        guard body.count >= text.count else { return false }
        for start in 0...(body.count - text.count) where body[start] == text[0] {
          if body[start..<(start + text.count)].elementsEqual(text) { return true }
        }
        return false
      }
    }
  }

  private func store(
    _ request: ReceivedRequest, _ sha256: String, status: Int
  ) throws(ReceiverError) -> ReceiverAnswer {
    let rows: (bytes: [UInt8], count: Int)
    do throws(EventError) {
      rows = try ReceiverBody.rows(of: request.body)
    } catch {
      counters.malformed += 1
      return try answer(400, error.description, request, sha256)
    }
    let before = output?.length ?? 0
    try output?.append(rows.bytes)
    do throws(ReceiverError) {
      let text = status == 200 ? "stored" : "failed on purpose, stored"
      let result = try answer(status, text, request, sha256, stored: rows.count)
      counters.batches += 1
      counters.rows += rows.count
      return result
    } catch {
      // Without its ledger entry the batch would be stored again.
      try output?.truncate(to: before)
      throw error
    }
  }

  private func answer(
    _ status: Int, _ text: String, _ request: ReceivedRequest, _ sha256: String, isDuplicate: Bool = false,
    stored rows: Int? = nil
  ) throws(ReceiverError) -> ReceiverAnswer {
    let entry = LedgerEntry(
      id: String((request.id ?? "").prefix(256)), range: request.range.map { String($0.prefix(64)) }, sha256: sha256,
      duplicate: isDuplicate, status: status, rows: rows ?? 0, end: output?.length ?? 0, stored: rows != nil)
    if let ledgerFile {
      guard let line = try? entry.line() else { throw ReceiverError("the ledger entry cannot be encoded") }
      try ledgerFile.append(line)
    }
    ledger.note(entry)
    return ReceiverAnswer(status: status, text: text)
  }
}

/// Decides which requests fail on purpose; the same seed gives the same failures.
struct SeededChance {
  enum Failure: Hashable { case beforeStoring, afterStoring }

  private let rate: Double
  private var random: SeededRandom

  init(rate: Double, seed: UInt64) {
    self.rate = min(max(rate, 0), 1)
    random = SeededRandom(seed: seed)
  }

  mutating func next() -> Failure? {
    let value = Double(random.next() >> 11) / Double(1 << 53)
    guard value < rate else { return nil }
    return value < rate / 2 ? .beforeStoring : .afterStoring
  }
}
