public import PenstockDelivery
public import PenstockLog
import PenstockSupport

/// Writes each batch as one object into a bucket of Amazon S3 or a compatible store.
///
/// An object is created once and never overwritten. A second attempt of a delivery finds the object of the first,
/// compares the digest and the length of its rows, and succeeds. Rows are in the bucket exactly once, as long as the
/// store honours `If-None-Match: *` (on PUT and on CompleteMultipartUpload) and objects are not deleted while their
/// delivery is in flight.
///
/// The metadata of an object, with the prefix `x-amz-meta-penstock-`, are: `stored-sha256` and `stored` (SHA-256 and
/// size of the object as it is stored), `sha256` or `crc32c`, and `length` (of the rows before compression), `count`
/// (rows), `first` and `last` (offsets), `closed` (why the batch was closed), `log`, `cursor` and `id`. An object whose
/// stored form is larger than 32 MiB has `stored-sha256` only in the manifest. Each object also gets a manifest entry
/// (``ManifestEntry``) before its delivery counts as done.
///
/// Permissions:
/// - `s3:PutObject`; `s3:GetObject` for the comparison and the manifest.
/// - `s3:ListBucket` to detect that a cursor was moved back or lost.
/// - For large objects `s3:AbortMultipartUpload`, and `s3:ListBucketMultipartUploads` to clean up after a killed
///   process.
public struct S3Sink: Sink {
  /// The settings that the sink was made with.
  public let configuration: S3Configuration
  private let client: S3Client
  private let uploader: S3Uploader
  private let manifest: ManifestWriter

  /// - Parameters:
  ///   - configuration: Bucket, credentials, names and sizes.
  ///   - transport: The transport. Nil: the sink creates one, and ``close()`` closes it.
  ///   - clock: The clock for signatures and for dates in `Retry-After`.
  /// - Throws: `SinkError` for an invalid configuration.
  public init(
    _ configuration: S3Configuration, transport: (any HTTPTransport)? = nil,
    clock: any WallClock = SystemWallClock()
  ) throws(SinkError) {
    try configuration.validate()
    self.configuration = configuration
    client = try S3Client(configuration, transport: transport, clock: clock)
    uploader = S3Uploader(client: client, storage: configuration.storage, partBytes: configuration.partBytes)
    manifest = ManifestWriter(store: S3ExportStore(client: client, configuration: configuration))
  }

  public var description: String {
    "s3 \(configuration.bucket)" + (configuration.endpoint.map { " at \($0)" } ?? "")
  }

  public var acceptsCompressedFrames: Bool { configuration.layout.acceptsCompressedFrames }
  public func copiesFrames(plan: [UInt8]) throws(SinkError) -> Bool { try ExportPlan(parsing: plan).copiesFrames }
  public var appliesEventWindows: Bool { true }
  public var selection: EventSelection { configuration.layout.selection }
  /// Whether it has a manifest.
  public var recordsEveryRange: Bool { configuration.layout.manifest }

  /// The policy of the configuration.
  public var batchPolicy: BatchPolicy {
    BatchPolicy(
      maxRecords: configuration.maxRecords, maxBytes: configuration.maxBytes, maxWait: configuration.maxWait,
      boundary: configuration.boundary)
  }

  /// The maximum object size with parts of ``S3Configuration/partBytes``.
  public var batchLimits: BatchLimits { BatchLimits(maxBytes: configuration.largestObject) }

