import Crypto
import PenstockDelivery
import PenstockLog
import PenstockSupport
import Synchronization

/// Sends the requests of an ``S3Upload``, and keeps its state between the attempts of one process.
final class S3Uploader: Sendable {
  let client: S3Client
  let storage: S3StorageOptions
  let partBytes: Int

  /// Unfinished uploads by key. Only an optimisation: without it, an upload starts again.
  private let open = Mutex<[String: Open]>([:])
  private struct Open {
    var delivery: DeliveryID
    var uploadID: String
    var upload: S3Upload
    /// What its metadata say.
    var stored: StoredObject?
  }

  init(client: S3Client, storage: S3StorageOptions, partBytes: Int) {
    self.client = client
    self.storage = storage
    self.partBytes = partBytes
  }

  /// The outcome of an attempt, and the object if it is delivered.
  typealias Result = (outcome: DeliveryOutcome, object: StoredObject?)

  /// - Parameters:
  ///   - stored: The object, where it is known; `headers` have it.
  ///   - reader: Returns the bytes after `firstPart`.
  func upload(
    _ delivery: DeliveryRequest, _ plan: ExportPlan, _ stored: StoredObject?,
    headers: [(name: String, value: String)], firstPart: [UInt8], reader: any BodyReader
  ) async -> Result {
    var body = Parts(next: firstPart, reader: reader, partBytes: partBytes, hash: stored == nil ? SHA256() : nil)
    var upload = S3Upload()
    var uploadID: String?
    // An upload whose metadata describe other bytes cannot become this object. It is aborted, as one that is unknown.
    if let left = open.withLock({ $0.removeValue(forKey: plan.key) }), left.delivery == delivery.intent.id,
      left.stored == stored
    {
      upload = left.upload
      upload.resume(left.uploadID)
      uploadID = left.uploadID
    }
    while let call = upload.call {
      if case .part(let id, _) = call { uploadID = id }
      do throws(S3Failure) {
        try await perform(call, on: &upload, &body, delivery, plan, headers)
      } catch {
        upload.fail(error.outcome)
      }
    }
    switch upload.phase {
    case .paused(let outcome):
      if let uploadID {
        let left = Open(delivery: delivery.intent.id, uploadID: uploadID, upload: upload, stored: stored)
        open.withLock { $0[plan.key] = left }
      }
      return (outcome, nil)
    case .done(let outcome, let object):
      if upload.isCompleted { return (outcome, stored ?? StoredObject(size: upload.size, digest: body.digest)) }
      // A store that does not say the size of an object still needs an entry for it.
      return (outcome, object ?? StoredObject(size: stored?.size ?? upload.size, digest: nil))
    default: return (.retry(reason: "the upload was interrupted", after: nil), nil)
    }
  }

  private func perform(
    _ call: S3Upload.Call, on upload: inout S3Upload, _ body: inout Parts, _ delivery: DeliveryRequest,
    _ plan: ExportPlan, _ headers: [(name: String, value: String)]
  ) async throws(S3Failure) {
    switch call {
    case .head:
      let answer = try await client.send(S3Request(method: "HEAD", key: plan.key))
      upload.handle(
        looked: S3Verdict.afterHead(
          answer, key: plan.key, body: delivery.body, isCompressed: plan.compression != .none))
    case .listUploads: upload.handle(openUploads: try await openUploads(of: plan.key))
    case .abort(let id):
      _ = try? await client.send(
        S3Request(method: "DELETE", key: plan.key, query: [(name: "uploadId", value: id)]))
      upload.handle(aborted: id)
    case .create: try await create(&upload, plan, headers)
    case .part(let id, let number): try await send(number, of: id, &upload, &body, plan)
    case .complete(let id): try await complete(id, &upload, plan)
    }
  }

