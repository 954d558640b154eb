/// A small durable value that is replaced whole: a file of two slots, written in turn.
///
/// A write touches only the slot that does not hold the newest value. So a crash at any moment leaves the value before
/// or the value after. The file never grows: replacing the value works on a full disk.
///
/// Slot, little endian: u32 "PNSL" · u16 version 1 · u16 kind · u64 generation · u32 length · u32 CRC-32C of the 20
/// bytes before and the value, seeded with the kind · the value · zeros. Slot n begins at n × slotSize.
///
/// The owner uses it from one thread at a time. Every method blocks the calling thread.
package final class SlotFile {
  static let headerSize = 24
  private static let magic: UInt32 = 0x4C53_4E50  // "PNSL"
  private static let version: UInt16 = 1

  private let fileSystem: any FileSystem
  private let path: String
  private let kind: UInt16
  private let slotSize: Int
  private let file: OpenFileHandle
  private var generation: UInt64
  /// Set by the first failed write or sync: after that the content of the disk is unknown. A write that finds no space
  /// is no such failure: the slot with the newest value is untouched.
  private var isPoisoned = false

  private init(
    _ fileSystem: any FileSystem, _ path: String, kind: UInt16, slotSize: Int, file: OpenFileHandle, generation: UInt64
  ) {
    self.fileSystem = fileSystem
    self.path = path
    self.kind = kind
    self.slotSize = slotSize
    self.file = file
    self.generation = generation
  }

  deinit { fileSystem.close(file) }

  /// Creates the file with a first value. File and name are durable when it returns.
  ///
  /// Throws `.locked` while another process creates it. Its cause is `.exists` when a file of that name exists by then.
  static func create(
    _ fileSystem: any FileSystem, _ path: String, kind: UInt16, slotSize: Int, value: [UInt8]
  ) throws(LogError) {
    let temporary = path + ".tmp"
    do throws(FileSystemError) {
      guard let file = try NamedLock.create(fileSystem, temporary) else {
        throw FileSystemError(.exists, verb: .lock, path: temporary)
      }
      defer { fileSystem.close(file) }
      do throws(FileSystemError) {
        var bytes = encode(value, kind: kind, generation: 1, slotSize: slotSize)
        bytes.append(contentsOf: [UInt8](repeating: 0, count: slotSize * 2 - bytes.count))
        // Generation 1 belongs in slot 1; the file starts with an empty slot 0.
        let empty = [UInt8](repeating: 0, count: slotSize)
        try write(fileSystem, file, empty + bytes[..<slotSize], at: 0)
        try fileSystem.synchronize(file)
        try fileSystem.rename(temporary, to: path)
      } catch {
        // Frees its space on a full disk. If the removal fails, the next creation removes the file.
        try? fileSystem.remove(temporary)
        throw error
      }
      try fileSystem.synchronizeDirectory(LogPaths.parent(of: path))
    } catch {
      if error.verb == .lock, error.code == .exists {
        throw LogError(.locked, "another process is creating this file; try again", location: .init(path: path))
      }
      throw LogError(error, while: "create \(path)")
    }
  }

  /// Opens the file for writing and returns its value, which is durable from then on. Takes no lock.
  package static func open(
    _ fileSystem: any FileSystem, _ path: String, kind: UInt16, slotSize: Int
  ) throws(LogError) -> (slots: SlotFile, value: [UInt8]) {
    let file: OpenFileHandle
    let newest: (generation: UInt64, value: [UInt8])?
    do throws(FileSystemError) { file = try fileSystem.open(path, .readWrite) } catch {
      throw LogError(error, while: "open \(path)")
    }
    do throws(FileSystemError) {
      // A killed process may have left the newest value, or even the name, in the page cache alone. The next write
      // overwrites the older slot, so the newer one must be durable first: else a power cut could destroy both. After a
      // failed write memory may show a value that no sync will write, so the value is read from the disk.
      _ = try fileSystem.synchronizeThenDropCache(file)
      try fileSystem.synchronizeDirectory(LogPaths.parent(of: path))
      newest = try read(fileSystem, file, kind: kind, slotSize: slotSize)
    } catch {
      fileSystem.close(file)
      throw LogError(error, while: "open \(path)")
    }
    guard let newest else {
      fileSystem.close(file)
      throw damaged(path)
    }
    let slots = SlotFile(
      fileSystem, path, kind: kind, slotSize: slotSize, file: file, generation: newest.generation)
    return (slots, newest.value)
  }

  /// How often ``peek`` reads a file without a whole slot.
  private static let looks = 8

  /// The value, without a lock and without writing; safe while a writer writes. A reader may meet each slot while it is
  /// being written. So a file without a whole slot is read again before it counts as damaged.
  static func peek(
    _ fileSystem: any FileSystem, _ path: String, kind: UInt16, slotSize: Int
  ) throws(LogError) -> [UInt8] {
    let newest: (generation: UInt64, value: [UInt8])?
    do throws(FileSystemError) {
      let file = try fileSystem.open(path, .readOnly)
      defer { fileSystem.close(file) }
      var found: (generation: UInt64, value: [UInt8])?
      for _ in 0..<looks where found == nil {
        found = try read(fileSystem, file, kind: kind, slotSize: slotSize)
      }
      newest = found
    } catch {
      throw LogError(error, while: "read \(path)")
    }
    guard let newest else { throw damaged(path) }
    return newest.value
  }

  /// Replaces the value. When this returns, the value is on stable storage, in the file that has the name.
  ///
  /// Throws `.noSpace` when the disk has no space for it: the value before is intact, and a later write may succeed.
  /// That happens only on a file system that writes to a new place instead of over the old bytes. After any other
  /// failure the file must be opened again.
  package func write(_ value: [UInt8]) throws(LogError) {
    guard !isPoisoned else {
      throw LogError(.poisoned, "an earlier write failed; open the log again", location: .init(path: path))
    }
    isPoisoned = true
    let bytes = Self.encode(value, kind: kind, generation: generation + 1, slotSize: slotSize)
    let hasName: Bool
    do throws(FileSystemError) {
      try Self.write(fileSystem, file, bytes, at: (generation + 1) % 2 * UInt64(slotSize))
      try fileSystem.synchronize(file)
      hasName = try fileSystem.path(path, names: file)
    } catch {
      if error.isHarmless { isPoisoned = false }
      throw LogError(error, while: "write \(path)")
    }
    guard hasName else {
      throw LogError(
        .poisoned, "another program removed or replaced the file while it was in use; open it again",
        location: .init(path: path))
    }
    generation += 1
    isPoisoned = false
  }

  private static func damaged(_ path: String) -> LogError {
    LogError(
      .damaged, "neither copy of the value is intact; another program changed the file", location: .init(path: path))
  }

  private static func write(
    _ fileSystem: any FileSystem, _ file: OpenFileHandle, _ bytes: [UInt8], at position: UInt64
  ) throws(FileSystemError) {
    var failure: FileSystemError?
    bytes.withUnsafeBytes { bytes in
      do throws(FileSystemError) { try fileSystem.writeAll(file, bytes, at: position) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private static func encode(_ value: [UInt8], kind: UInt16, generation: UInt64, slotSize: Int) -> [UInt8] {
    precondition(headerSize + value.count <= slotSize, "a value of \(value.count) bytes does not fit its slot")
    var bytes: [UInt8] = []
    bytes.reserveCapacity(headerSize + value.count)
    bytes.append(littleEndian: magic)
    bytes.append(littleEndian: version)
    bytes.append(littleEndian: kind)
    bytes.append(littleEndian: generation)
    bytes.append(littleEndian: UInt32(value.count))
    var checksum = Checksum(seed: UInt32(kind))
    bytes.withUnsafeBytes { checksum.update($0) }
    value.withUnsafeBytes { checksum.update($0) }
    bytes.append(littleEndian: checksum.value)
    bytes.append(contentsOf: value)
    return bytes
  }

  private static func read(
    _ fileSystem: any FileSystem, _ file: OpenFileHandle, kind: UInt16, slotSize: Int
  ) throws(FileSystemError) -> (generation: UInt64, value: [UInt8])? {
    let bytes = try fileSystem.readAll(file, count: slotSize * 2, at: 0)
    var newest: (generation: UInt64, value: [UInt8])?
    for slot in 0..<2 where bytes.count >= slot * slotSize + headerSize {
      let found = bytes.withUnsafeBytes { bytes in
        decode(
          UnsafeRawBufferPointer(rebasing: bytes[(slot * slotSize)..<min((slot + 1) * slotSize, bytes.count)]),
          kind: kind)
      }
      if let found, found.generation > (newest?.generation ?? 0) { newest = found }
    }
    return newest
  }

  private static func decode(_ slot: UnsafeRawBufferPointer, kind: UInt16) -> (generation: UInt64, value: [UInt8])? {
    guard slot.get(UInt32.self, at: 0) == magic, slot.get(UInt16.self, at: 4) == version,
      slot.get(UInt16.self, at: 6) == kind
    else { return nil }
    let length = Int(slot.get(UInt32.self, at: 16))
    guard headerSize + length <= slot.count else { return nil }
    var checksum = Checksum(seed: UInt32(kind))
    checksum.update(UnsafeRawBufferPointer(rebasing: slot[..<20]))
    checksum.update(UnsafeRawBufferPointer(rebasing: slot[headerSize..<(headerSize + length)]))
    guard checksum.value == slot.get(UInt32.self, at: 20) else { return nil }
    return (slot.get(UInt64.self, at: 8), Array(slot[headerSize..<(headerSize + length)]))
  }
}

extension FileSystem {
  /// Removes a file that may be missing.
  package func removeIfPresent(_ path: String) throws(FileSystemError) {
    do throws(FileSystemError) {
      try remove(path)
    } catch {
      guard error.code == .notFound else { throw error }
    }
  }

  /// Whether a file of that name exists.
  package func exists(_ path: String) throws(FileSystemError) -> Bool {
    do throws(FileSystemError) {
      close(try open(path, .readOnly))
      return true
    } catch {
      guard error.code == .notFound else { throw error }
      return false
    }
  }

  /// Up to `count` bytes from `position` on; fewer at the end of the file.
  package func readAll(_ file: OpenFileHandle, count: Int, at position: UInt64) throws(FileSystemError) -> [UInt8] {
    var failure: FileSystemError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(FileSystemError) {
        initialized = try readAll(file, into: UnsafeMutableRawBufferPointer(buffer), at: position)
      } catch {
        failure = error
        initialized = 0
      }
    }
    if let failure { throw failure }
    return bytes
  }
}
