import PenstockDelivery
import PenstockLog

/// One upload of an object in parts: what is asked next, and what an answer means. No clock, no network.
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
/// - A part counts only for bytes with the SHA-256 it was sent with; when the bytes are rendered again and differ, the part is
///   sent again. So no object is put together from two renderings.
/// - Nothing is remembered beyond the process: a later one aborts what it finds open under the key and begins anew. An
///   upload of another writer is thereby never completed under our name, nor ours under its metadata.
/// - The completion carries `If-None-Match: *`. An object that stands there is compared and never overwritten.
/// - What is given up is aborted. An abort that fails is left to the bucket's lifecycle rule.
struct S3Upload: Sendable {
  /// What was taken, and of what.
  struct Part: Sendable, Hashable {
    var digest: [UInt8]
    var size: Int
    var etag: String
    var checksum: String?
  }

  enum Call: Sendable, Hashable {
    case head, listUploads, create
    case abort(String)
    /// The next part, from 1: offer the bytes to ``offer(_:)``, or say that there are no more.
    case part(id: String, number: Int)
    case complete(id: String)
  }

  enum Phase: Sendable, Hashable {
    case looking, sweeping, creating
    case aborting([String], then: AfterAbort)
    case sending(id: String)
    case completing(id: String)
    /// Something may stand under the key.
    case comparing(id: String)
    case done(DeliveryOutcome, size: Int?)
    /// Ends this attempt; the next goes on with what was taken.
    case paused(DeliveryOutcome)
  }

  enum AfterAbort: Sendable, Hashable {
    case create
    case end(DeliveryOutcome, size: Int?)
  }

  private(set) var phase = Phase.looking
  /// What the store took, by number − 1.
  private(set) var parts: [Part] = []
  /// The part that is looked at next, from 1; all before it are proven equal to this attempt's bytes.
  private(set) var number = 1

  /// What is to be asked; nil when the attempt has ended.
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

  /// Begins another attempt in the same process, with the body from its beginning.
  mutating func resume(_ id: String) {
    phase = .sending(id: id)
    number = 1
  }

  /// Whether the next part must be sent; when it need not, the one behind it is next.
  mutating func offer(_ digest: [UInt8], size: Int) -> Bool {
    guard number <= parts.count, parts[number - 1].digest == digest, parts[number - 1].size == size else { return true }
    number += 1
    return false
  }

  mutating func took(_ part: Part) {
    if number <= parts.count { parts[number - 1] = part } else { parts.append(part) }
    number += 1
  }

  /// The body has no more bytes: the parts that were proven are the object.
  mutating func bodyEnded() {
    guard case .sending(let id) = phase else { return }
    parts.removeLast(parts.count - (number - 1))
    phase = .completing(id: id)
  }

  mutating func handle(looked standing: S3Verdict.Standing) {
    switch (phase, standing) {
    case (.looking, .missing): phase = .sweeping
    case (.looking, .equal(let receipt, let size)): phase = .done(.delivered(receipt: receipt), size: size)
    case (.looking, .outcome(let outcome)): phase = .done(outcome, size: nil)
    case (.comparing(let id), .equal(let receipt, let size)):
      phase = .aborting([id], then: .end(.delivered(receipt: receipt), size: size))
    case (.comparing(let id), .missing):
      // Neither the upload nor the object: begun anew by the next attempt.
      phase = .aborting([id], then: .end(.retry(reason: "the upload ended without an object", after: nil), size: nil))
    case (.comparing(let id), .outcome(let outcome)):
      guard case .conflict = outcome else { return phase = .paused(outcome) }
      phase = .aborting([id], then: .end(outcome, size: nil))
    default: break
    }
  }

  mutating func handle(openUploads ids: [String]) {
    phase = ids.isEmpty ? .creating : .aborting(ids, then: .create)
  }

  /// However it went: what could not be aborted is no danger, it only takes room.
  mutating func handle(aborted id: String) {
    guard case .aborting(let ids, let then) = phase else { return }
    guard ids.count <= 1 else { return phase = .aborting(Array(ids.dropFirst()), then: then) }
    switch then {
    case .create: phase = .creating
    case .end(let outcome, let size): phase = .done(outcome, size: size)
    }
  }

  mutating func handle(created id: String) {
    parts = []
    resume(id)
  }

  /// After the completion: `problem` is nil for a success.
  mutating func handle(completed answer: S3Client.Answer, isSuccess: Bool) {
    guard case .completing(let id) = phase else { return }
    let failure = S3Verdict.failure(answer)
    switch answer.response.status {
    case _ where isSuccess:
      phase = .done(.delivered(receipt: S3Verdict.receipt(answer.response)), size: size)
    case 412: phase = .comparing(id: id)
    case 404 where answer.detail.code != "NoSuchBucket":
      // Completed by an attempt whose answer was lost, or aborted by somebody.
      phase = .comparing(id: id)
    case _ where answer.response.status == 409 || Self.partsAreLost.contains(answer.detail.code ?? ""):
      let outcome = DeliveryOutcome.retry(reason: answer.detail.reason, after: answer.after)
      phase = .aborting([id], then: .end(outcome, size: nil))
    default: phase = .paused(failure)
    }
  }

  private static let partsAreLost: Set<String> = ["InvalidPart", "InvalidPartOrder", "EntityTooSmall"]

  /// An answer that is none of the above: the attempt ends; what the store took stays good.
  mutating func fail(_ outcome: DeliveryOutcome) { phase = .paused(outcome) }

  /// The store no longer knows the upload while parts are sent.
  mutating func lostUpload() {
    guard case .sending(let id) = phase else { return }
    phase = .comparing(id: id)
  }
}
