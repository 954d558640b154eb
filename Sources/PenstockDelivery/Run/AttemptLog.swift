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
    /// In memory: the list. With a file: those that may be asked for, because their batch is not delivered.
    var attempts: [Attempt] = []
    /// The newest attempt's number; nil before the file is read.
    var last: UInt64?
    /// Attempts up to this number were made by earlier processes: the answers that are missing will not come.
    var lastOfEarlier: UInt64 = 0
    /// Nil without a file, and after the first failed write.
    var path: String?
  }

  /// With a file, so many of the newest attempts at batches that are not delivered are in memory, and those under way.
  private static let recent = 8

  /// How many attempts the list holds: 1 … 10,000.
  public let capacity: Int
  private let fileSystem: (any FileSystem)?
  private let state: Mutex<State>

  /// Makes a list in memory only.
  public init(capacity: Int = 100) {
    self.capacity = Self.bounded(capacity)
    fileSystem = nil
    state = Mutex(State(last: 0))
  }

  /// A list in a file, which the first attempt makes. When it cannot be written, the list is in memory only. Only the
  /// holder of the cursor may record attempts. The file is open only while it is read or written.
  public init(at path: String, capacity: Int = 100, environment: LogEnvironment = .system) {
    self.capacity = Self.bounded(capacity)
    fileSystem = environment.fileSystem
    state = Mutex(State(path: path))
  }

  /// The attempts in a file, oldest first; empty without a file. Any process may call this at any time.
  public static func attempts(at path: String, environment: LogEnvironment = .system) -> [Attempt] {
    read(path, environment.fileSystem)
  }

  /// The newest attempts, oldest first. With a file, blocks the thread while it reads the file, at most 5.1 MB.
  public var attempts: [Attempt] { state.withLock { list($0) } }

  /// The number of attempts at a batch that is not delivered, counted from the attempts still known. With a file, the
  /// first call reads it.
  public func count(of id: DeliveryID) -> Int {
    state.withLock { state in
      begin(&state)
      return state.attempts.last { $0.deliveryID == id }?.attempt ?? 0
    }
  }

  /// Records that an attempt begins; returns its number. With a file, the first call reads it.
  func begin(_ intent: Intent, bodyBytes: Int, at time: Timestamp) -> UInt64 {
    state.withLock { state in
      begin(&state)
      let number = (state.last ?? 0) + 1
      state.last = number
      let before = state.attempts.last { $0.deliveryID == intent.id }?.attempt ?? 0
      let attempt = Attempt(
        number: number, time: time, range: intent.first..<intent.end, deliveryID: intent.id, attempt: before + 1,
        outcome: .underWay, nanoseconds: 0, bodyBytes: bodyBytes, words: "")
      state.attempts.append(attempt)
      write(attempt, &state)
      drop(&state)
      return number
    }
  }

  /// Records the answer.
  func end(_ number: UInt64, _ outcome: DeliveryOutcome, after duration: Duration) {
    state.withLock { state in
      guard let index = state.attempts.lastIndex(where: { $0.number == number }) else { return }
      state.attempts[index].answered(outcome, after: duration)
      write(state.attempts[index], &state)
      drop(&state)
    }
  }

  /// Takes over what an earlier process left.
  private func begin(_ state: inout State) {
    guard state.last == nil else { return }
    state.attempts = list(state)
    state.lastOfEarlier = state.attempts.last?.number ?? 0
    state.last = state.lastOfEarlier
    drop(&state)
  }

  /// Forgets what the file has, or what is beyond the capacity.
  private func drop(_ state: inout State) {
    guard state.path != nil else {
      state.attempts.removeFirst(max(0, state.attempts.count - capacity))
      return
    }
    state.attempts.removeAll { $0.outcome == .delivered }
    var surplus = state.attempts.count - Self.recent
    guard surplus > 0 else { return }
    let lastOfEarlier = state.lastOfEarlier
    state.attempts.removeAll { attempt in
      guard surplus > 0, attempt.outcome != .underWay || attempt.number <= lastOfEarlier else { return false }
      surplus -= 1
      return true
    }
  }

  private func list(_ state: State) -> [Attempt] {
    guard let path = state.path, let fileSystem else { return state.attempts }
    let known = Set(state.attempts.map(\.number))
    let others = Self.read(path, fileSystem).filter { !known.contains($0.number) }
    return (others + state.attempts).sorted { $0.number < $1.number }.suffix(capacity)
  }

  private func write(_ attempt: Attempt, _ state: inout State) {
    guard let path = state.path, let fileSystem else { return }
    let position = attempt.number % UInt64(capacity) * UInt64(Attempt.slotBytes)
    do {
      let file: OpenFileHandle
      do throws(FileSystemError) { file = try fileSystem.open(path, .readWrite) } catch {
        guard error.code == .notFound else { throw error }
        file = try fileSystem.open(path, .create)
      }
      defer { fileSystem.close(file) }
      try attempt.encoded().withUnsafeBytes { try fileSystem.writeAll(file, $0, at: position) }
    } catch {
      state.attempts = list(state)
      state.path = nil
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
