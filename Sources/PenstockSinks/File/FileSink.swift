import Dispatch
public import PenstockDelivery
public import PenstockEvents
public import PenstockLog

/// Writes every event as a row into one file: for a replay to inspect, or to pass to another program.
///
/// A delivery's plan has the position of its rows, so a repeated delivery writes the same bytes to the same position.
/// Rows are in the file exactly once, in order, without a hole. They are on stable storage before their delivery counts
/// as done. The file belongs to one cursor, and no other writer may change it. One batch is in flight at a time. File
/// operations block threads of Dispatch's global queue; only ``plan(_:)`` blocks the caller's thread, to read the
/// file's size.
public struct FileSink: Sink {
  /// The file.
  public let path: String
  /// The fields of each event to write.
  public var fields: FieldSelection
  /// Selects the events to write.
  public var filter: EventFilter
  private let fileSystem: any FileSystem

  /// - Parameters:
  ///   - path: The file. The sink creates it if it is missing; its directory must exist. Existing content is kept.
  ///   - fields: The fields of each event to write.
  ///   - filter: Selects the events to write.
  ///   - fileSystem: The file system.
  /// - Throws: `SinkError` for an empty path, or a filter that is too long for a plan.
  public init(
    path: String, fields: FieldSelection = .all, filter: EventFilter = .all,
    fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(SinkError) {
    guard !path.isEmpty else { throw SinkError("the file path is empty") }
    self.path = path
    self.fields = fields
    self.filter = filter
    self.fileSystem = fileSystem
    _ = try FilePlan(position: .max, selection: selection(.longest)).encoded()
  }

  public var description: String { "file \(path)" }

  public var appliesEventWindows: Bool { true }

  public var selection: EventSelection { selection(nil) }

  private func selection(_ window: EventWindow?) -> EventSelection {
    EventSelection(filter: filter, fields: fields, window: window)
  }

  public func selection(plan: [UInt8]) throws(SinkError) -> EventSelection { try FilePlan(parsing: plan).selection }

  public func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] {
    let position: UInt64
    do throws(FileSystemError) {
      position = try size()
    } catch {
      throw SinkError("cannot read the size of the file: \(error)")
    }
    return try FilePlan(position: position, selection: selection(outline.events)).encoded()
  }

  public func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    try PreparedBody(rendering: batch, as: .rows, FilePlan(parsing: plan).selection)
  }

  public func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    if delivery.body.eventCount == 0 { return .nothingToSend }
    let plan: FilePlan
    do throws(SinkError) {
      plan = try FilePlan(parsing: delivery.intent.plan)
    } catch {
      return .refused(reason: error.description)
    }
    // Writing and syncing block. They must not block the few threads that run tasks.
    return await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        continuation.resume(returning: write(delivery.body.bytes, at: plan.position))
      }
    }
  }

  /// The size in bytes; 0 for a missing file.
  private func size() throws(FileSystemError) -> UInt64 {
    let file: OpenFileHandle
    do throws(FileSystemError) {
      file = try fileSystem.open(path, .readOnly)
    } catch {
      if error.code == .notFound { return 0 }
      throw error
    }
    defer { fileSystem.close(file) }
    return try fileSystem.size(file)
  }

  private func write(_ bytes: [UInt8], at position: UInt64) -> DeliveryOutcome {
    do throws(FileSystemError) {
      let size = try size()
      guard size >= position, size <= position + UInt64(bytes.count) else {
        return .conflict(
          reason: "\(path) has \(size) bytes, but the rows start at \(position): another program has changed the file")
      }
      try write(bytes, to: try openOrCreate(), at: position, leftover: size > position)
      return .delivered(receipt: "\(path), bytes \(position) to \(position + UInt64(bytes.count))")
    } catch {
      switch error.code {
      case .permissionDenied, .notADirectory, .isADirectory, .readOnlyFileSystem, .notFound:
        return .refused(reason: error.description)
      default: return .retry(reason: error.description, after: nil)
      }
    }
  }

  private func openOrCreate() throws(FileSystemError) -> OpenFileHandle {
    do throws(FileSystemError) { return try fileSystem.open(path, .readWrite) } catch {
      guard error.code == .notFound else { throw error }
    }
    return try fileSystem.open(path, .create)
  }

  private func write(
    _ bytes: [UInt8], to file: OpenFileHandle, at position: UInt64, leftover: Bool
  ) throws(FileSystemError) {
    defer { fileSystem.close(file) }
    if leftover {
      // A previous attempt ended early. If its write failed, the page cache may have rows that never reach the disk,
      // even when they are overwritten. So free that space, and read everything before it from the disk.
      try fileSystem.truncate(file, to: position)
      try fileSystem.synchronize(file)
      _ = try fileSystem.dropCache(file)
    }
    try bytes.withUnsafeBufferPointer { (bytes) throws(FileSystemError) in
      try fileSystem.writeAll(file, UnsafeRawBufferPointer(bytes), at: position)
    }
    try fileSystem.synchronize(file)
    // Sync the directory each time: the attempt that created the file may have ended before its name was durable.
    try fileSystem.synchronizeDirectory(LogPaths.parent(of: path))
  }
}

/// The plan of a delivery into a file, fixed for the delivery.
struct FilePlan: Hashable {
  let position: UInt64
  let selection: EventSelection

  private static let kind = "penstock-file"
  private static let version = 1

  init(position: UInt64, selection: EventSelection) {
    self.position = position
    self.selection = selection
  }

  func encoded() throws(SinkError) -> [UInt8] {
    try PlanText.encode(
      kind: Self.kind, version: Self.version,
      [("position", String(position)), ("fields", selection.fields.description)] + selection.filter.planEntry
        + (selection.window.map { [$0.planEntry] } ?? []))
  }

  init(parsing plan: [UInt8]) throws(SinkError) {
    let text = try PlanText(
      parsing: plan, kind: Self.kind, version: Self.version,
      keys: ["position", "fields", "filter", EventWindow.planKey])
    guard let position = UInt64(try text.value("position")) else {
      throw SinkError("the plan of this delivery has position=\(try text.value("position"))")
    }
    self.position = position
    selection = try EventSelection(plan: text)
  }
}
