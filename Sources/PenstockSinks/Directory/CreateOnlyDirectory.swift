import PenstockDelivery
import PenstockLog
import PenstockSupport

/// Files that are created once, whole and durable, over the `FileSystem` seam.
///
/// The order is what makes it safe: the content is synced before it gets its name, the name is synced before the delivery
/// is done, and a name that exists is compared and synced, for the attempt that made it may not have come that far.
struct CreateOnlyDirectory: Sendable {
  let root: String
  let fileSystem: any FileSystem

  func write(_ delivery: DeliveryRequest, _ plan: ExportPlan) -> DeliveryOutcome {
    do throws(FileSystemError) {
      return try attempt(delivery, plan)
    } catch {
      return Self.outcome(of: error)
    }
  }

  private func attempt(_ delivery: DeliveryRequest, _ plan: ExportPlan) throws(FileSystemError) -> DeliveryOutcome {
    let path = root + "/" + plan.key
    if try create(plan.key, delivery.body.bytes, temporary: delivery.intent.id.rawValue) {
      return .delivered(receipt: path)
    }
    return try compare(path, delivery.body, plan.compression)
  }

  /// Returns true once the file is durable, false when there is one of that name, which is durable then, too.
  ///
  /// - Parameter temporary: what tells this attempt's file from those of others while it is written.
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
    // All of them each time: an attempt that made one may have ended before it was synced.
    for directory in directories.reversed() { try fileSystem.synchronizeDirectory(directory) }
    return isNew
  }

  /// Nil when it cannot be said.
  func size(of key: String) -> Int? {
    guard let file = try? fileSystem.open(root + "/" + key, .readOnly) else { return nil }
    defer { fileSystem.close(file) }
    return (try? fileSystem.size(file)).map { Int($0) }
  }

  private func synchronizeFile(_ path: String) throws(FileSystemError) {
    let file = try fileSystem.open(path, .readOnly)
    defer { fileSystem.close(file) }
    try fileSystem.synchronize(file)
  }

  /// Makes the root and what the key asks for below it. Returns the root and those below, from the outermost on.
  private func makeDirectories(for key: String) throws(FileSystemError) -> [String] {
    try makeIfMissing(root)
    do throws(FileSystemError) {
      try fileSystem.synchronizeDirectory(Self.parent(of: root))
    } catch  where error.code == .permissionDenied {
      // Whoever gave us the root, but not the directory it is in, made the root.
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
    // Never written over: what a crash left may have its final name already, too.
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
  ) throws(FileSystemError) -> DeliveryOutcome {
    let file = try fileSystem.open(path, .readOnly)
    defer { fileSystem.close(file) }
    let size = try fileSystem.size(file)
    let conflict = DeliveryOutcome.conflict(
      reason: "a file \(path) exists with other content (\(size) bytes); it is not overwritten")
    // Compressed, the same content has another length with another version of the library, or in other frames; but never much
    // more than its own.
    let limit = body.contentLength + (compression == .none ? 0 : body.contentLength / 64 + 65_536)
    guard size <= UInt64(limit) else { return conflict }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    let count = try bytes.withUnsafeMutableBufferPointer { (bytes) throws(FileSystemError) in
      try fileSystem.readAll(file, into: UnsafeMutableRawBufferPointer(bytes), at: 0)
    }
    bytes.removeLast(bytes.count - count)
    guard bytes == body.bytes || contentMatches(bytes, body, compression) else { return conflict }
    return .delivered(receipt: path + ", already there")
  }

  private func contentMatches(_ bytes: [UInt8], _ body: PreparedBody, _ compression: ExportCompression) -> Bool {
    guard let content = compression.decompress(bytes, count: body.contentLength) else { return false }
    return Digest.sha256(content) == body.contentDigest
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
