internal import CPenstock

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The file system of the machine. Each verb is one or two system calls. Nothing is cached, and nothing is retried
/// except interrupted calls.
///
/// - A file is created with mode 0600, a directory with 0700 (less what the umask removes). Child processes do not
///   inherit descriptors.
/// - `synchronize` is `fdatasync`: it covers the bytes and the size, not times. On Darwin it is `F_FULLFSYNC`, because
///   `fsync` there does not empty the drive's cache. It is never retried and never throws `.interrupted`. After a
///   failure the kernel may have marked the pages clean, so a second call would prove nothing (Rebello et al., "Can
///   Applications Recover from fsync Failures?", USENIX ATC 2020).
/// - `lock` takes open-file-description locks, which belong to the handle. A classic POSIX record lock would end when
///   the process closes any other handle of the file; these do not. The handle must be opened `.readWrite` or
///   `.create`. The kernel refuses a write lock on a read-only descriptor, and that is `.notSupported` here.
/// - `rename` is `renameat2` with `RENAME_NOREPLACE` (`renamex_np` on Darwin). A file system may not support it.
///   `rename` then checks whether the target exists before it renames, and two processes could race between the two
///   steps.
/// - `replace` checks whether both files exist before it renames. Only the log's one writer uses it.
/// - `list` repairs names that are not UTF-8, so such a name cannot be opened. The log creates none.
public struct POSIXFileSystem: FileSystem {
  /// The file system of this machine.
  public init() {}

