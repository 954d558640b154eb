import PenstockLog
import PenstockTestKit
import Testing

@Suite("SimulatedFileSystem")
struct SimulatedFileSystemTests {
  @Test("passes the conformance tests of a file system", arguments: FileSystemConformance.all)
  func conformance(_ check: FileSystemCheck) throws {
    let disk = SimulatedFileSystem()
    try disk.makeDirectory("/check")
    try check.check(disk, in: "/check")
    #expect(disk.openHandleCount == 0)
  }

  @Test("passes the conformance tests when transfers are short and interrupted", arguments: FileSystemConformance.all)
  func disturbedConformance(_ check: FileSystemCheck) throws {
    let disk = SimulatedFileSystem(seed: 5)
    try disk.makeDirectory("/check")
    disk.disturb(shortTransfers: 0.5, interruptions: 0.3)
    try check.check(disk, in: "/check")
  }

  // MARK: - What a power loss takes

  @Test func `after a power loss synced bytes are there and unsynced bytes are not`() throws {
    let (disk, file) = try SimulatedFileSystem.opened(fill(1, 1024))
    try disk.put(file, fill(2, 512), at: 512)
    #expect(disk.powerCut(.nothingUnsynced).contents("/log/a") == fill(1, 1024))
    #expect(disk.powerCut(.everything).contents("/log/a") == fill(1, 512) + fill(2, 512))
    try disk.synchronize(file)
    #expect(disk.unsyncedItemCount == 0)
    #expect(disk.powerCut(.nothingUnsynced).contents("/log/a") == fill(1, 512) + fill(2, 512))
  }

  @Test func `each unsynced sector survives by itself, and every subset can be had`() throws {
    let (disk, file) = try SimulatedFileSystem.opened(fill(0, 2048))
    try disk.put(file, fill(7, 1024 + 100), at: 300)
    #expect(disk.unsyncedItemCount == 3)
    var seen: Set<[UInt8]> = []
    for mask in 0..<8 as Range<UInt64> {
      let bytes = try #require(disk.powerCut(.subset(mask)).contents("/log/a"))
      let news = [300..<512, 512..<1024, 1024..<1424]
      for (index, range) in news.enumerated() {
        let expected: UInt8 = mask >> UInt64(index) & 1 == 1 ? 7 : 0
        #expect(bytes[range].allSatisfy { $0 == expected })
      }
      #expect(bytes[..<300].allSatisfy { $0 == 0 } && bytes[1424...].allSatisfy { $0 == 0 })
      seen.insert(bytes)
    }
    #expect(seen.count == 8)
  }

  @Test func `a sector written twice holds its old, its first or its second bytes`() throws {
    let (disk, file) = try SimulatedFileSystem.opened(fill(0, 512))
    try disk.put(file, fill(1, 256), at: 0)
    try disk.put(file, fill(2, 256), at: 256)
    let outcomes = (0..<4 as Range<UInt64>).map { disk.powerCut(.subset($0)).contents("/log/a") }
    let both = fill(1, 256) + fill(2, 256)
    #expect(outcomes == [fill(0, 512), fill(1, 256) + fill(0, 256), both, both])
  }

  @Test func `every power cut is every subset of what is unsynced, each outcome once`() throws {
    let disk = try prepared(["/log/a": fill(0, 1024), "/log/b": [1]])
    let file = try disk.open("/log/a", .readWrite)
    try disk.put(file, fill(1, 1024), at: 0)
    try disk.put(file, fill(2, 100), at: 0)
    try disk.truncate(file, to: 700)
    try disk.put(file, fill(3, 512), at: 512)
    try disk.rename("/log/b", to: "/log/c")
    try disk.remove("/log/a")
    let items = disk.unsyncedItemCount
    #expect(items == 8)
    func image(_ disk: SimulatedFileSystem) -> [String: [UInt8]] {
      Dictionary(uniqueKeysWithValues: disk.filePaths.map { ($0, disk.contents($0) ?? []) })
    }
    let expected = Set((0..<UInt64(1 << items)).map { image(disk.powerCut(.subset($0, .unorderedDirectories))) })
    let found = try #require(disk.everyPowerCut())
    #expect(Set(found.map(image)) == expected && found.count == expected.count)
    #expect(disk.everyPowerCut(atMost: 20) == nil)
  }

