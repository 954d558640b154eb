@testable import PenstockLog
import PenstockTestKit
import Testing

/// The table files of small values, by one process and by two.
@Suite struct SlotTableTests {
  private let paths = TestLog.paths

  private func table(_ disk: any FileSystem, position: (@Sendable (SlotName) -> UInt64)? = nil) throws(LogError)
    -> SlotTable
  {
    try SlotTable(disk, paths, clock: Impatience(), position: position ?? { $0.lockPosition })
  }

  private struct Impatience: MonotonicClock {
    func now() -> Int64 { 0 }
    func sleep(nanoseconds: Int64) {}
  }

  /// What came of each move or hold, in a word.
  private func told(_ results: [Result<UInt64, SlotRefusal>]) -> [String] { results.map(told) }

  private func told<Value>(_ result: Result<Value, SlotRefusal>) -> String {
    switch result {
    case .success(let value): "\((value as? SlotValue).map { $0.revision } ?? value as? UInt64 ?? 0)"
    case .failure(.held): "held"
    case .failure(.conflict(let present)): "at \(present ?? 0)"
    case .failure(.failed(let error)): "\(error.code)"
    }
  }

  private func found(_ disk: SimulatedFileSystem, _ name: SlotName = "a") throws -> [UInt8]? {
    try SlotSurvey(disk, paths).values[name]?.get().bytes
  }

  private let long = [UInt8](repeating: 8, count: 5_000)

  @Test func `what is written is durable, and the next holder finds it`() throws {
    let disk = try logDirectory()
    var first: SlotTable? = try table(disk)
    #expect(first?.hold(["a", "b"]).map(told) == ["0", "0"])
    #expect(told(first?.write([.put("a", [1], after: nil), .put("b", [2], after: nil)]) ?? []) == ["1", "1"])
    #expect(told(first?.write([.put("a", [3], after: 1)]) ?? []) == ["2"])
    #expect(try found(disk.powerCut(.nothingUnsynced)) == [3])
    let second = try table(disk)
    #expect(second.hold(["a", "b"]).map(told) == ["held", "held"])
    first?.release("b")
    #expect(try second.hold(["b"])[0].get() == SlotValue(revision: 1, bytes: [2]))
    first = nil
    #expect(try second.hold(["a"])[0].get() == SlotValue(revision: 2, bytes: [3]))
    #expect(told(second.write([.remove("a", after: 2)])) == ["2"])
    #expect(try found(disk.powerCut(.nothingUnsynced)) == nil && found(disk, "b") == [2])
  }

  @Test func `a group is one write for each value and one sync for each table, in place`() throws {
    let disk = try logDirectory()
    let table = try table(disk)
    let names = (0..<12).map { SlotName(.cursor, "n\($0)") }
    _ = table.hold(names)
    _ = table.write(names.map { .put($0, [0], after: nil) } + [])
    let before = disk.ioCount
    #expect(Set(told(table.write(names.map { .put($0, [1], after: 1) }))) == ["2"])
    #expect(disk.ioCount - before == 12 + 1)
    // The first of them outgrows its place.
    _ = table.write([.put(names[0], long, after: 2)])
    let between = disk.ioCount
    #expect(Set(told(table.write(names.enumerated().map { .put($1, [2], after: $0 == 0 ? 3 : 2) }))) == ["3", "4"])
    #expect(disk.ioCount - between == 12 + 2)
  }

  @Test func `a refused move affects no other, and writes nothing`() throws {
    let disk = try logDirectory()
    let table = try table(disk)
    _ = table.hold(["a", "b", "c"])
    _ = table.write([.put("a", [1], after: nil), .put("b", [1], after: nil)])
    let moves: [SlotMove] = [.put("a", [2], after: 7), .put("b", [2], after: 1), .put("c", [2], after: 1)]
    #expect(told(table.write(moves)) == ["at 1", "2", "at 0"])
    #expect(told(table.write([.remove("a", after: 9), .put("c", [3], after: nil)])) == ["at 1", "1"])
    #expect(try found(disk) == [1] && found(disk, "b") == [2] && found(disk, "c") == [3])
  }

  @Test func `a value that outgrew its place stays in the large table, and both processes find it`() throws {
    let disk = try logDirectory()
    let (first, second) = (try table(disk), try table(disk))
    _ = first.hold(["a"])
    _ = first.write([.put("a", [1], after: nil)])
    _ = first.write([.put("a", long, after: 1)])
    _ = first.write([.put("a", [3], after: 2)])
    #expect(first.places.place(of: "a")?.size == .large)
    first.release("a")
    #expect(try second.hold(["a"])[0].get() == SlotValue(revision: 3, bytes: [3]))
    _ = second.hold(["b"])
    #expect(told(second.write([.put("b", [1], after: nil), .put("a", [4], after: 3)])) == ["1", "4"])
    // The place that it left was marked with that allocation, and is used again.
    _ = second.hold(["c"])
    #expect(told(second.write([.put("c", [1], after: nil)])) == ["1"])
    #expect(second.places.place(of: "c") == SlotPlaces.Place(size: .small, index: 0))
    #expect(try found(disk) == [4])
  }

