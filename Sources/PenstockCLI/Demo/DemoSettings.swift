import Foundation
import PenstockDelivery
import PenstockLog
import PenstockSinks
import PenstockSupport
import PenstockToolSupport

/// The destinations of a demo.
struct DemoSettings: Sendable {
  /// A bucket to export into instead of a directory.
  struct Bucket: Sendable {
    let name: String
    let region: String
    let endpoint: String?
    let credentials: S3Credentials
    /// Unique for this demo.
    let keyTemplate = "exports/demo-\(UUID().uuidString.prefix(8).lowercased())/usages-{first}-{last}.json"
  }

  let bucket: Bucket?
  /// Rows per object of the bucket. Every object but the last has this number, because age never closes one.
  let objectRecords: Int

  init(bucket: Bucket?, total: Int) {
    self.bucket = bucket
    objectRecords = max(1, min(20_000, total / 8))
  }

  func configuration(_ files: DemoFiles, webhook: String) -> String {
    """
    log:
      path: \(JSON.string(files.log).text)
    destinations:
      - name: webhook
        type: webhook
        url: \(webhook)
        allowPrivateNetworks: true
        signing: { secrets: ["${PENSTOCK_WEBHOOK_SECRET}"] }
        batch: { maxEvents: 500, maxBytes: 1MiB, maxWait: 200ms }
      - name: exports
    \(bucket.map(export) ?? export(files))

    """
  }

  private func export(_ files: DemoFiles) -> String {
    """
        type: directory
        path: \(JSON.string(files.directory).text)
        prefix: exports/usages
        rotate: { maxRecords: 20000, maxAge: 1s }
    """
  }

  private func export(_ bucket: Bucket) -> String {
    let endpoint = bucket.endpoint.map { "\n    endpoint: \(JSON.string($0).text)" } ?? ""
    return """
          type: s3
          bucket: \(JSON.string(bucket.name).text)
          region: \(JSON.string(bucket.region).text)\(endpoint)
          keyTemplate: \(JSON.string(bucket.keyTemplate).text)
          rotate: { maxRecords: \(objectRecords), maxBytes: 4GiB, maxAge: 1h }
      """
  }

  /// Compares the bucket with the log: every object must have the SHA-256 and the length of its rows.
  ///
  /// Delivers every batch again: the sink compares an existing object instead of writing it. If an object was missing,
  /// the sink creates it, and the check fails.
  func bucketCheck(_ bucket: Bucket, _ files: DemoFiles, total: Int) async throws -> Proof.Check {
    let name = "every object of the bucket has the SHA-256 and the length of its rows"
    var configuration = S3Configuration(bucket: bucket.name, region: bucket.region, credentials: bucket.credentials)
    configuration.endpoint = bucket.endpoint
    configuration.layout.keyTemplate = bucket.keyTemplate
    // Without the manifest: an entry contains the reason why its object was closed, which is unknown here.
    configuration.layout.manifest = false
    let sink = try S3Sink(configuration)
    let reader = try await LogReader.open(at: files.log)
    var problem: String?
    var objects = 0
    for first in stride(from: 0, to: total, by: objectRecords) where problem == nil {
      let range = Offset(UInt64(first))..<Offset(UInt64(min(first + objectRecords, total)))
      let outcome = try await offer(reader.records(in: range), to: sink, of: reader)
      objects += 1
      if case .delivered(let receipt) = outcome, receipt.hasSuffix("already exists") { continue }
      problem = "records \(range.lowerBound) ..< \(range.upperBound): \(outcome)"
    }
    await sink.close()
    return Proof.Check(
      name: name, isTrue: problem == nil,
      detail: problem ?? "\(HumanFormat.count(total, "row")) in \(HumanFormat.count(objects, "object"))")
  }

  private func offer(_ batch: Batch, to sink: S3Sink, of reader: LogReader) async throws -> DeliveryOutcome {
    let time = SystemWallClock().now()
    let plan = try sink.plan(
      BatchMetadata(
        logID: reader.logID, cursor: "exports", first: batch.first, end: batch.end, byteCount: batch.byteCount,
        firstAppendTime: batch.firstAppendTime, plannedAt: time, closedBy: .caughtUp))
    let body = try sink.prepare(batch, plan: plan)
    let intent = Intent(
      id: DeliveryID("proof"), first: batch.first, end: batch.end, contentDigest: body.contentDigest, plan: plan,
      createdAt: time)
    return await sink.deliver(
      DeliveryRequest(intent: intent, body: body, logID: reader.logID, cursor: "exports", attempt: 1))
  }
}