  public func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] {
    try configuration.layout.plan(outline).encoded()
  }

  public func selection(plan: [UInt8]) throws(SinkError) -> EventSelection { try ExportPlan(parsing: plan).selection }

  public func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    try ExportPlan(parsing: plan).prepare(batch, streamingAbove: configuration.partBytes)
  }

  public func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    do throws(SinkError) {
      let plan = try ExportPlan(parsing: delivery.intent.plan)
      if delivery.body.eventCount == 0 { return await manifest.recordNothing(delivery, plan) }
      if let known = await manifest.existingOutcome(of: delivery, plan) { return known }
      let (outcome, object) = try await store(delivery, plan)
      guard case .delivered = outcome, let object else { return outcome }
      return await manifest.record(delivery, plan, stored: object) ?? outcome
    } catch {
      return .refused(reason: error.description)
    }
  }

  public func close() async { await client.close() }

  /// Creates the object: with one PUT if it fits into one part, otherwise in parts.
  private func store(_ delivery: DeliveryRequest, _ plan: ExportPlan) async throws(SinkError) -> S3Uploader.Result {
    let partBytes = configuration.partBytes
    let known = StoredObject(of: delivery.body, plan)
    guard let stream = delivery.body.stream else {
      let bytes = delivery.body.bytes
      guard bytes.count > partBytes else {
        return await put(bytes, known ?? StoredObject(of: bytes), delivery, plan)
      }
      return await uploader.upload(
        delivery, plan, known, headers: headers(of: delivery, plan, known), firstPart: Array(bytes[..<partBytes]),
        reader: BytesReader(bytes: bytes[partBytes...]))
    }
    var reader = stream.makeReader()
    let first = try reader.read(partBytes)
    guard first.count == partBytes else {
      return await put(first, known ?? StoredObject(of: first), delivery, plan)
    }
    return await uploader.upload(
      delivery, plan, known, headers: headers(of: delivery, plan, known), firstPart: first, reader: reader)
  }

  /// - Parameter object: What the bytes become.
  private func put(
    _ bytes: [UInt8], _ object: StoredObject, _ delivery: DeliveryRequest, _ plan: ExportPlan
  ) async -> S3Uploader.Result {
    var headers = headers(of: delivery, plan, object) + [(name: "if-none-match", value: "*")]
    let digest = object.digest ?? Digest.sha256(bytes)
    if let checksum = configuration.storage.checksum {
      headers.append((name: checksum.header, value: checksum.value(of: bytes, digest: digest)))
    }
    do throws(S3Failure) {
      let answer = try await client.send(
        S3Request(method: "PUT", key: plan.key, headers: headers, body: bytes, bodyDigest: digest))
      switch S3Verdict.afterCreate(answer) {
      case .outcome(let outcome): return (outcome, object)
      case .compare: break
      }
      let head = try await client.send(S3Request(method: "HEAD", key: plan.key))
      switch S3Verdict.afterHead(head, key: plan.key, body: delivery.body, isCompressed: plan.compression != .none) {
      case .equal(let receipt, let found):
        return (.delivered(receipt: receipt), found ?? StoredObject(size: bytes.count, digest: nil))
      case .missing: return (.retry(reason: "the object \(plan.key) was deleted in the meantime", after: nil), nil)
      case .outcome(let outcome): return (outcome, nil)
      }
    } catch {
      return (error.outcome, nil)
    }
  }

  /// The headers of a request that creates the object.
  ///
  /// - Parameter stored: The object; nil where it is known only at the end of an upload.
  private func headers(
    of delivery: DeliveryRequest, _ plan: ExportPlan, _ stored: StoredObject?
  ) -> [(name: String, value: String)] {
    let (intent, body) = (delivery.intent, delivery.body)
    let digest = ContentDigest(bytes: body.contentDigest)
    let known = stored.map {
      [
        (name: S3Verdict.Metadata.storedSHA256, value: $0.text),
        (name: S3Verdict.Metadata.stored, value: String($0.size)),
      ]
    }
    return [
      (name: "content-type", value: plan.compression.contentType),
      (name: S3Verdict.Metadata.digest(digest.kind), value: digest.text),
      (name: S3Verdict.Metadata.length, value: String(body.contentLength)),
      (name: "x-amz-meta-penstock-count", value: String(body.eventCount)),
      (name: "x-amz-meta-penstock-first", value: String(intent.first.rawValue)),
      (name: "x-amz-meta-penstock-last", value: String(intent.end.rawValue - 1)),
      (name: "x-amz-meta-penstock-closed", value: plan.closedBy?.rawValue ?? "unknown"),
      (name: S3Verdict.Metadata.log, value: delivery.logID),
      (name: "x-amz-meta-penstock-cursor", value: delivery.cursor),
      (name: "x-amz-meta-penstock-id", value: intent.id.rawValue),
    ] + (known ?? []) + configuration.storage.headers
  }
}

/// Reads bytes from memory.
struct BytesReader: BodyReader {
  var bytes: ArraySlice<UInt8>

  mutating func read(_ count: Int) -> [UInt8] {
    defer { bytes = bytes.dropFirst(count) }
    return Array(bytes.prefix(count))
  }
}
