import PenstockLog

// The verbs of a file system, with their faults. `SimulatedFileSystem` calls them under its lock.
extension SimulatedDisk {
  /// EBADF and EINVAL, equal on all our platforms.
  private static let badHandle = FileSystemError.Code.other(errno: 9)
  private static let badArgument = FileSystemError.Code.other(errno: 22)

  /// Runs a verb on a machine that is up, and notes in the trace what came of it.
  private mutating func run(
    _ verb: Verb, _ path: String, _ position: UInt64 = 0, _ length: UInt64 = 0,
    _ body: (inout SimulatedDisk) throws(FileSystemError) -> UInt64
  ) throws(FileSystemError) -> UInt64 {
    guard !isDown else { throw verb.error(.inputOutput, path) }
    let before = ioCount
    defer { if kept != nil, ioCount != before { keep() } }
    do {
      let value = try body(&self)
      record(verb, path, position, length, .success(value))
      return value
    } catch {
      record(verb, path, position, length, .failure(error))
      throw error
    }
  }

  /// Counts an I/O and carries it out as the fault plan says. `change` gets how much of it happens.
  private mutating func io(
    _ verb: Verb, _ path: String,
    _ change: (inout SimulatedDisk, FaultEffect) throws(FileSystemError) -> UInt64
  ) throws(FileSystemError) -> UInt64 {
    ioCount += 1
    lastIO = (verb, path)
    switch plan.fault(at: ioCount) {
    case nil, .misdirection: return try change(&self, .complete)
    case .pretence: return try change(&self, .nothing)
    case .error(let code, let effect):
      // The ordered error is the one to be seen, even where the verb would have failed of itself.
      _ = try? change(&self, effect)
      throw verb.error(code, path)
    case .crash(let effect):
      _ = try? change(&self, effect ?? [.nothing, .partial, .complete][random.below(3)])
      isDown = true
      throw verb.error(.inputOutput, path)
    }
  }

  private mutating func keep() {
    var copy = self
    copy.kept = nil
    kept?.append(copy)
  }

  /// An I/O that happens or does not.
  private mutating func indivisible(
    _ verb: Verb, _ path: String, _ change: (inout SimulatedDisk) throws(FileSystemError) -> UInt64
  ) throws(FileSystemError) -> UInt64 {
    try io(verb, path) { (disk, effect) throws(FileSystemError) in
      let happens = effect == .partial ? disk.random.chance(128) : effect == .complete
      return happens ? try change(&disk) : 0
    }
  }

  private func opened(_ handle: OpenFileHandle, _ verb: Verb, writing: Bool = false) throws(FileSystemError) -> OpenFile
  {
    guard let open = handles[handle.rawValue] else {
      throw verb.error(isDown ? .inputOutput : Self.badHandle, "descriptor \(handle.rawValue)")
    }
    if writing && open.mode == .readOnly { throw verb.error(Self.badHandle, open.path) }
    return open
  }

  private func position(_ position: UInt64, _ verb: Verb, _ path: String) throws(FileSystemError) -> Int {
    guard let result = Int(exactly: position) else { throw verb.error(Self.badArgument, path) }
    return result
  }

  // MARK: - Handles