  public func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
    let flags: Int32 =
      switch mode {
      case .readOnly: O_RDONLY
      case .readWrite: O_RDWR
      case .create: O_RDWR | O_CREAT | O_EXCL
      }
    let descriptor = try check(.open, path) { systemOpen(path, flags | O_CLOEXEC, 0o600) }
    let file = OpenFileHandle(rawValue: descriptor)
    do throws(FileSystemError) {
      // A read-only open of a directory succeeds in POSIX; no verb could use such a handle.
      if try status(of: file, .open).st_mode & S_IFMT == S_IFDIR {
        throw FileSystemError(.isADirectory, verb: .open, path: path)
      }
    } catch {
      close(file)
      throw error
    }
    return file
  }

  public func close(_ file: OpenFileHandle) {
    // Never retried: Linux releases the descriptor even when it reports EINTR, and the number may be in use again.
    _ = systemClose(file.rawValue)
  }

  public func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    guard let start = buffer.baseAddress, !buffer.isEmpty else { return 0 }
    let count = pread(file.rawValue, start, buffer.count, try signed(position, .read, file))
    if count >= 0 { return count }
    let failed = failure(.read, file)
    // Perhaps the disk cannot read a neighbouring page that the kernel reads together with this one.
    guard failed.code == .inputOutput else { throw failed }
    let direct = penstock_read_directly(file.rawValue, start, buffer.count, Int64(clamping: position))
    guard direct >= 0 else { throw failed }
    return direct
  }

  public func write(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    guard let start = bytes.baseAddress, !bytes.isEmpty else { return 0 }
    let count = pwrite(file.rawValue, start, bytes.count, try signed(position, .write, file))
    guard count >= 0 else { throw failure(.write, file) }
    // A device that accepts nothing and reports nothing would make the caller loop without end.
    guard count > 0 else { throw FileSystemError(.inputOutput, verb: .write, path: path(of: file)) }
    return count
  }

  /// Bypasses the page cache where the file system allows it. Measured over 64 MiB: a quarter of the processor time,
  /// and the writes that follow cost the same.
  public func fill(_ file: OpenFileHandle, zeros length: UInt64) throws(FileSystemError) {
    var reason: Int32 = 0
    let done = penstock_zero_directly(file.rawValue, length, &reason)
    guard reason == 0 else {
      throw FileSystemError(FileSystemError.Code(errno: reason), verb: .write, path: path(of: file))
    }
    try writeZeros(file, done..<length)
  }

  public func synchronize(_ file: OpenFileHandle) throws(FileSystemError) {
    guard synchronizeData(file.rawValue) == 0 else {
      let reason = errno
      let code = reason == EINTR ? .other(errno: EINTR) : FileSystemError.Code(errno: reason)
      throw FileSystemError(code, verb: .synchronize, path: path(of: file))
    }
  }

  public func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 {
    UInt64(max(0, try status(of: file, .size).st_size))
  }

  public func prefetch(_ file: OpenFileHandle, _ range: Range<UInt64>) {
    #if os(Linux)
      // A hint: its result changes nothing.
      _ = posix_fadvise(
        file.rawValue, off_t(clamping: range.lowerBound), off_t(clamping: range.upperBound - range.lowerBound),
        POSIX_FADV_WILLNEED)
    #endif
  }

  public func dropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool {
    switch Int(penstock_drop_cache(file.rawValue)) {
    case PENSTOCK_CACHE_DROPPED: return true
    case PENSTOCK_CACHE_STALE: throw FileSystemError(.staleCache, verb: .dropCache, path: path(of: file))
    default: return false
    }
  }

  public func truncate(_ file: OpenFileHandle, to size: UInt64) throws(FileSystemError) {
    let length = try signed(size, .truncate, file)
    while ftruncate(file.rawValue, length) != 0 {
      guard errno == EINTR else { throw failure(.truncate, file) }
    }
  }

  public func rename(_ path: String, to newPath: String) throws(FileSystemError) {
    var found = stat()
    // The source first: renaming nothing is `.notFound`, whatever the target is.
    _ = try check(.rename, path) { lstat(path, &found) }
    if lstat(newPath, &found) == 0 {
      throw FileSystemError(.exists, verb: .rename, path: newPath)
    }
    guard errno == ENOENT else { throw failure(.rename, newPath) }
    // One step for the kernel, so that of two processes with one target only one succeeds.
    _ = try check(.rename, path) { penstock_rename_exclusively(path, newPath) }
  }

  public func replace(_ path: String, with newer: String) throws(FileSystemError) {
    for name in [newer, path] {
      var found = stat()
      _ = try check(.replace, name) { lstat(name, &found) }
      if found.st_mode & S_IFMT == S_IFDIR { throw FileSystemError(.isADirectory, verb: .replace, path: name) }
    }
    _ = try check(.replace, path) { systemRename(newer, path) }
  }

  public func remove(_ path: String) throws(FileSystemError) {
    _ = try check(.remove, path) { unlink(path) }
  }

  public func list(_ path: String) throws(FileSystemError) -> [String] {
    guard let directory = opendir(path) else { throw failure(.list, path) }
    defer { closedir(directory) }
    var names: [String] = []
    while true {
      errno = 0  // The end and an error both return nil; only errno distinguishes them.
      guard let entry = readdir(directory) else {
        if errno != 0 { throw failure(.list, path) }
        return names
      }
      // Through the address, not through a copy of the struct: a record is shorter than its declared type.
      guard let start = MemoryLayout<dirent>.offset(of: \dirent.d_name) else { continue }
      let name = String(cString: (UnsafeRawPointer(entry) + start).assumingMemoryBound(to: CChar.self))
      if name != "." && name != ".." { names.append(name) }
    }
  }

  public func makeDirectory(_ path: String) throws(FileSystemError) {
    _ = try check(.makeDirectory, path) { mkdir(path, 0o700) }
  }

  public func synchronizeDirectory(_ path: String) throws(FileSystemError) {
    let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
    let descriptor = try check(.synchronizeDirectory, path) { systemOpen(path, flags, 0) }
    let failed = fsync(descriptor) == 0 ? nil : errno
    _ = systemClose(descriptor)
    guard let failed else { return }
    let code = failed == EINTR ? .other(errno: EINTR) : FileSystemError.Code(errno: failed)
    throw FileSystemError(code, verb: .synchronizeDirectory, path: path)
  }

  public func lock(_ file: OpenFileHandle) throws(FileSystemError) -> Bool {
    try isLocked(file, systemLock(file.rawValue))
  }

  public func lock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) -> Bool {
    let (start, count) = try signed(range, file)
    return try isLocked(file, systemLock(file.rawValue, Int16(F_WRLCK), start, count))
  }

  public func unlock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) {
    let (start, count) = try signed(range, file)
    guard systemLock(file.rawValue, Int16(F_UNLCK), start, count) == 0 else { throw failure(.lock, file) }
  }

  public func path(_ path: String, names file: OpenFileHandle) throws(FileSystemError) -> Bool {
    var (opened, named) = (PenstockIdentity(), PenstockIdentity())
    guard penstock_identity(file.rawValue, nil, &opened) == 0 else { throw failure(.path, file) }
    do throws(FileSystemError) {
      _ = try check(.path, path) { penstock_identity(-1, path, &named) }
    } catch {
      guard error.code == .notFound || error.code == .notADirectory else { throw error }
      return false
    }
    return named.device == opened.device && named.number == opened.number
  }

  public func volume(of path: String) -> VolumeKind? {
    let magic = penstock_volume_magic(path)
    return magic == 0 ? nil : VolumeKind(magic: magic)
  }
}

// MARK: - Errors

extension FileSystemError.Code {
  /// The one place where an errno gets its meaning.
  package init(errno code: Int32) {
    switch code {
    case ENOENT: self = .notFound
    case EEXIST: self = .exists
    case EACCES, EPERM: self = .permissionDenied
    case ENOTDIR: self = .notADirectory
    case EISDIR: self = .isADirectory
    case ENOSPC, EDQUOT: self = .noSpace
    case EIO: self = .inputOutput
    case EINTR: self = .interrupted
    case EMFILE, ENFILE: self = .tooManyOpenFiles
    case EROFS: self = .readOnlyFileSystem
    // Two names of one number on Linux, two numbers on Darwin.
    case _ where code == ENOTSUP || code == EOPNOTSUPP || code == ENOSYS: self = .notSupported
    default: self = .other(errno: code)
    }
  }

