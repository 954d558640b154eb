package import PenstockLog
import Synchronization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Why keys cannot be read or kept.
public struct KeyStoreError: Error, Sendable, Hashable, CustomStringConvertible {
  public let message: String
  /// What the keys themselves have against it; nil when it is about the file.
  package var refusal: APIKeySet.Refusal?
  /// Whether the file is at fault, and not what was asked.
  public var isAboutFile: Bool { refusal == nil }
  public var description: String { message }
}

/// The keys of a service and the file they are kept in: JSON, readable by its owner alone, replaced whole, and locked while
/// it changes, so that the command line and a running service may both change it.
public final class APIKeyStore: Sendable {
  private struct Document: Codable {
    var version = 1
    var keys: [APIKey]
  }

  public let path: String
  private let fileSystem: any FileSystem
  private let clock: any WallClock
  private let randomness: Randomness
  private let ring: Mutex<APIKeySet>
  private let unread: Mutex<KeyStoreError?>
  /// The file's lock keeps other processes out, this one the other tasks of this process.
  private let changing = Mutex(())

  /// Reads the file; one that is not there has no keys.
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
    ring = Mutex(try Self.read(path, fileSystem))
    unread = Mutex(nil)
  }

  /// For a service, which starts whatever the file holds: as long as it cannot be read there are no keys, and
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
      ring = Mutex(try Self.read(path, fileSystem))
      unread = Mutex(nil)
    } catch {
      ring = Mutex(APIKeySet())
      unread = Mutex(error)
    }
  }

  /// Why the file could not be read at the start; nil once it was.
  package var trouble: KeyStoreError? { unread.withLock { $0 } }

  /// All keys, revoked ones too, oldest first.
  public var keys: [APIKey] { ring.withLock { $0.keys } }

  /// Takes up what the file says now. When it cannot be read, what was known stays.
  public func reload() throws(KeyStoreError) {
    // Alone, so that what was read before a change is not put in the place of what came after it.
    try changing.withLock { _ throws(KeyStoreError) in
      let read = try Self.read(path, fileSystem)
      ring.withLock { $0 = read }
      unread.withLock { $0 = nil }
    }
  }

  /// Whose token it is; nil for nobody's.
  package func identify(_ token: String?) -> APIKey? {
    let now = seconds
    // Hashing goes on outside of the lock.
    return try? ring.withLock { $0 }.identify(token, at: now)
  }

  /// Makes a key. Durable when it returns; the token is shown this once.
  public func create(_ request: APIKey.Request) throws(KeyStoreError) -> (key: APIKey, token: String) {
    let (now, random) = (seconds, random)
    return try change { (ring) throws(APIKeySet.Refusal) in try ring.create(request, at: now, random: random) }
  }

  /// Gives a key another secret. Durable when it returns; the former one is taken for `grace` seconds more.
  public func rotate(_ id: String, grace: Int64 = 0) throws(KeyStoreError) -> (key: APIKey, token: String) {
    let (now, random) = (seconds, random)
    return try change { (ring) throws(APIKeySet.Refusal) in
      try ring.rotate(id, at: now, grace: grace, random: random)
    }
  }

  /// Lets nobody in any more with this key. Durable when it returns.
  public func revoke(_ id: String) throws(KeyStoreError) {
    let now = seconds
    try change { (ring) throws(APIKeySet.Refusal) in try ring.revoke(id, at: now) }
  }

  private var seconds: Int64 { clock.now().nanoseconds / 1_000_000_000 }
  private var random: [UInt8] { Array((randomness.bytes16() + randomness.bytes16() + randomness.bytes16())[..<40]) }

  /// Reads what is there, changes it and writes it, alone among all processes.
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
      ring.withLock { $0 = changed }
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

  private func write(_ ring: APIKeySet) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let bytes = Array(try encoder.encode(Document(keys: ring.keys))) + [UInt8(ascii: "\n")]
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
        throw KeyStoreError(message: "the keys in \(path) are of version \(document.version), which is not known here")
      }
      return APIKeySet(document.keys)
    } catch let error as KeyStoreError {
      throw error
    } catch {
      // A decoder's own words could show what is in the file.
      throw KeyStoreError(
        message: """
          \(path) does not hold keys as `penstock keys` writes them; restore it from a copy, or move it away and make \
          new keys with `penstock keys create --file \(path)`, then send a running service SIGHUP
          """)
    }
  }
}
