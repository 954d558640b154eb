@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@Suite struct SlotFileTests {
  private static let path = "/d/value"
  private static let size = 1024

  private func disk() throws -> SimulatedFileSystem {
    let disk = SimulatedFileSystem()
    try disk.makeDirectory("/d")
    try disk.synchronizeDirectory("/")
    return disk
  }

  private func create(_ disk: SimulatedFileSystem, _ value: [UInt8]) throws(LogError) {
    try SlotFile.create(disk, Self.path, kind: 5, slotSize: Self.size, value: value)
  }

  private func open(_ disk: SimulatedFileSystem) throws -> (slots: SlotFile, value: [UInt8]) {
    try SlotFile.open(disk, Self.path, kind: 5, slotSize: Self.size)
  }

  /// A disk with a file of this value, and the file, open.
  private func made(_ value: [UInt8]) throws -> (SimulatedFileSystem, SlotFile) {
    let disk = try disk()
    try create(disk, value)
    return (disk, try open(disk).slots)
  }

  private func peek(_ disk: SimulatedFileSystem, kind: UInt16 = 5) throws(LogError) -> [UInt8] {
    try SlotFile.peek(disk, Self.path, kind: kind, slotSize: Self.size)
  }

  @Test func `a value is replaced, durably, in a file that never grows`() throws {
    let (disk, slots) = try made([1])
    for round in 2...9 as ClosedRange<UInt8> {
      let value = [UInt8](repeating: round, count: Int(round) * 100)
      try slots.write(value)
      #expect(try peek(disk) == value)
      #expect(try peek(disk.powerCut(.nothingUnsynced)) == value)
      #expect(disk.contents(Self.path)?.count == 2 * Self.size)
    }
    #expect(try open(disk).value == [UInt8](repeating: 9, count: 900))
  }

  @Test func `an empty value and one that fills the slot come back`() throws {
    let disk = try disk()
    try create(disk, [])
    #expect(try peek(disk) == [])
    let full = [UInt8](repeating: 7, count: Self.size - SlotFile.headerSize)
    try open(disk).slots.write(full)
    #expect(try peek(disk) == full)
  }

  @Test func `what is written is durable, also where a killed process left the name in memory alone`() throws {
    var opened = 0
    for io in 1...9 {
      let disk = try disk()
      disk.fail(atIO: disk.ioCount + io)
      try? create(disk, [1])
      let left = disk.processKill()
      guard let slots = try? open(left).slots else { continue }
      try slots.write([2])
      #expect(try peek(left.powerCut(.nothingUnsynced)) == [2])
      opened += 1
    }
    // At the sync of the directory, and where the creation was complete.
    #expect(opened >= 2)
  }

  @Test func `whatever becomes of a write under way, the value before or the value after is there`() throws {
    let (disk, slots) = try made([1, 1, 1])
    try slots.write([2, 2, 2])
    // The next write, stopped before its sync: every subset of its sectors.
    disk.fail(atIO: disk.ioCount + 2)
    let value = (0..<900).map { UInt8($0 % 251) }
    #expect(throws: LogError.self) { try slots.write(value) }
    let items = disk.unsyncedItemCount
    try #require(items > 0 && items < 8)
    var seen: Set<[UInt8]> = []
    for subset in 0..<(UInt64(1) << items) { seen.insert(try peek(disk.powerCut(.subset(subset)))) }
    for seed in 0..<200 as Range<UInt64> { seen.insert(try peek(disk.powerCut(.seeded(seed, .tornSectors)))) }
    #expect(seen == [[2, 2, 2], value])
  }

  @Test func `every damaged byte of the newer slot gives the older value, of the older slot the newer`() throws {
    let (disk, slots) = try made([1, 1])
    try slots.write([2, 2])
    for position in 0..<(2 * Self.size) {
      let damaged = disk.processKill()
      damaged.flipBit(Self.path, at: position, bit: position % 8)
      let slot = position / Self.size
      let isUsed = position % Self.size < SlotFile.headerSize + 2
      // Generation 2 lies in slot 0.
      let expected: [UInt8] = slot == 0 && isUsed ? [1, 1] : [2, 2]
      if try peek(damaged) != expected { Issue.record("byte \(position)") }
    }
  }

  @Test func `two damaged slots, another kind and an empty file are refused`() throws {
    let (disk, slots) = try made([1])
    try slots.write([2])
    #expect(code { try peek(disk, kind: 6) } == .damaged)
    disk.flipBit(Self.path, at: 30, bit: 0)
    disk.flipBit(Self.path, at: Self.size + 20, bit: 0)
    // Byte 30 lies behind the value of slot 0.
    #expect(try peek(disk) == [2])
    disk.flipBit(Self.path, at: 24, bit: 0)
    #expect(code { try peek(disk) } == .damaged)
    #expect(code { try open(disk) } == .damaged)
    disk.install(Self.path, [])
    #expect(code { try peek(disk) } == .damaged)
  }

  @Test func `a failed sync poisons, and a later opening finds a whole value`() throws {
    for effect in [FaultEffect.nothing, .partial, .complete, .pagesReverted] {
      let (disk, slots) = try made([1])
      disk.fail(atIO: disk.ioCount + 2, effect: effect)
      #expect(code { try slots.write([2]) } == .io)
      #expect(code { try slots.write([3]) } == .poisoned)
      let value = try open(disk).value
      #expect(value == [1] || value == [2])
      // What an opening returned is acted on; it must not be gone after a power cut.
      #expect(try peek(disk.powerCut(.nothingUnsynced)) == value, "\(effect)")
    }
  }

  @Test func `a value that a failed sync left in memory alone is not trusted`() throws {
    let (disk, slots) = try made([1])
    disk.fail(atIO: disk.ioCount + 2, effect: .pagesLost)
    #expect(throws: LogError.self) { try slots.write([2]) }
    // Memory shows the value that the disk never got.
    #expect(try peek(disk) == [2])
    let opened = try open(disk)
    #expect(opened.value == [1])
    try opened.slots.write([3])
    #expect(try peek(disk.powerCut(.nothingUnsynced)) == [3])
  }

  @Test func `pages that differ from the disk and stay are no value`() throws {
    let disk = try disk()
    try create(disk, [1])
    disk.cacheDropping = .fails
    let error = #expect(throws: LogError.self) { try open(disk) }
    #expect(error?.code == .io)
    #expect(error?.description.contains("restart the machine") == true)
  }

  @Test func `a crash at every I/O of a creation leaves no file or a whole one, and creating again works`() throws {
    let quiet = try disk()
    let before = quiet.ioCount
    try create(quiet, [9])
    let after = quiet.ioCount
    var kinds: Set<Bool> = []
    for number in (before + 1)...after {
      for effect in [FaultEffect.nothing, .partial, .complete] {
        let disk = try disk()
        disk.crash(atIO: number, effect: effect)
        #expect(throws: LogError.self) { try create(disk, [9]) }
        for seed in 0..<24 as Range<UInt64> {
          let found = disk.powerCut(.seeded(seed, [.tornSectors, .unorderedDirectories]))
          let isThere = found.contents(Self.path) != nil
          kinds.insert(isThere)
          if isThere {
            #expect(try peek(found) == [9], "I/O \(number), seed \(seed)")
          } else {
            try create(found, [8])
            #expect(try peek(found.powerCut(.nothingUnsynced)) == [8])
          }
        }
      }
    }
    #expect(kinds == [true, false])
  }

  @Test func `a write that finds no room leaves the value before, and the next one works`() throws {
    for effect in [FaultEffect.nothing, .partial] {
      let (disk, slots) = try made([1, 1])
      try slots.write([2, 2])
      for _ in 0..<2 {
        disk.fail(atIO: disk.ioCount + 1, .noSpace, effect: effect)
        #expect(code { try slots.write([3, 3]) } == .noSpace)
        // Of a write in part nothing may be believed, and the value is so small that all of it may be there.
        let found = try peek(disk)
        #expect(found == [2, 2] || (effect == .partial && found == [3, 3]))
      }
      try slots.write([4, 4])
      #expect(try peek(disk.powerCut(.nothingUnsynced)) == [4, 4])
    }
    // A sync that reports a full disk is a failed sync: the content of the slot is not known.
    let (disk, slots) = try made([1])
    disk.fail(atIO: disk.ioCount + 2, .noSpace)
    #expect(code { try slots.write([2]) } == .noSpace)
    #expect(code { try slots.write([2]) } == .poisoned)
  }

  @Test func `a look that meets both slots while they are written looks again`() throws {
    let (disk, slots) = try made([1])
    try slots.write([2])
    @Sendable func tear() { for slot in 0..<2 { disk.flipBit(Self.path, at: slot * Self.size + 24, bit: 0) } }
    tear()
    let gated = GatedFileSystem(disk)
    gated.beforeRead.withLock { $0 = { if gated.reads.count == 3 { tear() } } }
    #expect(try SlotFile.peek(gated, Self.path, kind: 5, slotSize: Self.size) == [2])
    // What stays so is damage, and it is reported.
    tear()
    gated.beforeRead.withLock { $0 = nil }
    let before = gated.reads.count
    #expect(code { try SlotFile.peek(gated, Self.path, kind: 5, slotSize: Self.size) } == .damaged)
    #expect(gated.reads.count - before < 20)
  }

  @Test func `a creation that finds no room gives back what it took`() throws {
    let disk = try disk()
    disk.capacityBytes = Self.size
    #expect(code { try create(disk, [1]) } == .noSpace)
    #expect(disk.filePaths.isEmpty && disk.openHandleCount == 0)
  }

  @Test func `no handle is left open`() throws {
    let disk = try disk()
    try create(disk, [1])
    _ = try peek(disk)
    _ = try open(disk)
    disk.install(Self.path, [])
    _ = try? open(disk)
    _ = try? peek(disk)
    #expect(disk.openHandleCount == 0)
  }
}