  @Test func `size and bytes of an append survive separately`() throws {
    let (disk, file) = try SimulatedFileSystem.opened(fill(1, 512))
    try disk.put(file, fill(2, 512), at: 512)
    #expect(disk.unsyncedItemCount == 2)
    let outcomes = (0..<4 as Range<UInt64>).map { disk.powerCut(.subset($0)).contents("/log/a") }
    let old = fill(1, 512)
    #expect(outcomes == [old, old, old + fill(0, 512), old + fill(2, 512)])
  }

  @Test func `a cut-off end is back after a power loss, unless it was synced`() throws {
    let (disk, file) = try SimulatedFileSystem.opened(fill(1, 1024))
    try disk.truncate(file, to: 100)
    try disk.truncate(file, to: 600)
    #expect(disk.powerCut(.nothingUnsynced).contents("/log/a") == fill(1, 1024))
    #expect(disk.powerCut(.subset(0b01)).contents("/log/a") == fill(1, 100))
    #expect(disk.powerCut(.everything).contents("/log/a") == fill(1, 100) + fill(0, 500))
    try disk.synchronize(file)
    #expect(disk.powerCut(.nothingUnsynced).contents("/log/a") == fill(1, 100) + fill(0, 500))
  }

  @Test func `writing what is there already is no choice, except where a truncation is pending`() throws {
    let (disk, file) = try SimulatedFileSystem.opened(fill(1, 4096))
    try disk.put(file, fill(1, 4096), at: 0)
    #expect(disk.unsyncedItemCount == 0)
    try disk.truncate(file, to: 0)
    try disk.put(file, fill(0, 512), at: 0)
    #expect(disk.unsyncedItemCount == 3)
    #expect(disk.powerCut(.subset(0b110)).contents("/log/a") == fill(0, 512))
  }

  @Test func `a file whose directory was not synced is gone, however often the file was`() throws {
    let disk = try prepared([:])
    let file = try disk.open("/log/a", .create)
    try disk.put(file, fill(1, 512), at: 0)
    try disk.synchronize(file)
    #expect(disk.powerCut(.nothingUnsynced).filePaths == [])
    #expect(disk.powerCut(.everything).contents("/log/a") == fill(1, 512))
    try disk.synchronizeDirectory("/log")
    #expect(disk.powerCut(.nothingUnsynced).contents("/log/a") == fill(1, 512))
  }

  @Test func `a synced name does not save unsynced bytes`() throws {
    let disk = try prepared([:])
    let file = try disk.open("/log/a", .create)
    try disk.put(file, fill(1, 512), at: 0)
    try disk.synchronizeDirectory("/log")
    #expect(disk.powerCut(.nothingUnsynced).contents("/log/a") == [])
  }

  @Test func `a directory that its parent does not know durably takes its files with it`() throws {
    let disk = try prepared([:])
    try disk.makeDirectory("/log/d")
    let file = try disk.open("/log/d/a", .create)
    try disk.synchronize(file)
    try disk.synchronizeDirectory("/log/d")
    #expect(disk.powerCut(.nothingUnsynced).filePaths == [])
    try disk.synchronizeDirectory("/log")
    #expect(disk.powerCut(.nothingUnsynced).filePaths == ["/log/d/a"])
  }

  @Test func `of a directory's operations a prefix survives; with the stricter option any subset`() throws {
    let disk = try prepared(["/log/a": [1], "/log/b": [2]])
    try disk.rename("/log/a", to: "/log/c")
    try disk.remove("/log/b")
    #expect(disk.unsyncedItemCount == 2)
    #expect(disk.powerCut(.subset(0b01)).filePaths == ["/log/b", "/log/c"])
    #expect(disk.powerCut(.subset(0b10)).filePaths == ["/log/a", "/log/b"])
    #expect(disk.powerCut(.subset(0b10, .unorderedDirectories)).filePaths == ["/log/a"])
    #expect(disk.powerCut(.subset(0b11)).filePaths == ["/log/c"])
    #expect(disk.powerCut(.nothingUnsynced).contents("/log/b") == [2])
  }

