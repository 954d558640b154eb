package import PenstockLog
import Synchronization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Why API keys cannot be read, created, rotated or revoked.
public struct KeyStoreError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The explanation, for operators.
  public let message: String
  /// Why the request is invalid; nil when the file is the problem.
  package var refusal: APIKeySet.Refusal?
  /// Whether the file is the problem, and not the request.
  public var isAboutFile: Bool { refusal == nil }
  public var description: String { message }
}

/// The API keys of a service and the JSON file that holds them.
///
/// Only the file's owner can read it. Each change replaces the file as a whole, under a file lock, so that the command
/// line and a running service may both change it. Every method that reads or writes the file blocks the calling thread.
public final class APIKeyStore: Sendable {
  private struct Document: Codable {
    var version = 1
    var keys: [APIKey]
  }

  /// The file.
  public let path: String
  private let fileSystem: any FileSystem
  private let clock: any WallClock
  private let randomness: Randomness
  private let keySet: Mutex<APIKeySet>
  private let unread: Mutex<KeyStoreError?>
  /// The file lock excludes other processes; this lock excludes other tasks of this process.
  private let changing = Mutex(())

  /// Reads the file; a missing file means no keys. Blocks the calling thread.
  ///
  /// - Throws: ``KeyStoreError`` when the file exists and cannot be read.
  public convenience init(_ path: String) throws(KeyStoreError) {
    try self.init(path, fileSystem: POSIXFileSystem(), clock: SystemWallClock(), randomness: .system)
  }

  package init(
    _ path: String, fileSystem: any FileSystem, clock: any WallClock, randomness: Randomness
  ) throws(KeyStoreError) {
    self.path = path
    self.fileSystem = fileSystem
    self.clock = clock
    self.randomness = randomness
    keySet = Mutex(try Self.read(path, fileSystem))
    unread = Mutex(nil)
  }

  /// For a service, which must start with an unreadable file as well. Until the file can be read there are no keys, and
  /// ``trouble`` says why.
  package init(
    closedUnlessReadable path: String, fileSystem: any FileSystem = POSIXFileSystem(),
    clock: any WallClock = SystemWallClock(), randomness: Randomness = .system
  ) {
    self.path = path
    self.fileSystem = fileSystem
    self.clock = clock
    self.randomness = randomness
    do throws(KeyStoreError) {
      keySet = Mutex(try Self.read(path, fileSystem))
      unread = Mutex(nil)
    } catch {
      keySet = Mutex(APIKeySet())
      unread = Mutex(error)
    }
  }

  /// Why the file could not be read at the start; nil once it was read.
  package var trouble: KeyStoreError? { unread.withLock { $0 } }

  /// All keys, with the revoked ones, oldest first.
  public var keys: [APIKey] { keySet.withLock { $0.keys } }

  /// Reads the file again. When that fails, the known keys stay. Blocks the calling thread.
  ///
  /// - Throws: ``KeyStoreError`` when the file cannot be read.
  public func reload() throws(KeyStoreError) {
    // Under the lock, so that an older content does not overwrite a newer change.
    try changing.withLock { _ throws(KeyStoreError) in
      let read = try Self.read(path, fileSystem)
      keySet.withLock { $0 = read }
      unread.withLock { $0 = nil }
    }
  }

  /// The key of a token; nil when the token is invalid.
  package func identify(_ token: String?) -> APIKey? {
    let now = seconds
    // The hash is computed outside the lock.
    return try? keySet.withLock { $0 }.identify(token, at: now)
  }

  /// Creates a key; durable when it returns. Nothing stores the token. Blocks the calling thread.
  ///
  /// - Throws: ``KeyStoreError`` when the request is invalid, another process is changing the file, or a read or write
  ///   fails.
  public func create(_ request: APIKey.Request) throws(KeyStoreError) -> (key: APIKey, token: String) {
    let (now, random) = (seconds, random)
    return try change { (keySet) throws(APIKeySet.Refusal) in try keySet.create(request, at: now, random: random) }
  }

  /// Replaces the secret of a key; durable when it returns. The former secret stays valid for `grace` seconds. Blocks
  /// the calling thread.
  ///
  /// - Throws: ``KeyStoreError`` when no valid key has the id, another process is changing the file, or a read or write
  ///   fails.
  public func rotate(_ id: String, grace: Int64 = 0) throws(KeyStoreError) -> (key: APIKey, token: String) {
    let (now, random) = (seconds, random)
    return try change { (keySet) throws(APIKeySet.Refusal) in
      try keySet.rotate(id, at: now, grace: grace, random: random)
    }
  }

