internal import Crypto
public import PenstockLog

/// How much space a destination's dead letters may take, and how long they are kept.
public struct DeadLetterPolicy: Sendable, Hashable {
  /// The most bytes that the letters' files may take. A letter that would exceed it is not written and halts the
  /// destination. A new letter never deletes an old one.
  public var maxBytes: Int
  /// Letters this much older than the newest one are removed. Nil: never.
  public var maxAge: Duration?

  /// 256 MiB, without an age limit.
  public init(maxBytes: Int = 256 << 20, maxAge: Duration? = nil) {
    self.maxBytes = max(maxBytes, 128 << 10)
    self.maxAge = maxAge
  }
}

/// The dead letters of one destination: a log of their own, in a directory named after the cursor.
///
/// The first letter creates the directory. One process writes it: the holder of the cursor.
public actor DeadLetterLog: DeadLetterStore {
  /// The directory of a cursor's letters below a directory of dead letters.
  public static func path(in directory: String, cursor: String) -> String { "\(directory)/\(cursor)" }

  private let path: String
  private let policy: DeadLetterPolicy
  private let environment: LogEnvironment
  private var log: Log?
  private var permit: Permit?

  /// A process has at most so many logs of dead letters open. A letter of another one waits.
  package static let mostOpen = 64
  private static let open = AsyncCondition(0)

  /// The permission to have one open.
  private final class Permit: Sendable {
    static func take() async throws(LogError) -> Permit {
      while true {
        guard await open.wait(until: { $0 < mostOpen }) else {
          throw LogError(.cancelled, "cancelled while other destinations write dead letters")
        }
        let isTaken = open.update { count in
          guard count < mostOpen else { return false }
          count += 1
          return true
        }
        if isTaken { return Permit() }
      }
    }

    deinit { open.update { $0 -= 1 } }
  }

  /// Opens nothing yet.
  ///
  /// - Parameters:
  ///   - directory: The directory of all dead letters of one log. Created if its parent exists. Must not be inside the
  ///     log's own directory.
  ///   - cursor: The name of the cursor.
  ///   - policy: How much space the letters may take, and how long they are kept.
  ///   - environment: The file system, the clock and other dependencies.
  public init(
    in directory: String, cursor: String, policy: DeadLetterPolicy = DeadLetterPolicy(),
    environment: LogEnvironment = .system
  ) {
    path = Self.path(in: directory, cursor: cursor)
    self.policy = policy
    self.environment = environment
  }

  /// Throws `.noSpace` when the letter would exceed ``DeadLetterPolicy/maxBytes``, and what opening and appending
  /// throw.
  public func writeDeadLetter(_ letter: DeadLetter) async throws(LogError) -> Offset {
    let log = try await opened()
    do throws(LogError) {
      let producer = try await log.producer(named: letter.cursor)
      let key = Self.key(letter)
      var newest = producer.source
      if producer.history == .uncertain {
        // A log that may have forgotten its producer has the key in its newest letter: each letter is one append.
        try producer.resume(after: log.end.rawValue)
        newest = try await Self.newestKey(log)
      }
      if newest == key, log.end > .zero { return Offset(log.end.rawValue - 1) }
      let bytes = letter.encoded()
      _ = try await log.trim()
      let used = try size(of: log)
      guard used + bytes.count <= policy.maxBytes else {
        throw LogError(
          .noSpace,
          "the dead letters take \(used) of \(policy.maxBytes) bytes; redeliver and remove them, or raise the limit",
          location: .init(path: path))
      }
      var batch = RecordBatch()
      batch.append(bytes)
      let receipt = try await producer.append(batch, sequence: (producer.lastSequence ?? 0) + 1, source: key)
      return receipt.offsets.lowerBound
    } catch {
      // Only a recovery can say what a failed write has left. The next letter opens the log again.
      if error.code != .noSpace { try? await close() }
      throw error
    }
  }

  /// Opens existing letters, so that readers see letters again that a crash has hidden, and closes them.
  public func prepare() async throws(LogError) {
    guard try LogDirectory.exists(environment.fileSystem, LogPaths(path)) else { return }
    _ = try await opened()
    try await close()
  }

  /// Closes the log of letters. So a destination takes files and memory for its letters only while it writes some.
  public func releaseUntilNextLetter() async throws(LogError) { try await close() }

  /// Closes the log of letters; the next letter opens it again.
  public func close() async throws(LogError) {
    let (log, permit) = (log, permit)
    (self.log, self.permit) = (nil, nil)
    defer { withExtendedLifetime(permit) {} }
    try await log?.close()
  }

  private func opened() async throws(LogError) -> Log {
    if let log { return log }
    var configuration = LogConfiguration()
    configuration.segmentBytes = 64 << 10
    configuration.sealing = .off
    configuration.batchBytes = 256 << 20
    configuration.recordBytes = configuration.batchBytes
    configuration.retention.maxAge = policy.maxAge
    let permit = try await Permit.take()
    try makeDirectory(LogPaths.parent(of: path))
    let opened = try await Log.open(at: path, configuration: configuration, environment: environment)
    (log, self.permit) = (opened, permit)
    return opened
  }

  /// Creates the directory of all dead letters, durably, if it does not exist.
  private func makeDirectory(_ directory: String) throws(LogError) {
    let fileSystem = environment.fileSystem
    do throws(FileSystemError) {
      do throws(FileSystemError) {
        try fileSystem.makeDirectory(directory)
      } catch {
        guard error.code == .exists else { throw error }
      }
      // Also when it exists: a killed process may have left it in the page cache only.
      try fileSystem.synchronizeDirectory(LogPaths.parent(of: directory))
    } catch {
      throw LogError(error, while: "make the directory of dead letters")
    }
  }

  /// Bytes of the letters' files.
  private func size(of log: Log) throws(LogError) -> Int {
    var bytes: UInt64 = 0
    let fileSystem = environment.fileSystem
    do throws(FileSystemError) {
      for segment in log.view.set.segments {
        let file = try fileSystem.open(segment.path, .readOnly)
        defer { fileSystem.close(file) }
        bytes += try fileSystem.size(file)
      }
    } catch {
      throw LogError(error, while: "measure the dead letters' files")
    }
    return Int(bytes)
  }

  private static func newestKey(_ log: Log) async throws(LogError) -> [UInt8] {
    guard log.end > log.first else { return [] }
    let last = try await log.records(in: Offset(log.end.rawValue - 1)..<log.end)
    var bytes: [UInt8] = []
    last.forEachRecord { bytes.append(contentsOf: $0.bytes) }
    return key(try DeadLetter(decoding: bytes))
  }

  /// The offset, and SHA-256 of the log's id and the record: letters with equal keys are the same letter.
  private static func key(_ letter: DeadLetter) -> [UInt8] {
    var hash = SHA256()
    hash.update(data: Array(letter.logID.utf8))
    hash.update(data: letter.record)
    return withUnsafeBytes(of: letter.offset.rawValue.bigEndian, Array.init) + Array(hash.finalize())
  }
}