  @Test func `after a replacement the name is the old file's or the new one's, and never missing`() throws {
    let disk = try prepared(["/log/a": [1], "/log/b": [2]])
    try disk.replace("/log/a", with: "/log/b")
    #expect(disk.unsyncedItemCount == 1)
    let before = disk.powerCut(.nothingUnsynced)
    #expect(before.contents("/log/a") == [1] && before.contents("/log/b") == [2])
    let after = disk.powerCut(.everything)
    #expect(after.contents("/log/a") == [2] && after.filePaths == ["/log/a"])
    try disk.synchronizeDirectory("/log")
    #expect(disk.powerCut(.nothingUnsynced).contents("/log/a") == [2])
    // A new file's bytes are as volatile under the name it took as under its own.
    let file = try disk.open("/log/c", .create)
    try disk.put(file, [3], at: 0)
    try disk.replace("/log/a", with: "/log/c")
    try disk.synchronizeDirectory("/log")
    #expect(disk.powerCut(.nothingUnsynced).contents("/log/a") == [])
  }

  @Test func `a seeded power loss reaches every outcome and no other`() throws {
    let disk = try prepared(["/log/a": fill(0, 1024)])
    try disk.put(try disk.open("/log/a", .readWrite), fill(1, 1024), at: 0)
    let possible = Set((0..<4 as Range<UInt64>).compactMap { disk.powerCut(.subset($0)).contents("/log/a") })
    let seen = Set((0..<200 as Range<UInt64>).compactMap { disk.powerCut(.seeded($0)).contents("/log/a") })
    #expect(possible.count == 4)
    #expect(seen == possible)
    let torn = (0..<400 as Range<UInt64>).compactMap { disk.powerCut(.seeded($0, .tornSectors)).contents("/log/a") }
    // Within a sector the new bytes and the old ones, and never others.
    #expect(torn.contains { !possible.contains($0) } && torn.allSatisfy { $0.allSatisfy { $0 <= 1 } })
  }

  // MARK: - What a killed process leaves

  @Test func `after a kill everything written is there, still unsynced, and the lock is free`() throws {
    let (disk, file) = try SimulatedFileSystem.opened(fill(1, 512))
    #expect(try disk.lock(file))
    try disk.put(file, fill(2, 512), at: 0)
    let next = disk.processKill()
    #expect(next.contents("/log/a") == fill(2, 512))
    #expect(next.powerCut(.nothingUnsynced).contents("/log/a") == fill(1, 512))
    #expect(throws: FileSystemError.self) { try next.size(file) }
    #expect(try next.lock(try next.open("/log/a", .readWrite)))
    try next.put(try next.open("/log/a", .readWrite), fill(3, 512), at: 0)
    #expect(disk.contents("/log/a") == fill(2, 512))
  }

  // MARK: - Helpers

  private func fill(_ byte: UInt8, _ count: Int) -> [UInt8] { [UInt8](repeating: byte, count: count) }

  private func prepared(_ files: [String: [UInt8]]) throws -> SimulatedFileSystem { try .prepared(files) }
}

extension SimulatedFileSystem {
  /// A disk at rest with a durable directory `/log` and these files.
  static func prepared(_ files: [String: [UInt8]], seed: UInt64 = 0) throws -> SimulatedFileSystem {
    let disk = SimulatedFileSystem(seed: seed)
    try disk.makeDirectory("/log")
    try disk.synchronizeDirectory("/")
    for (path, bytes) in files.sorted(by: { $0.key < $1.key }) { disk.install(path, bytes) }
    return disk.powerCut(.nothingUnsynced)
  }

  /// Such a disk with one file, and the file, open.
  static func opened(_ bytes: [UInt8], seed: UInt64 = 0) throws -> (SimulatedFileSystem, OpenFileHandle) {
    let disk = try prepared(["/log/a": bytes], seed: seed)
    return (disk, try disk.open("/log/a", .readWrite))
  }

  func put(_ file: OpenFileHandle, _ bytes: [UInt8], at position: UInt64) throws {
    try bytes.withUnsafeBytes { try writeAll(file, $0, at: position) }
  }
}