  /// The system's text for a number; the number itself where it has none.
  static func systemText(_ code: Int32) -> String {
    guard let text = strerror(code) else { return "system error \(code)" }
    let words = String(cString: text)
    return words.prefix(1).lowercased() + words.dropFirst()
  }
}

extension POSIXFileSystem {
  private func failure(_ verb: FileSystemError.Verb, _ path: String) -> FileSystemError {
    FileSystemError(FileSystemError.Code(errno: errno), verb: verb, path: path)
  }

  private func failure(_ verb: FileSystemError.Verb, _ file: OpenFileHandle) -> FileSystemError {
    let reason = errno  // Finding the path may change it.
    return FileSystemError(FileSystemError.Code(errno: reason), verb: verb, path: path(of: file))
  }

  /// Runs a call again while it is interrupted. An interrupted call changes nothing.
  private func check(_ verb: FileSystemError.Verb, _ path: String, _ call: () -> Int32) throws(FileSystemError) -> Int32
  {
    while true {
      let result = call()
      if result >= 0 { return result }
      guard errno == EINTR else { throw failure(verb, path) }
    }
  }

  private func status(of file: OpenFileHandle, _ verb: FileSystemError.Verb) throws(FileSystemError) -> stat {
    var result = stat()
    guard fstat(file.rawValue, &result) == 0 else { throw failure(verb, file) }
    return result
  }

  /// What a call for a lock that returned `result` means.
  private func isLocked(_ file: OpenFileHandle, _ result: Int32) throws(FileSystemError) -> Bool {
    guard result != 0 else { return true }
    switch errno {
    case EAGAIN, EACCES: return false
    case EBADF: throw FileSystemError(.notSupported, verb: .lock, path: path(of: file))
    default: throw failure(.lock, file)
    }
  }

  /// Start and length of a range to lock. An empty one would mean: to the end.
  private func signed(_ range: Range<UInt64>, _ file: OpenFileHandle) throws(FileSystemError) -> (off_t, off_t) {
    guard !range.isEmpty else { throw FileSystemError(.other(errno: EINVAL), verb: .lock, path: path(of: file)) }
    let (start, end) = (try signed(range.lowerBound, .lock, file), try signed(range.upperBound, .lock, file))
    return (start, end - start)
  }

  private func signed(_ position: UInt64, _ verb: FileSystemError.Verb, _ file: OpenFileHandle) throws(FileSystemError)
    -> off_t
  {
    guard let result = off_t(exactly: position) else {
      throw FileSystemError(.other(errno: EINVAL), verb: verb, path: path(of: file))
    }
    return result
  }

  /// The kernel's name of the file; looked up only for an error.
  private func path(of file: OpenFileHandle) -> String {
    let unknown = "descriptor \(file.rawValue)"
    #if os(Linux)
      return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX) + 1) { buffer in
        guard let start = buffer.baseAddress else { return unknown }
        let count = readlink("/proc/self/fd/\(file.rawValue)", start, Int(PATH_MAX))
        guard count > 0 else { return unknown }
        start[count] = 0
        return String(cString: start)
      }
    #else
      return unknown
    #endif
  }
}

// MARK: - Calls whose names or forms differ between platforms, or that a method above hides

private func systemOpen(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 { open(path, flags, mode) }
private func systemClose(_ descriptor: Int32) -> Int32 { close(descriptor) }
private func systemRename(_ path: String, _ newPath: String) -> Int32 { rename(path, newPath) }

private func synchronizeData(_ descriptor: Int32) -> Int32 {
  #if canImport(Darwin)
    fcntl(descriptor, F_FULLFSYNC) == -1 ? -1 : 0
  #else
    fdatasync(descriptor)
  #endif
}

private func systemLock(_ descriptor: Int32) -> Int32 {
  #if canImport(Darwin)
    // Darwin's description-owned lock of the whole file.
    return flock(descriptor, LOCK_EX | LOCK_NB)
  #else
    // Zero start and zero length mean: to the end, wherever that will be.
    return systemLock(descriptor, Int16(F_WRLCK), 0, 0)
  #endif
}

/// Sets (`F_WRLCK`) or ends (`F_UNLCK`) a lock that belongs to the open file.
private func systemLock(_ descriptor: Int32, _ type: Int16, _ start: off_t, _ count: off_t) -> Int32 {
  var range = flock()
  range.l_type = type
  range.l_whence = Int16(SEEK_SET)
  range.l_start = start
  range.l_len = count
  // F_OFD_SETLK of <fcntl.h>, which hides it from a program that does not ask for extensions.
  #if canImport(Darwin)
    return fcntl(descriptor, 90, &range)
  #else
    return fcntl(descriptor, 37, &range)
  #endif
}
