/// The two table files of small values and the file of their locks, as bytes and positions. It decides nothing.
///
/// The file of locks holds u64 number of allocations, which is never synced: it tells processes that run at the same
/// time that another has allocated. Position 0 is the allocation's lock; a name's lock is at `SlotName.lockPosition`.
/// The locks belong to this open file, so two values of this type exclude each other, in one process or in two.
///
/// Every method blocks the calling thread. One thread at a time.
final class SlotFiles {
  /// How long an allocation waits for another process' allocation: 10 s in all.
  static let attempts = 5_000
  static let pauseNanoseconds: Int64 = 2_000_000
  /// How often pages are dropped that another process writes at the same time.
  private static let drops = 8

  /// The position of the allocation's lock.
  static let allocation: UInt64 = 0

  private let fileSystem: any FileSystem
  private let paths: LogPaths
  private let locks: OpenFileHandle
  private let tables: [OpenFileHandle]

  /// Opens the files, and makes those that are missing, empty. Their names are durable then.
  init(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) {
    self.fileSystem = fileSystem
    self.paths = paths
    var opened: [OpenFileHandle] = []
    do throws(FileSystemError) {
      for path in [paths.slotLocks] + SlotPlaces.Size.allCases.map(paths.slots) {
        opened.append(try fileSystem.openOrCreate(path))
      }
      if try fileSystem.size(opened[0]) < 8 { try fileSystem.writeZeros(opened[0], 0..<8) }
      try fileSystem.synchronizeDirectory(paths.cursors)
    } catch {
      opened.forEach(fileSystem.close)
      throw LogError(error, while: "open the tables of cursors")
    }
    locks = opened[0]
    tables = Array(opened[1...])
  }

  deinit { ([locks] + tables).forEach(fileSystem.close) }

  // MARK: Locks

  /// False while another process has it.
  func lock(_ position: UInt64) throws(LogError) -> Bool {
    let isTaken: Bool
    do throws(FileSystemError) { isTaken = try fileSystem.lock(locks, position..<position + 1) } catch {
      throw LogError(error, while: "lock \(paths.slotLocks)")
    }
    if isTaken { try checkName(paths.slotLocks, locks) }
    return isTaken
  }

  func unlock(_ position: UInt64) {
    // Giving up a lock does not fail; if it did, the lock would end with the file.
    try? fileSystem.unlock(locks, position..<position + 1)
  }

  /// The number of allocations by all processes.
  func allocations() throws(LogError) -> UInt64 {
    do throws(FileSystemError) {
      let bytes = try fileSystem.readAll(locks, count: 8, at: 0)
      return bytes.count == 8 ? bytes.withUnsafeBytes { $0.get(UInt64.self, at: 0) } : 0
    } catch {
      throw LogError(error, while: "read \(paths.slotLocks)")
    }
  }

  func setAllocations(_ number: UInt64) throws(LogError) {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: number)
    do throws(FileSystemError) { try write(locks, bytes, at: 0) } catch {
      throw LogError(error, while: "write \(paths.slotLocks)")
    }
  }

  // MARK: Tables

  /// Makes everything that any process has written to a table durable, and drops what only memory holds.
  func synchronizeThenDropCache(_ size: SlotPlaces.Size) throws(LogError) {
    for attempt in 1... {
      do throws(FileSystemError) {
        _ = try fileSystem.synchronizeThenDropCache(tables[size.rawValue])
        return
      } catch {
        // A page may differ from the disk because another process is writing it at this moment.
        guard error.code == .staleCache, attempt < Self.drops else {
          throw LogError(error, while: "open \(paths.slots(size))")
        }
      }
    }
  }

  func write(_ write: SlotPlaces.Write, value: [UInt8]) throws(LogError) {
    let position = SlotImage.position(of: write.place, slot: write.slot)
    do throws(FileSystemError) {
      try self.write(tables[write.place.size.rawValue], SlotImage.encode(write, value: value), at: position)
    } catch {
      throw LogError(error, while: "write \(paths.slots(write.place.size))")
    }
  }

  /// Returns when what was written to a table is on stable storage, in the file that has the table's name. Throws
  /// `.poisoned` when that file, or the one of the locks, has lost its name.
  func synchronize(_ size: SlotPlaces.Size) throws(LogError) {
    do throws(FileSystemError) { try fileSystem.synchronize(tables[size.rawValue]) } catch {
      throw LogError(error, while: "write \(paths.slots(size))")
    }
    try checkName(paths.slots(size), tables[size.rawValue])
    try checkName(paths.slotLocks, locks)
  }

  /// Overwrites places, or adds them at the end, with zeros. They are durable after `synchronize`.
  func writeZeros(_ size: SlotPlaces.Size, _ places: Range<Int>) throws(LogError) {
    let bytes = UInt64(SlotImage.placeBytes(size))
    do throws(FileSystemError) {
      try fileSystem.writeZeros(
        tables[size.rawValue], UInt64(places.lowerBound) * bytes..<UInt64(places.upperBound) * bytes)
    } catch {
      throw LogError(error, while: "write \(paths.slots(size))")
    }
  }

  func read(_ place: SlotPlaces.Place) throws(LogError) -> SlotPlaceReading {
    try SlotReader(fileSystem, tables[place.size.rawValue], paths.slots(place.size), place.size).read(place)
  }

  func forEachPlace(
    _ size: SlotPlaces.Size, _ body: (SlotPlaces.Place, SlotPlaceReading) throws(LogError) -> Void
  ) throws(LogError) {
    try SlotReader(fileSystem, tables[size.rawValue], paths.slots(size), size).forEachPlace(body)
  }

  var locksPath: String { paths.slotLocks }

  var allocationIsLocked: LogError {
    LogError(
      .locked, "another process is changing the tables of cursors, and does not end",
      location: .init(path: paths.slotLocks))
  }

  func damage(_ place: SlotPlaces.Place) -> LogError {
    SlotReader.damage(place, paths.slots(place.size))
  }

  private func checkName(_ path: String, _ file: OpenFileHandle) throws(LogError) {
    let hasName: Bool
    do throws(FileSystemError) { hasName = try fileSystem.path(path, names: file) } catch {
      throw LogError(error, while: "find \(path)")
    }
    guard hasName else {
      throw LogError(
        .poisoned, "another program removed or replaced the file while it was in use; open it again",
        location: .init(path: path))
    }
  }

  private func write(_ file: OpenFileHandle, _ bytes: [UInt8], at position: UInt64) throws(FileSystemError) {
    var failure: FileSystemError?
    bytes.withUnsafeBytes { bytes in
      do throws(FileSystemError) { try fileSystem.writeAll(file, bytes, at: position) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
