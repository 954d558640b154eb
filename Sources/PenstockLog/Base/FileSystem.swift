/// An open file. Only the ``FileSystem`` that handed it out can use it.
public struct OpenFileHandle: Hashable, Sendable {
  public let rawValue: Int32
  public init(rawValue: Int32) { self.rawValue = rawValue }
}

/// How a file is opened.
public enum OpenMode: Sendable, Equatable {
  /// The file must exist; only reads and `synchronize` are allowed.
  case readOnly
  /// The file must exist; reads and writes are allowed.
  case readWrite
  /// The file must not exist (`.exists` otherwise); it is created empty, readable and writable by its owner only.
  case create
}

/// The seam between the engine and a disk: the verbs the log uses and what each may be trusted for.
///
/// An implementation promises exactly what is written here and the engine relies on nothing else; a simulated disk forgets,
/// at a crash, everything that is not promised. Calls on different files may overlap; calls on one file may overlap except
/// `close`, which the caller orders after all others. Every verb is synchronous and may block.
///
/// Paths are absolute or relative to the process, with `/` between parts. Positions and lengths are bytes.
public protocol FileSystem: Sendable {
  /// Opens a file. Creating a file makes its directory entry *volatile*: it may be gone after a crash until
  /// `synchronizeDirectory` of the directory has returned.
  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle

  /// Closes a file and drops its locks. Says nothing about durability. Never fails: what a `close` could report is
  /// reported by `synchronize`.
  func close(_ file: OpenFileHandle)

  /// Reads up to `buffer.count` bytes at `position`; returns how many, 0 at or after the end. May be short.
  func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int

  /// Writes up to `bytes.count` bytes at `position`, growing the file as needed; returns how many, at least 1 unless
  /// `bytes` is empty. May be short. Volatile until `synchronize`: after a crash any subset of the touched 512-byte
  /// sectors may hold the new bytes.
  func write(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64) throws(FileSystemError)
    -> Int

  /// Makes a file that is empty and that nobody else has open `length` zeros long, written out, so that writes into it
  /// later find room. Volatile until `synchronize`, like any write.
  func fill(_ file: OpenFileHandle, zeros length: UInt64) throws(FileSystemError)

  /// Returns when every byte written to the file before the call, and the size needed to read it back, is on stable
  /// storage. After a failure nothing may be assumed of any byte written since the last success, and a second call
  /// proves nothing: the caller must not use the file for new data again.
  func synchronize(_ file: OpenFileHandle) throws(FileSystemError)

  /// Drops the pages that memory keeps of the file, so that later reads return what stable storage holds. Call after
  /// `synchronize`.
  ///
  /// After a failed write a kernel may keep pages as if they were written (ext4 and XFS). Such pages read well until they are
  /// evicted, and a later `synchronize` succeeds without writing them. Only a read from the disk tells.
  ///
  /// Returns false when it cannot be proven that the pages are gone or equal the disk. Throws `.staleCache` when pages
  /// differ from the disk and stay.
  func dropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool

  /// Says that the bytes of `range` will be read soon, so that the disk can begin. A hint: it promises nothing, reads nothing and
  /// never fails. Ignored unless an implementation knows what to do with it.
  func prefetch(_ file: OpenFileHandle, _ range: Range<UInt64>)

  /// The file's size in bytes.
  func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64

  /// Sets the file's size; bytes gained read as zero. Volatile until `synchronize`.
  func truncate(_ file: OpenFileHandle, to size: UInt64) throws(FileSystemError)

  /// Renames a file within one directory, replacing nothing (`.exists` if the target exists, also when another process
  /// makes it at this moment). Atomic; volatile until `synchronizeDirectory`.
  func rename(_ path: String, to newPath: String) throws(FileSystemError)

  /// Gives the file `newer` the name `path` in place of the file that has it, and takes its own name away; both must be
  /// there (`.notFound`), be files (`.isADirectory`), and lie in one directory. Atomic: at every moment, and after a crash,
  /// `path` names the old file or the new one, whole. Volatile until `synchronizeDirectory`. Handles of the old file keep
  /// working.
  func replace(_ path: String, with newer: String) throws(FileSystemError)

  /// Removes a file. Volatile until `synchronizeDirectory`. Open handles keep working.
  func remove(_ path: String) throws(FileSystemError)

  /// The names in a directory, without `.` and `..`, in no order.
  func list(_ path: String) throws(FileSystemError) -> [String]

  /// Creates a directory, accessible to its owner only (`.exists` if there is anything of that name). Volatile until
  /// `synchronizeDirectory` of its parent.
  func makeDirectory(_ path: String) throws(FileSystemError)