  mutating func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
    let raw = try run(mode == .create ? .create : .open, path) { (disk) throws(FileSystemError) in
      let file = mode == .create ? try disk.create(path) : try disk.find(path)
      defer { disk.nextHandle += 1 }
      disk.handles[disk.nextHandle] = OpenFile(file: file, mode: mode, path: path)
      return UInt64(disk.nextHandle)
    }
    return OpenFileHandle(rawValue: Int32(raw))
  }

  private func find(_ path: String) throws(FileSystemError) -> Int {
    switch try locate(path, .open).entry {
    case .file(let file): return file
    case .directory: throw Verb.open.error(.isADirectory, path)
    case nil: throw Verb.open.error(.notFound, path)
    }
  }

  private mutating func create(_ path: String) throws(FileSystemError) -> Int {
    let place = try locate(path, .create)
    guard place.entry == nil else { throw Verb.create.error(.exists, path) }
    // A disk cannot pretend to have created a file: the caller would hold a handle of nothing.
    if case .pretence = plan.fault(at: ioCount + 1) { plan.atIO[ioCount + 1] = nil }
    return Int(
      try indivisible(.create, path) { (disk) throws(FileSystemError) in
        let file = disk.nextNode
        disk.nextNode += 1
        disk.files[file] = SimulatedFile()
        disk.directories[place.directory]?.add(place.name, .file(file))
        return UInt64(file)
      })
  }

  mutating func close(_ handle: OpenFileHandle) {
    guard !isDown, let open = handles.removeValue(forKey: handle.rawValue) else { return }
    locks[open.file]?.release(handle.rawValue, FileLocks.everything)
    record(.close, open.path, 0, 0, .success(0))
  }

  /// The whole file without a range.
  mutating func lock(_ handle: OpenFileHandle, _ range: Range<UInt64>? = nil) throws(FileSystemError) -> Bool {
    let open = try opened(handle, .lock)
    return try run(.lock, open.path, range?.lowerBound ?? 0, range.map(\.length) ?? 0) {
      (disk) throws(FileSystemError) in
      guard open.mode != .readOnly else { throw Verb.lock.error(.notSupported, open.path) }
      if let range, !FileLocks.isLockable(range) { throw Verb.lock.error(Self.badArgument, open.path) }
      return disk.locks[open.file, default: FileLocks()].take(handle.rawValue, range ?? FileLocks.everything) ? 1 : 0
    } == 1
  }

  mutating func unlock(_ handle: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) {
    let open = try opened(handle, .unlock)
    _ = try run(.unlock, open.path, range.lowerBound, range.length) { (disk) throws(FileSystemError) in
      guard FileLocks.isLockable(range) else { throw Verb.unlock.error(Self.badArgument, open.path) }
      disk.locks[open.file]?.release(handle.rawValue, range)
      return 0
    }
  }

  mutating func path(_ path: String, names handle: OpenFileHandle) throws(FileSystemError) -> Bool {
    let open = try opened(handle, .path)
    return try run(.path, path) { (disk) throws(FileSystemError) in
      do throws(FileSystemError) {
        return try disk.locate(path, .path).entry == .file(open.file) ? 1 : 0
      } catch {
        guard error.code == .notFound || error.code == .notADirectory else { throw error }
        return 0
      }
    } == 1
  }

  // MARK: - Bytes

  mutating func read(_ handle: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    let open = try opened(handle, .read)
    return Int(
      try run(.read, open.path, position, UInt64(buffer.count)) { (disk) throws(FileSystemError) in
        if buffer.isEmpty { return 0 }
        let start = try disk.position(position, .read, open.path)
        let length = try disk.transferable(buffer.count, .read, open.path)
        disk.readCount += 1
        if let code = disk.plan.atRead[disk.readCount] { throw Verb.read.error(code, open.path) }
        guard let file = disk.files[open.file] else { return 0 }
        let end = min(start.addingReportingOverflow(length).partialValue, file.content.count)
        if start < end, file.isUnreadable(start..<end) { throw Verb.read.error(.inputOutput, open.path) }
        let count = file.content.copy(to: UnsafeMutableRawBufferPointer(rebasing: buffer[..<length]), from: start)
        disk.readBytes += count
        return UInt64(count)
      })
  }

  mutating func write(_ handle: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    let open = try opened(handle, .write, writing: true)
    return Int(
      try run(.write, open.path, position, UInt64(bytes.count)) { (disk) throws(FileSystemError) in
        if bytes.isEmpty { return 0 }
        let start = try disk.position(position, .write, open.path)
        let length = try disk.transferable(bytes.count, .write, open.path)
        disk.hash.mix(bytes)
        return try disk.io(.write, open.path) { (disk, effect) throws(FileSystemError) in
          let fitting = try disk.fitting(open, start, length)
          var target = start
          if case .misdirection(let elsewhere)? = disk.plan.fault(at: disk.ioCount) { target = Int(elsewhere) }
          if let lie = disk.plan.lie(to: open.path) {
            guard let elsewhere = lie.elsewhere else { return UInt64(fitting) }
            target = elsewhere
          }
          disk.put(UnsafeRawBufferPointer(rebasing: bytes[..<fitting]), at: target, in: open.file, effect)
          return UInt64(fitting)
        }
      })
  }

  /// How much of a transfer this call does.
  private mutating func transferable(_ count: Int, _ verb: Verb, _ path: String) throws(FileSystemError) -> Int {
    if plan.interruptions > 0, random.next() >> 48 < plan.interruptions { throw verb.error(.interrupted, path) }
    if plan.shortTransfers > 0, random.next() >> 48 < plan.shortTransfers { return 1 + random.below(count) }
    return count
  }

  /// How much of a write there is space for; like a kernel, writes what fits before it reports a full disk.
  private func fitting(_ open: OpenFile, _ start: Int, _ length: Int) throws(FileSystemError) -> Int {
    guard start <= Self.largestFile - length else { throw Verb.write.error(.other(errno: 27), open.path) }
    let end = allowedSize(of: open.file, growingTo: start + length)
    guard end > start else { throw Verb.write.error(.noSpace, open.path) }
    return end - start
  }

  private mutating func put(_ bytes: UnsafeRawBufferPointer, at start: Int, in file: Int, _ effect: FaultEffect) {
    switch effect {
    case .complete: files[file]?.write(bytes, at: start)
    case .nothing, .pagesLost, .pagesReverted: break
    case .partial:
      let size = ByteImage.sectorSize
      var position = start
      while position < start + bytes.count {
        let end = min((position / size + 1) * size, start + bytes.count)
        if random.chance(128) {
          files[file]?.write(UnsafeRawBufferPointer(rebasing: bytes[position - start..<end - start]), at: position)
        }
        position = end
      }
    }
  }

  mutating func size(_ handle: OpenFileHandle) throws(FileSystemError) -> UInt64 {
    let open = try opened(handle, .size)
    return try run(.size, open.path) { (disk) throws(FileSystemError) in
      UInt64(disk.files[open.file]?.content.count ?? 0)
    }
  }

  mutating func truncate(_ handle: OpenFileHandle, to size: UInt64) throws(FileSystemError) {
    let open = try opened(handle, .truncate)
    _ = try run(.truncate, open.path, 0, size) { (disk) throws(FileSystemError) in
      guard open.mode != .readOnly else { throw Verb.truncate.error(Self.badArgument, open.path) }
      let end = try disk.position(size, .truncate, open.path)
      guard end <= Self.largestFile else { throw Verb.truncate.error(.other(errno: 27), open.path) }
      return try disk.indivisible(.truncate, open.path) { (disk) throws(FileSystemError) in
        guard disk.allowedSize(of: open.file, growingTo: end) == end else {
          throw Verb.truncate.error(.noSpace, open.path)
        }
        disk.files[open.file]?.truncate(to: end)
        return 0
      }
    }
  }

  mutating func synchronize(_ handle: OpenFileHandle) throws(FileSystemError) {
    let open = try opened(handle, .synchronize)
    _ = try run(.synchronize, open.path) { (disk) throws(FileSystemError) in
      try disk.io(.synchronize, open.path) { (disk, effect) throws(FileSystemError) in
        var random = disk.random
        disk.files[open.file]?.failToSynchronize(effect) { random.below($0 + 1) }
        disk.random = random
        return 0
      }
    }
  }

  mutating func dropCache(_ handle: OpenFileHandle) throws(FileSystemError) -> Bool {
    let open = try opened(handle, .dropCache)
    return try run(.dropCache, open.path) { (disk) throws(FileSystemError) in
      switch disk.cacheDropping {
      case .works: disk.files[open.file]?.dropCache()
      case .isNotProven: return 0
      case .fails: throw Verb.dropCache.error(.staleCache, open.path)
      }
      return 1
    } == 1
  }

  // MARK: - Names

  mutating func rename(_ path: String, to newPath: String) throws(FileSystemError) {
    _ = try run(.rename, path + " -> " + newPath) { (disk) throws(FileSystemError) in
      let from = try disk.locate(path, .rename)
      guard from.entry != nil else { throw Verb.rename.error(.notFound, path) }
      let to = try disk.locate(newPath, .rename)
      guard to.entry == nil else { throw Verb.rename.error(.exists, newPath) }
      guard from.directory == to.directory else { throw Verb.rename.error(.notSupported, newPath) }
      return try disk.indivisible(.rename, path) { (disk) throws(FileSystemError) in
        disk.directories[from.directory]?.rename(from.name, to: to.name)
        return 0
      }
    }
  }

  mutating func replace(_ path: String, with newer: String) throws(FileSystemError) {
    _ = try run(.replace, newer + " over " + path) { (disk) throws(FileSystemError) in
      let from = try disk.locate(newer, .replace)
      let to = try disk.locate(path, .replace)
      for (place, name) in [(from, newer), (to, path)] {
        switch place.entry {
        case .file: break
        case .directory: throw Verb.replace.error(.isADirectory, name)
        case nil: throw Verb.replace.error(.notFound, name)
        }
      }
      guard from.directory == to.directory else { throw Verb.replace.error(.notSupported, path) }
      return try disk.indivisible(.replace, path) { (disk) throws(FileSystemError) in
        // Two names of one file, or one name twice: nothing to do, as for a kernel.
        if from.entry != to.entry { disk.directories[from.directory]?.rename(from.name, to: to.name) }
        disk.collectGarbage()
        return 0
      }
    }
  }

  mutating func remove(_ path: String) throws(FileSystemError) {
    _ = try run(.remove, path) { (disk) throws(FileSystemError) in
      let place = try disk.locate(path, .remove)
      guard let entry = place.entry else { throw Verb.remove.error(.notFound, path) }
      guard case .file = entry else { throw Verb.remove.error(.isADirectory, path) }
      return try disk.indivisible(.remove, path) { (disk) throws(FileSystemError) in
        disk.directories[place.directory]?.remove(place.name)
        return 0
      }
    }
  }

  mutating func list(_ path: String) throws(FileSystemError) -> [String] {
    var names: [String] = []
    _ = try run(.list, path) { (disk) throws(FileSystemError) in
      let directory = try disk.directory(path, .list)
      names = disk.directories[directory]?.entries.keys.sorted() ?? []
      return UInt64(names.count)
    }
    // In no order, as promised; but in the same no order each time.
    for index in names.indices.reversed() { names.swapAt(index, random.below(index + 1)) }
    for name in names { hash.mix(name) }
    return names
  }

  mutating func makeDirectory(_ path: String) throws(FileSystemError) {
    _ = try run(.makeDirectory, path) { (disk) throws(FileSystemError) in
      let place = try disk.locate(path, .makeDirectory)
      guard place.entry == nil else { throw Verb.makeDirectory.error(.exists, path) }
      return try disk.indivisible(.makeDirectory, path) { (disk) throws(FileSystemError) in
        let directory = disk.nextNode
        disk.nextNode += 1
        disk.directories[directory] = SimulatedDirectory()
        disk.directories[place.directory]?.add(place.name, .directory(directory))
        return 0
      }
    }
  }

  mutating func synchronizeDirectory(_ path: String) throws(FileSystemError) {
    _ = try run(.synchronizeDirectory, path) { (disk) throws(FileSystemError) in
      let directory = try disk.directory(path, .synchronizeDirectory)
      return try disk.io(.synchronizeDirectory, path) { (disk, effect) throws(FileSystemError) in
        let count = disk.directories[directory]?.unsyncedItemCount ?? 0
        switch effect {
        case .nothing: break
        case .partial: disk.directories[directory]?.synchronize(first: disk.random.below(count + 1))
        case .complete: disk.directories[directory]?.synchronize()
        case .pagesLost, .pagesReverted:
          // Names are in the journal: a file system that cannot write it stops, and shows what is durable after a
          // restart.
          disk.directories[directory]?.dropUnsynced()
        }
        disk.collectGarbage()
        return 0
      }
    }
  }
}