  private func create(
    _ upload: inout S3Upload, _ plan: ExportPlan, _ headers: [(name: String, value: String)]
  ) async throws(S3Failure) {
    var headers = headers
    if let checksum = storage.checksum {
      headers.append((name: "x-amz-checksum-algorithm", value: checksum.algorithm))
    }
    let answer = try await client.send(
      S3Request(method: "POST", key: plan.key, query: [(name: "uploads", value: "")], headers: headers))
    guard answer.response.status == 200, let new = S3Documents.read(S3Documents.NewUpload.self, answer.response.body)
    else { return upload.fail(S3Verdict.failure(answer)) }
    upload.handle(created: new.UploadId)
  }

  private func send(
    _ number: Int, of id: String, _ upload: inout S3Upload, _ body: inout Parts, _ plan: ExportPlan
  ) async throws(S3Failure) {
    let bytes: [UInt8]
    do throws(SinkError) { bytes = try body.take() } catch { return upload.fail(.refused(reason: error.message)) }
    guard !bytes.isEmpty else { return upload.bodyEnded() }
    let digest = Digest.sha256(bytes)
    guard upload.offer(digest, size: bytes.count) else { return }
    let checksum = storage.checksum.map { (name: $0.header, value: $0.value(of: bytes, digest: digest)) }
    let answer = try await client.send(
      S3Request(
        method: "PUT", key: plan.key,
        query: [(name: "partNumber", value: String(number)), (name: "uploadId", value: id)],
        headers: checksum.map { [$0] } ?? [], body: bytes, bodyDigest: digest))
    switch answer.response.status {
    case 200:
      guard let etag = answer.response.header("ETag"), !etag.isEmpty else {
        return upload.fail(.retry(reason: "the response for part \(number) has no ETag", after: nil))
      }
      upload.took(S3Upload.Part(digest: digest, size: bytes.count, etag: etag, checksum: checksum?.value))
    case 404 where answer.detail.code != "NoSuchBucket": upload.lostUpload()
    default: upload.fail(S3Verdict.failure(answer))
    }
  }

  private func complete(_ id: String, _ upload: inout S3Upload, _ plan: ExportPlan) async throws(S3Failure) {
    let answer = try await client.send(
      S3Request(
        method: "POST", key: plan.key, query: [(name: "uploadId", value: id)],
        headers: [(name: "if-none-match", value: "*"), (name: "content-type", value: "application/xml")],
        body: S3Documents.completion(upload.parts, checksum: storage.checksum)))
    // S3 sends 200 before it has finished, and reports a later failure in the body. A truncated body is not a success.
    let text = String(decoding: answer.response.body, as: UTF8.self)
    let isSuccess = answer.response.status == 200 && text.contains("</CompleteMultipartUploadResult>")
    upload.handle(completed: answer, isSuccess: isSuccess)
  }

  /// The ids of open uploads of exactly this key; none without permission to list them.
  private func openUploads(of key: String) async throws(S3Failure) -> [String] {
    var request = S3Request(
      method: "GET", query: [(name: "prefix", value: key), (name: "uploads", value: "")])
    request.responseLimit = S3Documents.listLimit
    let answer = try await client.send(request)
    guard answer.response.status == 200,
      let list = S3Documents.read(S3Documents.UploadList.self, answer.response.body)
    else { return [] }
    return (list.Upload ?? []).filter { $0.Key == key }.map(\.UploadId)
  }
}

/// A body cut into parts.
private struct Parts {
  /// The first part, already taken from the reader.
  var next: [UInt8]?
  var reader: any BodyReader
  let partBytes: Int
  /// Of everything that was taken; nil where it is known already.
  var hash: SHA256?

  /// SHA-256 of all bytes, after the last one was taken.
  var digest: [UInt8]? { hash.map { Array($0.finalize()) } }

  /// Empty at the end.
  mutating func take() throws(SinkError) -> [UInt8] {
    let taken = if let next { next } else { try reader.read(partBytes) }
    next = nil
    taken.withUnsafeBytes { hash?.update(bufferPointer: $0) }
    return taken
  }
}