  /// Revokes a key at once; durable when it returns. Blocks the calling thread.
  ///
  /// - Throws: ``KeyStoreError`` when no valid key has the id, another process is changing the file, or a read or write
  ///   fails.
  public func revoke(_ id: String) throws(KeyStoreError) {
    let now = seconds
    try change { (keySet) throws(APIKeySet.Refusal) in try keySet.revoke(id, at: now) }
  }

  private var seconds: Int64 { clock.now().nanoseconds / 1_000_000_000 }
  private var random: [UInt8] { Array((randomness.bytes16() + randomness.bytes16() + randomness.bytes16())[..<40]) }

  /// Reads the file, changes the keys and replaces the file, under both locks.
  private func change<Value: Sendable>(
    _ body: @Sendable (inout APIKeySet) throws(APIKeySet.Refusal) -> Value
  ) throws(KeyStoreError) -> Value {
    try changing.withLock { _ throws(KeyStoreError) in try changeAlone(body) }
  }

  private func changeAlone<Value: Sendable>(
    _ body: @Sendable (inout APIKeySet) throws(APIKeySet.Refusal) -> Value
  ) throws(KeyStoreError) -> Value {
    do {
      let lock = try open(path + ".lock")
      defer { fileSystem.close(lock) }
      guard try fileSystem.lock(lock) else {
        throw KeyStoreError(message: "\(path) is being changed by another process; try again")
      }
      var changed = try Self.read(path, fileSystem)
      let value = try body(&changed)
      try write(changed)
      keySet.withLock { $0 = changed }
      return value
    } catch let error as KeyStoreError {
      throw error
    } catch let refusal as APIKeySet.Refusal {
      switch refusal {
      case .wrong(let message): throw KeyStoreError(message: message, refusal: refusal)
      case .noSuchKey, .unknown: throw KeyStoreError(message: "there is no such key", refusal: refusal)
      }
    } catch {
      throw KeyStoreError(message: "the keys in \(path) cannot be changed: \(error)")
    }
  }

  private func open(_ path: String) throws -> OpenFileHandle {
    do { return try fileSystem.open(path, .readWrite) } catch {
      guard error.code == .notFound else { throw error }
      return try fileSystem.open(path, .create)
    }
  }

  private func write(_ keySet: APIKeySet) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let bytes = Array(try encoder.encode(Document(keys: keySet.keys))) + [UInt8(ascii: "\n")]
    let temporary = path + ".new"
    try? fileSystem.remove(temporary)
    let file = try fileSystem.open(temporary, .create)
    defer { fileSystem.close(file) }
    try bytes.withUnsafeBytes { try fileSystem.writeAll(file, $0, at: 0) }
    try fileSystem.synchronize(file)
    do { try fileSystem.replace(path, with: temporary) } catch {
      guard error.code == .notFound else { throw error }
      try fileSystem.rename(temporary, to: path)
    }
    try fileSystem.synchronizeDirectory(LogPaths.parent(of: path))
  }

  private static func read(_ path: String, _ fileSystem: any FileSystem) throws(KeyStoreError) -> APIKeySet {
    let file: OpenFileHandle
    do { file = try fileSystem.open(path, .readOnly) } catch {
      if error.code == .notFound { return APIKeySet() }
      throw KeyStoreError(message: "the keys in \(path) cannot be read: \(error)")
    }
    defer { fileSystem.close(file) }
    do {
      let size = try fileSystem.size(file)
      guard size <= 64 << 20 else { throw KeyStoreError(message: "\(path) is too long to hold keys") }
      let bytes = try fileSystem.readAll(file, count: Int(size), at: 0)
      let document = try JSONDecoder().decode(Document.self, from: Data(bytes))
      guard document.version == 1 else {
        throw KeyStoreError(
          message: "the keys in \(path) have version \(document.version), which this program does not know")
      }
      return APIKeySet(document.keys)
    } catch let error as KeyStoreError {
      throw error
    } catch {
      // The decoder's own message could quote the file.
      throw KeyStoreError(
        message: """
          \(path) does not hold keys as `penstock keys` writes them; restore it from a copy, or move it away and make \
          new keys with `penstock keys create --file \(path)`, then send a running service SIGHUP
          """)
    }
  }
}
