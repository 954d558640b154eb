import Dispatch
public import PenstockDelivery
public import PenstockLog

/// Writes each batch as one file into a local directory, with the names and the content that ``S3Sink`` uses.
///
/// A file appears complete or not at all. It is on stable storage before its delivery counts as done, and it is never
/// replaced: if a file with its name exists, the sink compares the content. An unfinished file is named `.tmp-` and the
/// delivery's id; after a crash, the next attempt of the same delivery replaces it. Each batch, also one without rows,
/// gets a manifest entry (``ManifestEntry``) before its delivery counts as done. File operations block threads of
/// Dispatch's global queue, never the caller's thread.
public struct DirectorySink: Sink {
  /// The root directory of all keys. The sink creates it if it is missing.
  public let root: String
  /// The names and the content of its files.
  public let layout: ExportLayout
  /// The maximum number of events per file. Default: 1,000,000.
  public var maxRecords = 1_000_000
  /// The maximum bytes of events per file, before compression. Default: 64 MiB. The sink builds a file in memory.
  public var maxBytes = 64 << 20
  /// The longest time an event waits for its file to fill. Default: 5 minutes.
  public var maxWait: Duration = .seconds(300)
  /// Closes a file at every multiple of this duration since 1970 (UTC). One hour closes files at every full hour. Nil:
  /// no boundary.
  public var boundary: Duration?

  private let store: CreateOnlyDirectory
  private let manifest: ManifestWriter

  /// - Throws: `SinkError` for an invalid layout, or an empty root.
  public init(
    root: String, layout: ExportLayout = ExportLayout(), fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(SinkError) {
    guard !root.isEmpty else { throw SinkError("the directory path is empty") }
    try layout.validate()
    self.root = root
    self.layout = layout
    store = CreateOnlyDirectory(root: root, fileSystem: fileSystem)
    manifest = ManifestWriter(store: DirectoryExportStore(root: root, fileSystem: fileSystem))
  }

  public var description: String { "directory \(root)" }

  public var acceptsCompressedFrames: Bool { layout.acceptsCompressedFrames }
  public func copiesFrames(plan: [UInt8]) throws(SinkError) -> Bool { try ExportPlan(parsing: plan).copiesFrames }
  public var appliesEventWindows: Bool { true }
  public var selection: EventSelection { layout.selection }
  /// Whether it has a manifest.
  public var recordsEveryRange: Bool { layout.manifest }

  /// The policy of ``maxRecords``, ``maxBytes``, ``maxWait`` and ``boundary``.
  public var batchPolicy: BatchPolicy {
    BatchPolicy(maxRecords: maxRecords, maxBytes: maxBytes, maxWait: maxWait, boundary: boundary)
  }

  public func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] { try layout.plan(outline).encoded() }

  public func selection(plan: [UInt8]) throws(SinkError) -> EventSelection { try ExportPlan(parsing: plan).selection }

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
    if let known = await manifest.existingOutcome(of: delivery, plan) { return known }
    let (outcome, file) = await Blocking.run { store.write(delivery, plan) }
    guard case .delivered = outcome, let file else { return outcome }
    return await manifest.record(delivery, plan, stored: file) ?? outcome
  }
}

/// Runs blocking disk work on Dispatch's global queue: it must not block the few threads that run tasks.
enum Blocking {
  static func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async { continuation.resume(returning: work()) }
    }
  }
}
