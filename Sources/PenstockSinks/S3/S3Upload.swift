import PenstockDelivery
import PenstockLog

/// The state machine of a multipart upload: the next request, and the meaning of its response. No clock, no network.
///
/// ```
/// looking ──equal──────────────────────────────────────────────────▶ done: delivered
///    │ nothing there                                                     ▲
///    ▼                                                                   │ 200
/// sweeping ─▶ aborting what an earlier process left ─▶ creating ─▶ sending ─▶ completing
///                                                          ▲         │           │ 412, no such upload
///                                                          │         │           ▼
///                                                        (next attempt)       comparing ─▶ aborting ─▶ done
/// ```
/// What makes it safe:
/// - A part counts only for bytes with the SHA-256 it was sent with. If a second rendering differs, the part is sent
///   again. So an object never mixes two renderings.
/// - State is not kept after the process ends. A later process aborts the open uploads of the key and starts again. So
///   it never completes an upload of another writer, and no writer completes one with the wrong metadata.
/// - The completion has `If-None-Match: *`. An existing object is compared and never overwritten.
/// - An abandoned upload is aborted. If the abort fails, the bucket's lifecycle rule removes the upload.
struct S3Upload: Sendable {
  /// An uploaded part, with the digest and size of its bytes.
  struct Part: Sendable, Hashable {
    var digest: [UInt8]
    var size: Int
    var etag: String
    var checksum: String?
  }

  enum Call: Sendable, Hashable {
    case head, listUploads, create
    case abort(String)
    /// The next part, counted from 1. The caller offers its bytes with ``offer(_:size:)``, or calls ``bodyEnded()``.
    case part(id: String, number: Int)
    case complete(id: String)
  }

  enum Phase: Sendable, Hashable {
    case looking, sweeping, creating
    case aborting([String], then: AfterAbort)
    case sending(id: String)
    case completing(id: String)
    /// An object with this key may exist.
    case comparing(id: String)
    /// The object, where another attempt made it, or an earlier one of this process.
    case done(DeliveryOutcome, found: StoredObject?)
    /// Ends this attempt; the next one continues with the uploaded parts.
    case paused(DeliveryOutcome)
  }

  enum AfterAbort: Sendable, Hashable {
    case create
    case end(DeliveryOutcome, found: StoredObject?)
  }

  private(set) var phase = Phase.looking
  /// The uploaded parts, by number − 1.
  private(set) var parts: [Part] = []
  /// The number of the next part, counted from 1. All earlier parts are equal to this attempt's bytes.
  private(set) var number = 1

  /// Whether this attempt's completion made the object: then its bytes are those of this attempt.
  private(set) var isCompleted = false

  /// The next request; nil when the attempt has ended.
  var call: Call? {
    switch phase {
    case .looking, .comparing: .head
    case .sweeping: .listUploads
    case .creating: .create
    case .aborting(let ids, _): ids.first.map { .abort($0) }
    case .sending(let id): .part(id: id, number: number)
    case .completing(let id): .complete(id: id)
    case .done, .paused: nil
    }
  }

  var size: Int { parts.reduce(0) { $0 + $1.size } }

  /// Starts another attempt in the same process, with the body from its start.
  mutating func resume(_ id: String) {
    phase = .sending(id: id)
    number = 1
  }

  /// Returns whether the next part must be sent. If not, advances to the part after it.
  mutating func offer(_ digest: [UInt8], size: Int) -> Bool {
    guard number <= parts.count, parts[number - 1].digest == digest, parts[number - 1].size == size else { return true }
    number += 1
    return false
  }

  mutating func took(_ part: Part) {
    if number <= parts.count { parts[number - 1] = part } else { parts.append(part) }
    number += 1
  }

  /// The body has ended: the parts so far are the object.
  mutating func bodyEnded() {
    guard case .sending(let id) = phase else { return }
    parts.removeLast(parts.count - (number - 1))
    phase = .completing(id: id)
  }

  mutating func handle(looked status: S3Verdict.ObjectStatus) {
    switch (phase, status) {
    case (.looking, .missing): phase = .sweeping
    case (.looking, .equal(let receipt, let object)): phase = .done(.delivered(receipt: receipt), found: object)
    case (.looking, .outcome(let outcome)): phase = .done(outcome, found: nil)
    case (.comparing(let id), .equal(let receipt, let object)):
      phase = .aborting([id], then: .end(.delivered(receipt: receipt), found: object))
    case (.comparing(let id), .missing):
      // Neither the upload nor the object exists: the next attempt starts again.
      phase = .aborting([id], then: .end(.retry(reason: "the upload ended without an object", after: nil), found: nil))
    case (.comparing(let id), .outcome(let outcome)):
      guard case .conflict = outcome else { return phase = .paused(outcome) }
      phase = .aborting([id], then: .end(outcome, found: nil))
    default: break
    }
  }

  mutating func handle(openUploads ids: [String]) {
    phase = ids.isEmpty ? .creating : .aborting(ids, then: .create)
  }

  /// Continues also after a failed abort: a leftover upload is harmless and only uses space.
  mutating func handle(aborted id: String) {
    guard case .aborting(let ids, let then) = phase else { return }
    guard ids.count <= 1 else { return phase = .aborting(Array(ids.dropFirst()), then: then) }
    switch then {
    case .create: phase = .creating
    case .end(let outcome, let object): phase = .done(outcome, found: object)
    }
  }

  mutating func handle(created id: String) {
    parts = []
    resume(id)
  }

  /// After the completion. A 200 is a success only if `isSuccess`, because its body can contain an error.
  mutating func handle(completed answer: S3Client.Answer, isSuccess: Bool) {
    guard case .completing(let id) = phase else { return }
    let failure = S3Verdict.failure(answer)
    switch answer.response.status {
    case _ where isSuccess:
      phase = .done(.delivered(receipt: S3Verdict.receipt(answer.response)), found: nil)
      isCompleted = true
    case 412: phase = .comparing(id: id)
    case 404 where answer.detail.code != "NoSuchBucket":
      // An attempt whose response was lost has completed it, or another client has aborted it.
      phase = .comparing(id: id)
    case _ where answer.response.status == 409 || Self.partsAreLost.contains(answer.detail.code ?? ""):
      let outcome = DeliveryOutcome.retry(reason: answer.detail.reason, after: answer.after)
      phase = .aborting([id], then: .end(outcome, found: nil))
    default: phase = .paused(failure)
    }
  }

  private static let partsAreLost: Set<String> = ["InvalidPart", "InvalidPartOrder", "EntityTooSmall"]

  /// Any other response: ends the attempt and keeps the uploaded parts.
  mutating func fail(_ outcome: DeliveryOutcome) { phase = .paused(outcome) }

  /// The store does not know the upload any more.
  mutating func lostUpload() {
    guard case .sending(let id) = phase else { return }
    phase = .comparing(id: id)
  }
}