  @Test func `on a full disk values move, and only a new one or one that outgrows its place fails`() throws {
    let disk = try logDirectory()
    let table = try table(disk)
    _ = table.hold(["a", "b"])
    _ = table.write([.put("a", [1], after: nil)])
    disk.capacityBytes = 0
    #expect(told(table.write([.put("a", [2], after: 1)])) == ["2"])
    #expect(told(table.write([.put("a", long, after: 2)])) == ["noSpace"])
    #expect(told(table.write([.put("a", [3], after: 2), .put("b", [1], after: nil)])) == ["3", "1"])
    let names = (0..<20).map { SlotName(.cursor, "n\($0)") }
    _ = table.hold(names)
    let results = Set(told(table.write(names.map { .put($0, [1], after: nil) })))
    #expect(results == ["1", "noSpace"])
    disk.capacityBytes = nil
    #expect(told(table.write([.put("a", long, after: 3)])) == ["4"])
    #expect(try found(disk.powerCut(.nothingUnsynced)) == long)
  }

  @Test func `a new place that finds no space may hold the value, so its name waits for the next holder`() throws {
    for effect in [FaultEffect.nothing, .partial, .complete] {
      for isNew in [false, true] {
        let disk = try logDirectory()
        let table = try table(disk)
        _ = table.hold(["a", "b"])
        _ = table.write([.put("b", long, after: nil)])
        if !isNew { _ = table.write([.put("a", [1], after: nil)]) }
        // The number of allocations is written first.
        disk.fail(atIO: disk.ioCount + 2, .noSpace, effect: effect)
        #expect(told(table.write([.put("a", long, after: isNew ? nil : 1)])) == ["noSpace"])
        #expect(
          told(table.write([.put("a", [2], after: isNew ? nil : 1), .put("b", [2], after: 1)])) == ["poisoned", "2"])
        table.release("a")
        let value = try table.hold(["a"])[0].get()
        #expect(value?.bytes == long || value?.bytes == (isNew ? nil : [1]))
        #expect(try found(disk.powerCut(.nothingUnsynced)) == value?.bytes)
        #expect(told(table.write([.put("a", [3], after: value?.revision)])) == ["\((value?.revision ?? 0) + 1)"])
        #expect(
          told(table.write([.remove("a", after: (value?.revision ?? 0) + 1)])) == ["\((value?.revision ?? 0) + 1)"])
        #expect(try found(disk.powerCut(.everything)) == nil, "\(effect)")
      }
    }
  }

  @Test func `a failed sync ends all moves of its table in this process, and a new opening reads the disk`() throws {
    for effect in [FaultEffect.nothing, .partial, .complete, .pagesLost, .pagesReverted] {
      let disk = try logDirectory()
      var table: SlotTable? = try table(disk)
      _ = table?.hold(["a", "b", "big"])
      _ = table?.write([.put("a", [1], after: nil), .put("b", [1], after: nil), .put("big", long, after: nil)])
      disk.fail(atIO: disk.ioCount + 2, effect: effect)
      #expect(told(table?.write([.put("a", [2], after: 1)]) ?? []) == ["io"])
      let moves: [SlotMove] = [.put("a", [3], after: 1), .put("b", [3], after: 1), .put("big", [3], after: 1)]
      #expect(told(table?.write(moves) ?? []) == ["poisoned", "poisoned", "2"])
      #expect(table?.hold(["c"]).map(told) == ["poisoned"])
      table = nil
      let again = try self.table(disk)
      let value = try #require(try again.hold(["a"])[0].get())
      #expect(value.bytes == [1] || value.bytes == [2])
      #expect(try found(disk.powerCut(.nothingUnsynced)) == value.bytes, "\(effect)")
      #expect(told(again.write([.put("a", [4], after: value.revision)])) == ["\(value.revision + 1)"])
      #expect(try found(disk.powerCut(.nothingUnsynced)) == [4])
    }
  }

  @Test func `what a failed sync has left in memory is not trusted by a process that has the tables open`() throws {
    let disk = try logDirectory()
    let (first, second) = (try table(disk), try table(disk))
    _ = first.hold(["a"])
    _ = first.write([.put("a", [1], after: nil)])
    _ = second.hold(["b"])
    disk.fail(atIO: disk.ioCount + 2, effect: .pagesLost)
    _ = first.write([.put("a", [2], after: 1)])
    first.release("a")
    #expect(try second.hold(["a"])[0].get()?.bytes == [1])
  }

  @Test func `two names of one position exclude only the other process`() throws {
    let disk = try logDirectory()
    let (first, second) = (try table(disk) { _ in 1 << 62 }, try table(disk) { _ in 1 << 62 })
    #expect(first.hold(["a", "b"]).map(told) == ["0", "0"])
    #expect(first.hold(["a"]).map(told) == ["held"])
    #expect(told(first.write([.put("a", [1], after: nil), .put("b", [1], after: nil)])) == ["1", "1"])
    #expect(second.hold(["b"]).map(told) == ["held"])
    first.release("a")
    #expect(second.hold(["a"]).map(told) == ["held"])
    first.release("b")
    #expect(second.hold(["a", "b"]).map(told) == ["1", "1"])
  }

  /// Flips a bit of the value in both slots of a place, and with `heads` also one of each head.
  private func damage(_ disk: SimulatedFileSystem, place: Int, heads: Bool) {
    for slot in 0..<2 {
      let start = (place * 2 + slot) * (4 << 10)
      #expect(disk.flipBit(paths.slots(.small), at: start + SlotImage.headSize, bit: 3))
      if heads { #expect(disk.flipBit(paths.slots(.small), at: start + 40, bit: 3)) }
    }
  }

  @Test func `a damaged value is named, hides no other, and does not begin anew`() throws {
    for hasHead in [true, false] {
      let disk = try logDirectory()
      var table: SlotTable? = try table(disk)
      _ = table?.hold(["a", "b"])
      for revision in 0..<2 as Range<UInt64> {
        let after = revision == 0 ? nil : revision
        _ = table?.write([.put("a", [1], after: after), .put("b", [1], after: after)])
      }
      damage(disk, place: 0, heads: !hasHead)
      table = nil
      let again = try self.table(disk)
      #expect(again.hold(["a", "b", "new"]).map(told) == ["damaged", "2", hasHead ? "0" : "damaged"])
      // A damaged place is never used.
      let name: SlotName = hasHead ? "new" : "b"
      #expect(told(again.write([.put(name, [7], after: hasHead ? nil : 2)])) == [hasHead ? "1" : "3"])
      let survey = try SlotSurvey(disk, paths)
      #expect(survey.unnamed.count == (hasHead ? 0 : 1))
      if hasHead { #expect(code { try survey.values["a"]?.get() } == .damaged) }
      #expect(try survey.values["b"]?.get().bytes == (hasHead ? [1] : [7]))
    }
  }

  @Test func `a page that cannot be read hides its own value only`() throws {
    let disk = try logDirectory()
    var table: SlotTable? = try table(disk)
    _ = table?.hold(["a", "b"])
    _ = table?.write([.put("a", [1], after: nil), .put("b", [1], after: nil)])
    _ = table?.write([.put("a", [2], after: 1)])
    #expect(disk.makeUnreadable(paths.slots(.small), at: 0))
    table = nil
    #expect(try self.table(disk).hold(["a", "b"]).map(told) == ["damaged", "1"])
  }

  @Test func `a slot of a later version keeps the tables closed`() throws {
    let disk = try logDirectory()
    let table = try table(disk)
    _ = table.hold(["a"])
    _ = table.write([.put("a", [1], after: nil)])
    var head = Array(try #require(disk.contents(paths.slots(.small)))[4096..<(4096 + 124)])
    head[4] = 2
    head.append(littleEndian: Checksum.of(head, seed: 1))
    #expect(disk.overwrite(paths.slots(.small), at: 4096, head))
    #expect(code { try self.table(disk) } == .futureFormat)
    #expect(code { try SlotSurvey(disk, paths) } == .futureFormat)
  }

  @Test func `tables or locks that are removed or replaced from outside are moved no more`() throws {
    for path in [paths.slots(.small), paths.slotLocks] {
      for isReplaced in [false, true] {
        let disk = try logDirectory()
        let table = try table(disk)
        _ = table.hold(["a"])
        _ = table.write([.put("a", [1], after: nil)])
        let bytes = try #require(disk.contents(path))
        try disk.remove(path)
        if isReplaced { disk.install(path, bytes) }
        if path == paths.slotLocks { #expect(table.hold(["b"]).map(told) == ["poisoned"]) }
        #expect(told(table.write([.put("a", [2], after: 1)])) == ["poisoned"])
      }
    }
  }

  @Test func `while another process allocates, values still move in their places`() throws {
    let disk = try logDirectory()
    let table = try table(disk)
    _ = table.hold(["a", "b"])
    _ = table.write([.put("a", [1], after: nil)])
    let other = try disk.open(paths.slotLocks, .readWrite)
    #expect(try disk.lock(other, SlotFiles.allocation..<SlotFiles.allocation + 1))
    #expect(told(table.write([.put("a", [2], after: 1), .put("b", [1], after: nil)])) == ["2", "locked"])
    disk.close(other)
    #expect(told(table.write([.put("b", [1], after: nil)])) == ["1"])
  }

  @Test func `a log without tables has no values`() throws {
    let survey = try SlotSurvey(try logDirectory(), paths)
    #expect(survey.values.isEmpty && survey.unnamed.isEmpty)
  }
}
