import Dispatch
public import PenstockDelivery
public import PenstockLog

/// Writes each batch as one file into a local directory, under the names and with the content an ``S3Sink`` would write.
///
/// A file appears whole or not at all, is on stable storage before its delivery counts as done, and is never replaced: if a
/// file of that name exists, its content is compared. While a file is being written it is called `.tmp-` and the
/// delivery's id; one left behind by a crash is replaced by the next attempt at the same delivery. Each batch is
/// written down in a manifest (``ManifestEntry``) before its delivery counts as done, one without rows as well.
public struct DirectorySink: Sink {
  /// The directory under which the keys are laid out. Created when missing.
  public let root: String
  public let layout: ExportLayout
  /// The most events a file holds; 1,000,000 unless set.
  public var maxRecords = 1_000_000
  /// The most bytes of events a file holds, before compression; 64 MiB unless set. A file is built in memory.
  public var maxBytes = 64 << 20
  /// How long an event waits for its file to fill; 5 minutes unless set.
  public var maxWait: Duration = .seconds(300)
  /// A file does not stay open past a multiple of this since 1970 in UTC: an hour gives "at every full hour". Nil for none.
  public var boundary: Duration?

  private let store: CreateOnlyDirectory
  private let manifest: ManifestWriter

  /// - Throws: `SinkError` for a layout that cannot work.
  public init(
    root: String, layout: ExportLayout = ExportLayout(), fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(SinkError) {
    guard !root.isEmpty else { throw SinkError("the directory has no name") }
    try layout.validate()
    self.root = root
    self.layout = layout
    store = CreateOnlyDirectory(root: root, fileSystem: fileSystem)
    manifest = ManifestWriter(store: DirectoryExportStore(root: root, fileSystem: fileSystem))
  }

  public var description: String { "directory \(root)" }

  public var acceptsCompressedFrames: Bool { layout.acceptsCompressedFrames }
  public var appliesEventWindows: Bool { true }

  /// As the sink's own properties say.
  public var batchPolicy: BatchPolicy {
    BatchPolicy(maxRecords: maxRecords, maxBytes: maxBytes, maxWait: maxWait, boundary: boundary)
  }

  public func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] { try layout.plan(outline).encoded() }

  public func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    try ExportPlan(parsing: plan).prepare(batch)
  }

  public func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    let plan: ExportPlan
    do throws(SinkError) {
      plan = try ExportPlan(parsing: delivery.intent.plan)
    } catch {
      return .refused(reason: error.description)
    }
    if delivery.body.eventCount == 0 { return await manifest.recordNothing(delivery, plan) }
    if let known = await manifest.standing(of: delivery, plan) { return known }
    let outcome = await Blocking.run { store.write(delivery, plan) }
    guard case .delivered = outcome else { return outcome }
    let size = await Blocking.run { store.size(of: plan.key) } ?? delivery.body.bytes.count
    return await manifest.record(delivery, plan, stored: size) ?? outcome
  }
}

/// Work that waits for a disk: the threads that run tasks are few and must not.
enum Blocking {
  static func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async { continuation.resume(returning: work()) }
    }
  }
}