  /// Returns when every creation, rename, replacement and removal made in the directory before the call is on stable storage.
  func synchronizeDirectory(_ path: String) throws(FileSystemError)

  /// Takes an exclusive lock on the whole file that ends with `close` or with the process; false when another open
  /// handle, in this process or another, holds it. Needs a file opened for writing (`.notSupported` otherwise).
  func lock(_ file: OpenFileHandle) throws(FileSystemError) -> Bool

  /// Whether `path` names this very file now, and not another one or nothing. A file that was removed, or renamed, or
  /// replaced by a file with equal bytes, is not what the name leads to any more. Says nothing about durability.
  func path(_ path: String, names file: OpenFileHandle) throws(FileSystemError) -> Bool

  /// The kind of file system a directory lies on; nil where that is not known. Changes nothing but what an opening warns of.
  func volume(of path: String) -> VolumeKind?
}

/// Why a ``FileSystem`` verb failed.
public struct FileSystemError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Code: Sendable, Equatable {
    case notFound, exists, permissionDenied, notADirectory, isADirectory
    /// No space, or over quota.
    case noSpace
    /// The device reported an error (EIO). Nothing may be assumed of what was in flight.
    case inputOutput
    /// Interrupted before anything happened; the caller calls again.
    case interrupted
    case tooManyOpenFiles, readOnlyFileSystem, notSupported
    /// Memory keeps pages of the file that differ from the disk, and does not drop them.
    case staleCache
    case other(errno: Int32)
  }

  public let code: Code
  /// The verb, as in `"write"`.
  public let operation: String
  /// The path, as far as it is known.
  public let path: String

  public init(_ code: Code, operation: String, path: String) {
    self.code = code
    self.operation = operation
    self.path = path
  }

  public var description: String { "\(operation) \(path): \(code.explanation)" }
}

extension FileSystemError.Code {
  /// What a person reads.
  public var explanation: String {
    switch self {
    case .notFound: "no such file or directory"
    case .exists: "already exists"
    case .permissionDenied: "permission denied"
    case .notADirectory: "not a directory"
    case .isADirectory: "is a directory"
    case .noSpace: "no space left on the device"
    case .inputOutput: "input/output error"
    case .interrupted: "interrupted"
    case .tooManyOpenFiles: "too many open files"
    case .readOnlyFileSystem: "read-only file system"
    case .notSupported: "not supported by this file system"
    case .staleCache:
      "memory holds pages that differ from the disk; end the other processes that read the file, or restart the machine"
    case .other(let errno): Self.systemText(errno)
    }
  }
}

extension FileSystem {
  /// Makes later reads of the file return what is on stable storage, and nothing that only memory holds. Returns false when
  /// that cannot be proven.
  package func synchronizeThenDropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool {
    // Pages that were never written are not dropped, so they are written first.
    try synchronize(file)
    return try dropCache(file)
  }
  public func volume(of path: String) -> VolumeKind? { nil }

  public func prefetch(_ file: OpenFileHandle, _ range: Range<UInt64>) {}

  public func fill(_ file: OpenFileHandle, zeros length: UInt64) throws(FileSystemError) {
    try writeZeros(file, 0..<length)
  }

  /// Overwrites a range with zeros from an explicit source. Volatile.
  package func writeZeros(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) {
    var position = range.lowerBound
    while position < range.upperBound {
      let count = Int(min(UInt64(Zeros.page.count), range.upperBound - position))
      try Zeros.page.withUnsafeBufferPointer { (zeros) throws(FileSystemError) in
        try writeAll(file, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(zeros)[..<count]), at: position)
      }
      position += UInt64(count)
    }
  }

  /// Writes all of `bytes` at `position`, going on after short writes and interruptions.
  package func writeAll(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64)
    throws(FileSystemError)
  {
    var done = 0
    while done < bytes.count {
      do {
        done += try write(file, UnsafeRawBufferPointer(rebasing: bytes[done...]), at: position + UInt64(done))
      } catch {
        guard error.code == .interrupted else { throw error }
      }
    }
  }

  /// Reads until `buffer` is full or the file ends; returns how many bytes were read.
  package func readAll(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    var done = 0
    while done < buffer.count {
      do {
        let count = try read(
          file, into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]), at: position + UInt64(done))
        if count == 0 { break }
        done += count
      } catch {
        guard error.code == .interrupted else { throw error }
      }
    }
    return done
  }
}

/// A source of zeros that nothing can have written to.
private enum Zeros {
  static let page = [UInt8](repeating: 0, count: 1 << 18)
}
