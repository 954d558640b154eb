import Foundation
import PenstockDelivery
import PenstockLog
import PenstockSupport
import Testing

@testable import PenstockSinks

/// An export in a bucket or a directory, what proves it, and ways to change it behind the sink's back.
struct ExportUnderTest {
  enum Place: CaseIterable { case bucket, directory }

  let store: any ExportStore
  let sink: any Sink
  let bucket: BucketInMemory?
  let root: String
  let layout: ExportLayout

  static let manifest = "exports/_penstock/\(logID)/archive/"
  static func entry(_ end: Int) -> String { manifest + end.padded(20) + ".json" }
  /// Of a batch of three.
  static func object(_ first: Int, suffix: String = "") -> String {
    "exports/usages-2026-02-28T23-\(first.padded(20))-\((first + 2).padded(20)).json" + suffix
  }

  /// In a directory of its own.
  init(_ place: Place, _ layout: ExportLayout, below directory: String) throws {
    try self.init(place, layout, root: directory + "/" + UUID().uuidString)
  }

  init(_ place: Place, _ layout: ExportLayout, root: String) throws {
    (self.root, self.layout) = (root, layout)
    if place == .directory {
      (store, sink, bucket) = (DirectoryExportStore(root: root), try DirectorySink(root: root, layout: layout), nil)
      return
    }
    let bucket = BucketInMemory(pageSize: 4)
    let configuration = S3Configuration.acme { $0.layout = layout }
    store = try S3ExportStore(configuration, transport: bucket, clock: FixedClock())
    sink = try S3Sink(configuration, transport: bucket, clock: FixedClock())
    self.bucket = bucket
  }

  func deliver(_ batch: Batch) async throws -> DeliveryOutcome { await sink.deliver(try makeDelivery(sink, batch)) }

  /// Ten batches of three, `0 ..< 30`.
  func fill(_ batch: (Range<Int>) -> Batch) async throws {
    for first in stride(from: 0, to: 30, by: 3) {
      let outcome = try await deliver(batch(first..<first + 3))
      try #require(outcome.isDelivered, "\(outcome)")
    }
  }

  func bytes(_ key: String) throws -> [UInt8] {
    try bucket.map { try #require($0[key]).bytes } ?? read(root + "/" + key)
  }

  func set(_ key: String, _ bytes: [UInt8]?) throws {
    if let bucket {
      bucket[key] = bytes.map { .init(bytes: $0, headers: bucket[key]?.headers ?? []) }
    } else if let bytes {
      try write(bytes, to: root + "/" + key)
    } else {
      try FileManager.default.removeItem(atPath: root + "/" + key)
    }
  }

  /// Changes an entry of the manifest, and leaves it well-formed.
  func edit(_ end: Int, _ change: (inout ManifestEntry) -> Void) throws {
    var entry = try #require(ManifestEntry.parse(try bytes(Self.entry(end)))).entry
    change(&entry)
    try set(Self.entry(end), Array((entry.line + "\n").utf8))
  }

  func verify(_ depth: ExportReport.Depth = .content, expecting: Range<UInt64>? = nil) async throws -> ExportReport {
    try await ExportVerifier(store: store, layout: layout, logID: logID, cursor: "archive")
      .verify(depth, expecting: expecting)
  }

  func reader() throws -> ManifestReader {
    try ManifestReader(store: store, layout: layout, logID: logID, cursor: "archive")
  }
}

extension S3Configuration {
  /// Of the bucket `acme`, in memory unless another endpoint is set.
  static func acme(_ change: (inout S3Configuration) -> Void = { _ in }) -> S3Configuration {
    var configuration = S3Configuration(
      bucket: "acme", credentials: S3Credentials(accessKeyID: "id", secretAccessKey: Secret("hunter2")))
    configuration.endpoint = BucketInMemory.endpoint
    change(&configuration)
    return configuration
  }
}
