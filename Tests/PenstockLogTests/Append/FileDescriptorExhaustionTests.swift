@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// A process whose descriptors are all in use, by connections say: the log refuses and goes on, as on a full disk.
@Suite(.timeLimit(.minutes(1))) struct FileDescriptorExhaustionTests {
  @Test(
    "however few descriptors are free, the next segment is begun or its append refused, and the log goes on",
    arguments: 0..<5, [false, true])
  func roll(free: Int, isPrepared: Bool) throws {
    let test = TestLog()
    let crowd = CrowdedFileSystem(test.disk)
    let writer = try LogOpening.open(TestLog.path, test.configuration, test.environment(on: crowd))
    for number in 0..<14 { try writer.commit(record(number)) }
    if isPrepared { try writer.preparer.prepare() }
    crowd.leave(free)
    // A segment, and behind its rename the directory.
    if free < 2 {
      for _ in 0..<3 {
        let error = try #require(#expect(throws: LogError.self) { try writer.commit(record(14)) })
        #expect(error.code == .noSpace && error.description.contains("too many open files"), "\(error)")
      }
      #expect(writer.failure == nil && test.segments.count == 1)
      #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder == records(0..<14))
      crowd.leave(nil)
    }
    try writer.commit(record(14))
    #expect(test.segments.count == 2)
    #expect(try Reading(writer.view).inOrder == records(0..<15))
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder == records(0..<15))
  }

  @Test("appends are refused while there is none, and taken again afterwards")
  func appends() async throws {
    let test = TestLog()
    let crowd = CrowdedFileSystem(test.disk)
    let log = try await Log.open(
      at: TestLog.path, configuration: test.configuration, environment: test.environment(on: crowd))
    crowd.leave(0)
    var number = 0
    var refused: LogError?
    while refused == nil, number < 1000 {
      do throws(LogError) {
        try await log.append(batch([record(number)]))
        number += 1
      } catch {
        refused = error
      }
    }
    #expect(refused?.code == .noSpace && number > 0)
    crowd.leave(nil)
    for _ in 0..<20 {
      try await log.append(batch([record(number)]))
      number += 1
    }
    #expect(try Reading(log.view).inOrder == records(0..<number))
    try await log.close()
  }
}

/// A file system in a process that has so many descriptors left, and no more.
final class CrowdedFileSystem: FileSystem {
  private let base: any FileSystem
  /// Nil: enough.
  private let free = Mutex<Int?>(nil)

  init(_ base: any FileSystem) { self.base = base }

  func leave(_ count: Int?) { free.withLock { $0 = count } }

  private func take(_ verb: FileSystemError.Verb, _ path: String) throws(FileSystemError) {
    let isTaken = free.withLock { free in
      guard let left = free else { return true }
      free = max(0, left - 1)
      return left > 0
    }
    if !isTaken { throw FileSystemError(.tooManyOpenFiles, verb: verb, path: path) }
  }

  private func giveBack() { free.withLock { $0 = $0.map { $0 + 1 } } }

  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
    try take(.open, path)
    do throws(FileSystemError) { return try base.open(path, mode) } catch {
      giveBack()
      throw error
    }
  }
  func close(_ file: OpenFileHandle) {
    base.close(file)
    giveBack()
  }
  func synchronizeDirectory(_ path: String) throws(FileSystemError) {
    try take(.synchronizeDirectory, path)
    defer { giveBack() }
    try base.synchronizeDirectory(path)
  }
  func list(_ path: String) throws(FileSystemError) -> [String] {
    try take(.list, path)
    defer { giveBack() }
    return try base.list(path)
  }
  func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  { try base.read(file, into: buffer, at: position) }
  func write(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64) throws(FileSystemError)
    -> Int
  {
    try base.write(file, bytes, at: position)
  }
  func fill(_ file: OpenFileHandle, zeros length: UInt64) throws(FileSystemError) { try base.fill(file, zeros: length) }
  func synchronize(_ file: OpenFileHandle) throws(FileSystemError) { try base.synchronize(file) }
  func prefetch(_ file: OpenFileHandle, _ range: Range<UInt64>) { base.prefetch(file, range) }
  func dropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool { try base.dropCache(file) }
  func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 { try base.size(file) }
  func truncate(_ file: OpenFileHandle, to size: UInt64) throws(FileSystemError) { try base.truncate(file, to: size) }
  func rename(_ path: String, to newPath: String) throws(FileSystemError) { try base.rename(path, to: newPath) }
  func replace(_ path: String, with newer: String) throws(FileSystemError) { try base.replace(path, with: newer) }
  func remove(_ path: String) throws(FileSystemError) { try base.remove(path) }
  func makeDirectory(_ path: String) throws(FileSystemError) { try base.makeDirectory(path) }
  func lock(_ file: OpenFileHandle) throws(FileSystemError) -> Bool { try base.lock(file) }
  func path(_ path: String, names file: OpenFileHandle) throws(FileSystemError) -> Bool {
    try base.path(path, names: file)
  }
}
