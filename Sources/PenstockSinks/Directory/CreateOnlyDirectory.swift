import PenstockDelivery
import PenstockLog
import PenstockSupport

/// Creates files once, complete and durable, through `FileSystem`. Every call blocks a thread.
///
/// The order makes it safe. The content is synced before the file gets its name. The name is synced before the delivery
/// counts as done. An existing file is compared and synced, because the attempt that created it may have ended before
/// its sync.
struct CreateOnlyDirectory: Sendable {
  let root: String
  let fileSystem: any FileSystem

  /// The outcome, and the file if it is delivered.
  typealias Result = (outcome: DeliveryOutcome, file: StoredObject?)

  func write(_ delivery: DeliveryRequest, _ plan: ExportPlan) -> Result {
    do throws(FileSystemError) {
      return try attempt(delivery, plan)
    } catch {
      return (Self.outcome(of: error), nil)
    }
  }

  private func attempt(_ delivery: DeliveryRequest, _ plan: ExportPlan) throws(FileSystemError) -> Result {
    let path = root + "/" + plan.key
    if try create(plan.key, delivery.body.bytes, temporary: delivery.intent.id.rawValue) {
      return (.delivered(receipt: path), StoredObject(of: delivery.body, plan))
    }
    return try compare(path, delivery.body, plan.compression)
  }

  /// Returns true if it created the file, false if a file with this name exists. In both cases the file is durable.
  ///
  /// - Parameter temporary: A name for the unfinished file, unique among concurrent attempts.
  func create(_ key: String, _ bytes: [UInt8], temporary name: String) throws(FileSystemError) -> Bool {
    let path = root + "/" + key
    let directories = try makeDirectories(for: key)
    let directory = directories[directories.count - 1]
    let temporary = directory + "/.tmp-" + name
    try writeFile(temporary, bytes)
    var isNew = true
    do throws(FileSystemError) {
      try fileSystem.rename(temporary, to: path)
    } catch  where error.code == .exists {
      try removeIfPresent(temporary)
      isNew = false
      try synchronizeFile(path)
    }
    // Sync all directories each time: the attempt that created one may have ended before its sync.
    for directory in directories.reversed() { try fileSystem.synchronizeDirectory(directory) }
    return isNew
  }

  private func synchronizeFile(_ path: String) throws(FileSystemError) {
    let file = try fileSystem.open(path, .readOnly)
    defer { fileSystem.close(file) }
    try fileSystem.synchronize(file)
  }

  /// Creates the root and the directories of the key. Returns all of them, the root first.
  private func makeDirectories(for key: String) throws(FileSystemError) -> [String] {
    try makeIfMissing(root)
    do throws(FileSystemError) {
      try fileSystem.synchronizeDirectory(Self.parent(of: root))
    } catch  where error.code == .permissionDenied {
      // Without permission for the parent, this process cannot have created the root.
    }
    var directories = [root]
    var path = root
    for name in key.split(separator: "/").dropLast() {
      path += "/" + name
      try makeIfMissing(path)
      directories.append(path)
    }
    return directories
  }

  private func makeIfMissing(_ path: String) throws(FileSystemError) {
    do throws(FileSystemError) {
      try fileSystem.makeDirectory(path)
    } catch  where error.code == .exists {}
  }

  private func removeIfPresent(_ path: String) throws(FileSystemError) {
    do throws(FileSystemError) {
      try fileSystem.remove(path)
    } catch  where error.code == .notFound {}
  }

  private func writeFile(_ path: String, _ bytes: [UInt8]) throws(FileSystemError) {
    // Create a new file instead of overwriting: after a crash the old one may also have its final name.
    try removeIfPresent(path)
    let file = try fileSystem.open(path, .create)
    defer { fileSystem.close(file) }
    try bytes.withUnsafeBufferPointer { (bytes) throws(FileSystemError) in
      try fileSystem.writeAll(file, UnsafeRawBufferPointer(bytes), at: 0)
    }
    try fileSystem.synchronize(file)
  }

  private func compare(
    _ path: String, _ body: PreparedBody, _ compression: ExportCompression
  ) throws(FileSystemError) -> Result {
    let file = try fileSystem.open(path, .readOnly)
    defer { fileSystem.close(file) }
    let size = try fileSystem.size(file)
    let conflict = DeliveryOutcome.conflict(
      reason: "the file \(path) exists with different content (\(size) bytes); it is not overwritten")
    // The compressed length depends on the library version and the frames, but is never much larger than the content.
    let limit = body.contentLength + (compression == .none ? 0 : body.contentLength / 64 + 65_536)
    guard size <= UInt64(limit) else { return (conflict, nil) }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    let count = try bytes.withUnsafeMutableBufferPointer { (bytes) throws(FileSystemError) in
      try fileSystem.readAll(file, into: UnsafeMutableRawBufferPointer(bytes), at: 0)
    }
    bytes.removeLast(bytes.count - count)
    guard bytes == body.bytes || contentMatches(bytes, body, compression) else { return (conflict, nil) }
    return (.delivered(receipt: path + ", already exists"), StoredObject(of: bytes))
  }

  private func contentMatches(_ bytes: [UInt8], _ body: PreparedBody, _ compression: ExportCompression) -> Bool {
    guard let content = compression.decompress(bytes, count: body.contentLength) else { return false }
    let digest = ContentDigest(bytes: body.contentDigest)
    return ContentDigest(digest.kind, of: content) == digest
  }

  private static func parent(of path: String) -> String {
    var path = path[...]
    while path.count > 1, path.last == "/" { path.removeLast() }
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  static func outcome(of error: FileSystemError) -> DeliveryOutcome {
    switch error.code {
    case .permissionDenied, .notADirectory, .isADirectory, .readOnlyFileSystem, .notSupported, .notFound:
      .refused(reason: error.description)
    default: .retry(reason: error.description, after: nil)
    }
  }
}
