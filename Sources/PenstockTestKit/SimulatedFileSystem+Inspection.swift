import PenstockLog
import Synchronization

// Looking at a disk, and damaging it, from outside: none of this is an I/O, none of it fails.
extension SimulatedFileSystem {
  /// A digest of every verb so far with its arguments, bytes and result, over restarts. Equal runs, equal digests.
  public var traceHash: UInt64 { disk.withLock { $0.hash.value } }

  /// One line per verb, over restarts, if the file system was made with `tracing`.
  public var trace: [String] { disk.withLock { $0.trace ?? [] } }

  /// How many handles are open, to find leaks.
  public var openHandleCount: Int { disk.withLock { $0.handles.count } }

  /// Every file by its full path, sorted.
  public var filePaths: [String] { disk.withLock { $0.paths(of: SimulatedDisk.root, "") }.sorted() }

  /// A file's bytes as a reader would see them now; nil if there is no such file.
  public func contents(_ path: String) -> [UInt8]? {
    disk.withLock { disk in
      guard let file = disk.fileNumber(path) else { return nil }
      return disk.files[file]?.content.bytes
    }
  }

  /// Puts a file there durably, with the directories it needs, replacing what it held: to set up an image.
  public func install(_ path: String, _ bytes: [UInt8]) { disk.withLock { $0.install(path, bytes) } }

  /// Bit rot: inverts bit `bit` (0...7) of the byte at `position`, on the disk and in the cache. False without such a
  /// byte. Meant for a disk at rest: unsynced writes of the same sector may undo it at a power cut.
  @discardableResult
  public func flipBit(_ path: String, at position: Int, bit: Int) -> Bool {
    precondition((0...7).contains(bit), "a byte has bits 0 to 7")
    return disk.withLock { disk in
      guard let file = disk.fileNumber(path), let bytes = disk.files[file]?.content.bytes, position >= 0,
        position < bytes.count
      else { return false }
      withUnsafeBytes(of: bytes[position] ^ (1 << UInt8(bit))) { disk.files[file]?.damage($0, at: position) }
      return true
    }
  }

  /// Puts `bytes` at `position`, on the disk and in the cache, past every sync; grows the file if need be. False
  /// without such a file.
  @discardableResult
  public func overwrite(_ path: String, at position: Int, _ bytes: [UInt8]) -> Bool {
    precondition(position >= 0, "a position is not negative")
    return disk.withLock { disk in
      guard let file = disk.fileNumber(path) else { return false }
      bytes.withUnsafeBytes { disk.files[file]?.damage($0, at: position) }
      return true
    }
  }

  /// Lets reads that touch the 512-byte sector around `position` fail with `.inputOutput` until the sector is written,
  /// over restarts. False without such a file.
  @discardableResult
  public func makeUnreadable(_ path: String, at position: Int) -> Bool {
    disk.withLock { disk in
      guard let file = disk.fileNumber(path) else { return false }
      disk.files[file]?.makeUnreadable(at: position)
      return true
    }
  }

  /// All sectors of a file can be read again, with the bytes they have.
  package func makeReadable(_ path: String) {
    disk.withLock { disk in
      if let file = disk.fileNumber(path) { disk.files[file]?.makeReadable() }
    }
  }

  /// A file's size, without a copy of the file.
  package func size(of path: String) -> Int? {
    disk.withLock { disk in disk.fileNumber(path).flatMap { disk.files[$0]?.content.count } }
  }
}

extension SimulatedDisk {
  func paths(of directory: Int, _ prefix: String) -> [String] {
    var paths: [String] = []
    for (name, entry) in (directories[directory]?.entries ?? [:]).sorted(by: { $0.key < $1.key }) {
      switch entry {
      case .file: paths.append(prefix + "/" + name)
      case .directory(let inner): paths += self.paths(of: inner, prefix + "/" + name)
      }
    }
    return paths
  }

  mutating func install(_ path: String, _ bytes: [UInt8]) {
    var directory = Self.root
    let parts = path.split(separator: "/")
    precondition(!parts.isEmpty, "a file has a name")
    for part in parts.dropLast() {
      let name = String(part)
      if case .directory(let inner)? = directories[directory]?.entries[name] {
        directory = inner
        continue
      }
      directories[nextNode] = SimulatedDirectory()
      directories[directory]?.install(name, .directory(nextNode))
      directory = nextNode
      nextNode += 1
    }
    let name = String(parts[parts.count - 1])
    guard case .file(let file)? = directories[directory]?.entries[name] else {
      files[nextNode] = SimulatedFile()
      files[nextNode]?.replace(bytes)
      directories[directory]?.install(name, .file(nextNode))
      nextNode += 1
      return
    }
    files[file]?.replace(bytes)
  }
}
