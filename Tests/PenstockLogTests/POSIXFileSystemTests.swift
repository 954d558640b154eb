import Foundation
@testable import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Synchronization
import Testing

@Suite("POSIXFileSystem")
struct POSIXFileSystemTests {
  private let disk = POSIXFileSystem()

  @Test("passes the conformance tests of a file system", arguments: FileSystemConformance.all)
  func conformance(_ check: FileSystemCheck) throws {
    try withDirectory { try check.check(disk, in: $0) }
  }

  @Test("answers as the simulated disk does, verb by verb", arguments: 1...8 as ClosedRange<UInt64>)
  func comparison(_ seed: UInt64) throws {
    let simulated = SimulatedFileSystem()
    try simulated.makeDirectory("/log")
    try withDirectory {
      try FileSystemComparison.run(disk, in: $0, simulated, in: "/log", seed: seed, steps: 600)
    }
  }

  @Test func `creates files and directories for their owner only, and no child process inherits a descriptor`() throws {
    try withDirectory { directory in
      try disk.makeDirectory(directory + "/d")
      let file = try disk.open(directory + "/d/a", .create)
      defer { disk.close(file) }
      var found = stat()
      #expect(stat(directory + "/d", &found) == 0)
      #expect(found.st_mode & 0o777 == 0o700)
      #expect(fstat(file.rawValue, &found) == 0)
      #expect(found.st_mode & 0o777 == 0o600)
      #expect(fcntl(file.rawValue, F_GETFD) & FD_CLOEXEC != 0)
    }
  }

  #if os(Linux)
    @Test func `proves what the disk holds, also while the file is mapped and its pages stay in memory`() throws {
      try withDirectory { directory in
        let file = try disk.open(directory + "/a", .create)
        defer { disk.close(file) }
        let bytes = (0..<300_001).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        try bytes.withUnsafeBytes { try disk.writeAll(file, $0, at: 0) }
        try disk.synchronize(file)
        #expect(try disk.dropCache(file))
        #expect(try disk.readAll(file, count: 400_000, at: 0) == bytes)
        // Pages that a process has mapped are not dropped: they are compared with the disk.
        let mapped = mmap(nil, bytes.count, PROT_READ, MAP_SHARED, file.rawValue, 0)
        try #require(mapped != MAP_FAILED)
        defer { munmap(mapped, bytes.count) }
        for page in stride(from: 0, to: bytes.count, by: 4096) {
          #expect(mapped?.load(fromByteOffset: page, as: UInt8.self) == bytes[page])
        }
        _ = try disk.dropCache(file)
        #expect(try disk.readAll(file, count: 400_000, at: 0) == bytes)
      }
    }
  #endif

  @Test func `gives no lock to a handle that cannot write`() throws {
    try withDirectory { directory in
      disk.close(try disk.open(directory + "/a", .create))
      let file = try disk.open(directory + "/a", .readOnly)
      defer { disk.close(file) }
      let error = #expect(throws: FileSystemError.self) { try disk.lock(file) }
      #expect(error?.code == .notSupported)
    }
  }

  @Test func `of two renames to one name at the same time one succeeds`() throws {
    try withDirectory { directory in
      for round in 0..<300 {
        let sources = ["a", "b"].map { "\(directory)/\($0)\(round)" }
        for source in sources { disk.close(try disk.open(source, .create)) }
        let target = "\(directory)/t\(round)"
        let renamed = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: 2) { side in
          do { try disk.rename(sources[side], to: target) } catch { return }
          renamed.withLock { $0 += 1 }
        }
        #expect(renamed.withLock { $0 } == 1, "round \(round)")
      }
    }
  }

  @Test func `names the file in the error of a handle`() throws {
    try withDirectory { directory in
      disk.close(try disk.open(directory + "/a", .create))
      let file = try disk.open(directory + "/a", .readOnly)
      defer { disk.close(file) }
      let error = #expect(throws: FileSystemError.self) { try write(file) }
      #expect(error?.verb == .write)
      #if os(Linux)
        #expect(error?.path.hasSuffix("/a") == true)
      #endif
    }
  }

  #if os(Linux)
    @Test func `reports a full device and a device error as the kernel does`() throws {
      let full = try disk.open("/dev/full", .readWrite)
      defer { disk.close(full) }
      #expect(#expect(throws: FileSystemError.self) { try write(full) }?.code == .noSpace)

      // Nothing is mapped at address 0 of a process, and its memory file says so with EIO.
      let memory = try disk.open("/proc/self/mem", .readOnly)
      defer { disk.close(memory) }
      let error = #expect(throws: FileSystemError.self) {
        var byte: UInt8 = 0
        _ = try withUnsafeMutableBytes(of: &byte) { try disk.read(memory, into: $0, at: 0) }
      }
      #expect(error?.code == .inputOutput)
    }
  #endif

  #if os(Linux)
    @Test func `knows the kinds of file systems that are promised, and warns of others`() {
      // The numbers of <linux/magic.h>, and of ZFS.
      for magic in [0xEF53, 0x5846_5342, 0x0102_1994] as [UInt32] {
        guard case .promised = VolumeKind(magic: magic) else {
          Issue.record("\(magic)")
          continue
        }
        #expect(VolumeKind(magic: magic).warning == nil)
      }
      for magic in [0x9123_683E, 0x2FC1_2FC1, 0xCA45_1A4E, 0xF2F5_2010, 0x3434] as [UInt32] {
        guard case .copyOnWrite(let name) = VolumeKind(magic: magic) else {
          Issue.record("\(magic)")
          continue
        }
        #expect(VolumeKind(magic: magic).warning?.hasPrefix(name) == true)
      }
      #expect(VolumeKind(magic: 0x6969).warning?.contains("nfs") == true)
      #expect(disk.volume(of: "/proc") == VolumeKind(magic: 0x9FA0))
      #expect(disk.volume(of: "/nothing-here") == nil)
    }
  #endif

  @Test func `gives every errno its meaning`() {
    let expected: [(Int32, FileSystemError.Code)] = [
      (ENOENT, .notFound), (EEXIST, .exists), (EACCES, .permissionDenied), (EPERM, .permissionDenied),
      (ENOTDIR, .notADirectory), (EISDIR, .isADirectory), (ENOSPC, .noSpace), (EDQUOT, .noSpace),
      (EIO, .inputOutput), (EINTR, .interrupted), (EMFILE, .tooManyOpenFiles), (ENFILE, .tooManyOpenFiles),
      (EROFS, .readOnlyFileSystem), (ENOTSUP, .notSupported), (EOPNOTSUPP, .notSupported), (ENOSYS, .notSupported),
      (EFBIG, .other(errno: EFBIG)),
    ]
    for (code, meaning) in expected { #expect(FileSystemError.Code(errno: code) == meaning, "errno \(code)") }
  }

  @Test func `the system clock and the system's randomness move`() {
    let before = Date().timeIntervalSince1970
    let now = SystemWallClock().now().seconds
    #expect(abs(now - before) < 60)
    let first = Randomness.system.bytes16()
    #expect(first.count == 16)
    #expect(first != Randomness.system.bytes16())
    #expect(Randomness({ 0x0102_0304_0506_0708 }).bytes16() == [8, 7, 6, 5, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1])
  }

  // MARK: - Helpers

  private func write(_ file: PenstockLog.OpenFileHandle) throws {
    _ = try withUnsafeBytes(of: UInt8(1)) { try disk.write(file, $0, at: 0) }
  }

  private func withDirectory(_ body: (String) throws -> Void) throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("penstock-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    try body(directory.path)
  }
}
