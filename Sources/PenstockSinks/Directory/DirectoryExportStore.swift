import PenstockDelivery
public import PenstockLog

/// An ``ExportStore`` for a directory of exported files.
///
/// Ignores files whose names start with `.tmp-`: they are unfinished, or left over from a crash. File operations block
/// threads of Dispatch's global queue, never the caller's thread.
public struct DirectoryExportStore: ExportStore {
  /// The directory.
  public let root: String
  private let fileSystem: any FileSystem

  /// A store in this directory; nothing is read yet.
  public init(root: String, fileSystem: any FileSystem = POSIXFileSystem()) {
    self.root = root
    self.fileSystem = fileSystem
  }

  public var description: String { "directory \(root)" }

  public func list(prefix: String) async throws(ExportStoreError) -> [ExportObject] {
    try await blocking { () throws(FileSystemError) in
      var found: [ExportObject] = []
      try walk("", prefix, &found)
      return found.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    }
  }

  public func firstKey(prefix: String, after key: String) async throws(ExportStoreError) -> String? {
    try await list(prefix: prefix).first { key.utf8.lexicographicallyPrecedes($0.key.utf8) }?.key
  }

  public func read(_ key: String, limit: Int) async throws(ExportStoreError) -> [UInt8]? {
    try await blocking { () throws(FileSystemError) in
      guard let file = try open(key) else { return nil }
      defer { fileSystem.close(file) }
      var bytes = [UInt8](repeating: 0, count: min(Int(try fileSystem.size(file)), limit))
      let count = try bytes.withUnsafeMutableBufferPointer { (bytes) throws(FileSystemError) in
        try fileSystem.readAll(file, into: UnsafeMutableRawBufferPointer(bytes), at: 0)
      }
      bytes.removeLast(bytes.count - count)
      return bytes
    }
  }

  public func facts(of key: String) async throws(ExportStoreError) -> ExportFacts? {
    try await blocking { () throws(FileSystemError) in
      guard let file = try open(key) else { return nil }
      defer { fileSystem.close(file) }
      return ExportFacts(size: Int(try fileSystem.size(file)))
    }
  }

  public func create(_ key: String, _ bytes: [UInt8]) async throws(ExportStoreError) -> Bool {
    try await blocking { () throws(FileSystemError) in
      let name = String(key.split(separator: "/").last ?? "entry")
      return try CreateOnlyDirectory(root: root, fileSystem: fileSystem).create(key, bytes, temporary: name)
    }
  }

  /// Nil when there is no such file.
  private func open(_ key: String) throws(FileSystemError) -> OpenFileHandle? {
    do throws(FileSystemError) {
      return try fileSystem.open(root + "/" + key, .readOnly)
    } catch  where error.code == .notFound || error.code == .notADirectory {
      return nil
    }
  }

  /// - Parameter directory: Relative to the root, with a trailing slash, or empty.
  private func walk(_ directory: String, _ prefix: String, _ found: inout [ExportObject]) throws(FileSystemError) {
    let names: [String]
    do throws(FileSystemError) {
      names = try fileSystem.list(root + "/" + directory)
    } catch  where error.code == .notFound {
      return
    }
    for name in names where !name.hasPrefix(".tmp-") {
      let key = directory + name
      guard key.hasPrefix(prefix) || prefix.hasPrefix(key + "/") else { continue }
      if try isDirectory(key) {
        try walk(key + "/", prefix, &found)
      } else if key.hasPrefix(prefix), let file = try open(key) {
        defer { fileSystem.close(file) }
        found.append(ExportObject(key: key, size: Int(try fileSystem.size(file))))
      }
    }
  }

  private func isDirectory(_ key: String) throws(FileSystemError) -> Bool {
    do throws(FileSystemError) {
      _ = try fileSystem.list(root + "/" + key)
      return true
    } catch  where error.code == .notADirectory || error.code == .notFound {
      return false
    }
  }

  private func blocking<Value: Sendable>(
    _ work: @escaping @Sendable () throws(FileSystemError) -> Value
  ) async throws(ExportStoreError) -> Value {
    let result = await Blocking.run { () -> Result<Value, FileSystemError> in
      do throws(FileSystemError) { return .success(try work()) } catch { return .failure(error) }
    }
    do throws(FileSystemError) {
      return try result.get()
    } catch {
      var isTemporary = false
      if case .retry = CreateOnlyDirectory.outcome(of: error) { isTemporary = true }
      throw ExportStoreError(error.description, isTemporary: isTemporary)
    }
  }
}
