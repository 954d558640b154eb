public import PenstockLog
import Synchronization

/// The newest attempts at one destination, in memory and, with a file, over restarts.
///
/// An attempt is recorded before its first byte leaves, and again when it is answered. The file is a ring of slots,
/// written in place and never synced. It survives a killed process; after a power cut the newest attempts may be
/// missing. Only reports depend on it: a file that cannot be read or written loses the list and never stops a delivery.
public final class AttemptLog: Sendable {
  /// The file with the attempts of a cursor, next to the cursor's own file.
  public static func path(inLog log: String, cursor: String) -> String { "\(log)/cursors/\(cursor).attempts" }

  private struct State: Sendable {
    var attempts: [Attempt] = []
    var last: UInt64 = 0
    /// Nil without a file, and after the first failed write.
    var file: OpenFileHandle?
  }

  /// How many attempts the list holds: 1 … 10,000.
  public let capacity: Int
  private let fileSystem: (any FileSystem)?
  private let state: Mutex<State>

  /// Makes a list in memory only.
  public init(capacity: Int = 100) {
    self.capacity = Self.bounded(capacity)
    fileSystem = nil
    state = Mutex(State())
  }

  /// Opens or creates the file. When that fails, the list is in memory only. Only the holder of the cursor may open the
  /// file. Blocks the thread while it reads the file, at most 5.1 MB.
  public init(at path: String, capacity: Int = 100, environment: LogEnvironment = .system) {
    self.capacity = Self.bounded(capacity)
    let fileSystem = environment.fileSystem
    self.fileSystem = fileSystem
    let attempts = Self.read(path, fileSystem)
    let file = try? fileSystem.open(path, .readWrite)
    state = Mutex(
      State(
        attempts: attempts.suffix(self.capacity), last: attempts.last?.number ?? 0,
        file: file ?? (try? fileSystem.open(path, .create))))
  }

  deinit {
    if let file = state.withLock({ $0.file }) { fileSystem?.close(file) }
  }

  /// The attempts in a file, oldest first; empty without a file. Any process may call this at any time.
  public static func attempts(at path: String, environment: LogEnvironment = .system) -> [Attempt] {
    read(path, environment.fileSystem)
  }

  /// The newest attempts, oldest first.
  public var attempts: [Attempt] { state.withLock { $0.attempts } }

  /// The number of attempts at a batch, counted from the attempts still in the list.
  public func count(of id: DeliveryID) -> Int {
    state.withLock { $0.attempts.last { $0.deliveryID == id }?.attempt ?? 0 }
  }

  /// Records that an attempt begins; returns its number.
  func begin(_ intent: Intent, bodyBytes: Int, at time: Timestamp) -> UInt64 {
    state.withLock { state in
      state.last += 1
      let before = state.attempts.last { $0.deliveryID == intent.id }?.attempt ?? 0
      let attempt = Attempt(
        number: state.last, time: time, range: intent.first..<intent.end, deliveryID: intent.id, attempt: before + 1,
        outcome: .underWay, nanoseconds: 0, bodyBytes: bodyBytes, words: "")
      state.attempts.append(attempt)
      if state.attempts.count > capacity { state.attempts.removeFirst() }
      write(attempt, &state)
      return attempt.number
    }
  }

  /// Records the answer.
  func end(_ number: UInt64, _ outcome: DeliveryOutcome, after duration: Duration) {
    state.withLock { state in
      guard let index = state.attempts.lastIndex(where: { $0.number == number }) else { return }
      state.attempts[index].answered(outcome, after: duration)
      write(state.attempts[index], &state)
    }
  }

  private func write(_ attempt: Attempt, _ state: inout State) {
    guard let file = state.file, let fileSystem else { return }
    let position = attempt.number % UInt64(capacity) * UInt64(Attempt.slotBytes)
    do {
      try attempt.encoded().withUnsafeBytes { try fileSystem.writeAll(file, $0, at: position) }
    } catch {
      fileSystem.close(file)
      state.file = nil
    }
  }

  private static func bounded(_ capacity: Int) -> Int { min(max(1, capacity), 10_000) }

  /// Slots are ordered by their numbers, so a file of another capacity is readable too.
  private static func read(_ path: String, _ fileSystem: any FileSystem) -> [Attempt] {
    guard let file = try? fileSystem.open(path, .readOnly) else { return [] }
    defer { fileSystem.close(file) }
    guard let size = try? fileSystem.size(file), size <= UInt64(10_000 * Attempt.slotBytes),
      let bytes = try? fileSystem.readAll(file, count: Int(size), at: 0)
    else { return [] }
    let slots = stride(from: 0, to: bytes.count - bytes.count % Attempt.slotBytes, by: Attempt.slotBytes)
    return slots.compactMap { Attempt(slot: Array(bytes[$0..<($0 + Attempt.slotBytes)])) }.sorted {
      $0.number < $1.number
    }
  }
}
