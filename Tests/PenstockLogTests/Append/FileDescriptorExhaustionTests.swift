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
    let writer = try test.openWriter(on: crowd)
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

  @Test func `appends are refused while there is none, and taken again afterwards`() async throws {
    let test = TestLog()
    let crowd = CrowdedFileSystem(test.disk)
    let log = try await test.open(on: crowd)
    crowd.leave(0)
    var number = 0
    var refusal: LogError.Code?
    while refusal == nil, number < 1000 {
      refusal = await code { try await log.append(batch([record(number)])) }
      if refusal == nil { number += 1 }
    }
    #expect(refusal == .noSpace && number > 0)
    crowd.leave(nil)
    for later in number..<number + 20 { try await log.append(batch([record(later)])) }
    #expect(try Reading(log.view).inOrder == records(0..<number + 20))
    try await log.close()
  }
}

/// A file system in a process that has so many descriptors left, and no more.
final class CrowdedFileSystem: PassingFileSystem {
  let base: any FileSystem
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
  func fill(_ file: OpenFileHandle, zeros length: UInt64) throws(FileSystemError) { try base.fill(file, zeros: length) }
  func prefetch(_ file: OpenFileHandle, _ range: Range<UInt64>) { base.prefetch(file, range) }
}
