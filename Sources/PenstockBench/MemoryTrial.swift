import Foundation
import PenstockLog
import PenstockToolSupport
import Synchronization

/// Appends a number of bytes with a log's defaults, then reads them back with cursors that commit. It watches the
/// memory of the process.
struct MemoryTrial {
  let path: String
  let bytes: Int
  let cursors: Int
  var configuration = LogConfiguration()
  /// Tasks that append. More than one, so that the queue is full.
  var producers = 4

  /// Resident memory, in bytes: the most there was, and what there was at eight moments, evenly spread over the work.
  struct Finding: Sendable {
    var peak = 0
    var course: [Int] = []
    var records = 0
  }

  func run(progress: @escaping @Sendable (String, Int) -> Void) async throws -> (append: Finding, replay: Finding) {
    ProcessMemory.resetPeak()
    let appended = try await append { progress("appending", $0) }
    ProcessMemory.resetPeak()
    let replayed = try await replay(appended.records) { progress("replaying", $0) }
    return (appended, replayed)
  }

  private func append(_ progress: @escaping @Sendable (Int) -> Void) async throws -> Finding {
    let log = try await Log.open(at: path, configuration: configuration)
    let course = Course(of: bytes, progress)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<producers {
        group.addTask {
          let generator = EventGenerator()
          while let number = course.take() {
            let batch = generator.batch((number * 500)..<((number + 1) * 500))
            // The queue alone holds them back, so it is full.
            try await log.append(batch, durability: .accepted)
            course.did(batch.byteCount)
          }
        }
      }
      try await group.waitForAll()
    }
    try await log.sync()
    var finding = course.finding
    finding.records = log.end - log.first
    try await log.close()
    return finding
  }

  private func replay(_ records: Int, _ progress: @escaping @Sendable (Int) -> Void) async throws -> Finding {
    let log = try await Log.open(at: path, configuration: configuration)
    let course = Course(of: records * cursors, progress)
    let end = log.end
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<cursors {
        group.addTask {
          let cursor = try await log.cursor(named: "reader-\(number)")
          var length = 0
          while cursor.state.committed < end, let batch = try await cursor.next() {
            batch.forEachRecord { length &+= $0.bytes.count }
            try await cursor.commit(batch)
            course.did(batch.count)
          }
        }
      }
      try await group.waitForAll()
    }
    var finding = course.finding
    finding.records = records
    try await log.close()
    return finding
  }
}

/// How far work is, and the memory at eight moments of it.
private final class Course: Sendable {
  private let state = Mutex((done: 0, course: [Int](), next: 0))
  private let whole: Int
  private let progress: @Sendable (Int) -> Void

  init(of whole: Int, _ progress: @escaping @Sendable (Int) -> Void) {
    self.whole = max(1, whole)
    self.progress = progress
  }

  /// The next number, until the whole is done.
  func take() -> Int? {
    state.withLock { state in
      guard state.done < whole else { return nil }
      defer { state.next += 1 }
      return state.next
    }
  }

  func did(_ part: Int) {
    let percent = state.withLock { state -> Int? in
      state.done += part
      let eighths = min(8, state.done * 8 / whole)
      guard eighths > state.course.count else { return nil }
      state.course.append(ProcessMemory(of: getpid()).resident)
      return eighths * 100 / 8
    }
    if let percent { progress(percent) }
  }

  var finding: MemoryTrial.Finding {
    MemoryTrial.Finding(peak: ProcessMemory(of: getpid()).peak, course: state.withLock { $0.course })
  }
}
