import PenstockDelivery
import PenstockLog

/// One process of a ``CrashScenario``. It knows whether it is dead, and reports what it does.
final class ProcessRun: Sendable {
  struct State: Sendable {
    var isDead = false
    var isCaughtUp = false
    var isLate = false
    /// Effects so far, two for each: before and after.
    var steps = 0
    /// The cursors' positions at the last look, in words.
    var cursors: [String: String] = [:]
    /// The log's end; nil before the process consumes.
    var end: Offset?
  }

  let disk: SimulatedFileSystem
  let state = AsyncCondition(State())
  private let fatalStep: Int?
  private let recorder: HistoryRecorder
  private let story: AsyncCondition<[String]>
  private let position: @Sendable () -> Offset?

  init(
    _ disk: SimulatedFileSystem, fatalStep: Int?, _ recorder: HistoryRecorder, _ story: AsyncCondition<[String]>,
    position: @escaping @Sendable () -> Offset?
  ) {
    self.disk = disk
    self.fatalStep = fatalStep
    self.recorder = recorder
    self.story = story
    self.position = position
  }

  var isDead: Bool { state.value.isDead }

  func note(_ event: History.Event) { recorder.note(event) }
  func tell(_ line: String) { story.update { $0.append(line) } }

  /// The machine or the process is gone: nothing it does has an effect any more.
  func die() {
    disk.goDown()
    state.update { $0.isDead = true }
  }

  /// A change outside the log, with a crash point before it and one after it.
  func effect(_ name: String, _ change: @Sendable () -> Void) async throws {
    try await step("before it \(name)")
    tell("  " + name)
    change()
    try await step("after it \(name)")
  }

  /// A place to crash at; throws in a dead process, once its task is cancelled.
  func step(_ name: String) async throws {
    let dies = state.update { [fatalStep] state in
      state.steps += 1
      return !state.isDead && state.steps == fatalStep
    }
    if dies {
      tell("  and dies \(name)")
      die()
    }
    guard isDead else { return }
    await hangUntilCancelled()
    throw CancellationError()
  }

  /// Something has become durable: how far are the cursors?
  func look() {
    guard let end = state.value.end, !disk.isDown else { return }
    let found = Self.cursors(disk)
    let now = found.mapValues(Self.words)
    let before = state.update { state in
      defer { state.cursors = now }
      return state.cursors
    }
    for (name, words) in now.sorted(by: { $0.key < $1.key }) where words != before[name] {
      tell("  cursor \(name) stands \(words)")
    }
    let isThere = !found.isEmpty && found.values.allSatisfy { $0.committed == end && $0.inFlight.isEmpty }
    if isThere || position() == end { state.update { $0.isCaughtUp = true } }
  }

  static func words(_ cursor: CursorState) -> String {
    "at \(cursor.committed)" + cursor.inFlight.map { ", \($0.intent.first) ..< \($0.intent.end) in flight" }.joined()
  }

  /// The cursors of a disk, by name, as far as they can be read.
  static func cursors(_ disk: SimulatedFileSystem) -> [String: CursorState] {
    let paths = LogPaths(CrashScenario.path)
    var found: [String: CursorState] = [:]
    for name in (try? CursorStore.names(disk, paths)) ?? [] {
      found[name] = try? CursorStore.peek(disk, paths, name: name)
    }
    return found
  }
}
