/// An open file. Only the ``FileSystem`` that opened it can use it.
public struct OpenFileHandle: Hashable, Sendable {
  /// The descriptor, or the file system's own number for the file.
  public let rawValue: Int32
  /// A handle of the file system that gave this number.
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

/// The interface between the engine and a disk: the verbs that the log uses, and what each of them guarantees.
///
/// An implementation guarantees exactly what is written here, and the engine relies on nothing else. At a crash a
/// simulated disk forgets everything that is not guaranteed.
///
/// Calls on different files may overlap. Calls on one file may overlap too, except `close`, which the caller orders
/// after all others. **Every verb blocks the calling thread.**
///
/// Paths are absolute or relative to the process's directory, with `/` between parts. Positions and lengths are bytes.
public protocol FileSystem: Sendable {
  /// Opens a file. The directory entry of a created file is *volatile*: a crash may remove it until
  /// `synchronizeDirectory` of the directory returns.
  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle

  /// Closes a file and drops its locks. It makes nothing durable. It never fails: `synchronize` reports what a `close`
  /// could report.
  func close(_ file: OpenFileHandle)

  /// Reads up to `buffer.count` bytes at `position`. Returns how many, 0 at or after the end. The read may be short.
  func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int

  /// Writes up to `bytes.count` bytes at `position`, growing the file as needed. Returns how many, at least 1 unless
  /// `bytes` is empty. The write may be short. It is volatile until `synchronize`: after a crash any subset of the
  /// touched 512-byte sectors may hold the new bytes.
  func write(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64) throws(FileSystemError)
    -> Int

  /// Makes the file `length` zeros long and writes them out, so that later writes into it need no new space. The file
  /// must be empty, and no other handle may be open. Volatile until `synchronize`, like any write.
  func fill(_ file: OpenFileHandle, zeros length: UInt64) throws(FileSystemError)

  /// Returns when every byte written to the file before the call is on stable storage, with the size needed to read it
  /// back. After a failure nothing is known of any byte written since the last success, and a second call proves
  /// nothing. The caller must then not use the file for new data.
  func synchronize(_ file: OpenFileHandle) throws(FileSystemError)

  /// Drops the pages that memory keeps of the file, so that later reads return what stable storage holds. Call it after
  /// `synchronize`.
  ///
  /// After a failed write a kernel may keep pages as if they were written (ext4 and XFS). Reads return such pages until
  /// the kernel evicts them, and a later `synchronize` succeeds without writing them. Only a read from the disk shows
  /// the truth.
  ///
  /// Returns false when it cannot prove that the pages are gone or equal the disk. Throws `.staleCache` when pages
  /// differ from the disk and stay.
  func dropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool

  /// Announces a read of `range`, so that the disk can begin. A hint: it guarantees nothing and never fails. The
  /// default does nothing.
  func prefetch(_ file: OpenFileHandle, _ range: Range<UInt64>)

  /// The file's size in bytes.
  func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64

  /// Sets the file's size; added bytes read as zero. Volatile until `synchronize`.
  func truncate(_ file: OpenFileHandle, to size: UInt64) throws(FileSystemError)

  /// Renames a file within one directory. It throws `.exists` if the target exists, also when another process makes it
  /// at this moment. Atomic; volatile until `synchronizeDirectory`.
  func rename(_ path: String, to newPath: String) throws(FileSystemError)

  /// Gives the file `newer` the name `path`, in place of the file that has it; the name `newer` then names nothing.
  /// Both must exist (`.notFound`), be files (`.isADirectory`), and lie in one directory.
  ///
  /// Atomic: at every moment, and after a crash, `path` names the old file or the new one, whole. Volatile until
  /// `synchronizeDirectory`. Handles of the old file keep working.
  func replace(_ path: String, with newer: String) throws(FileSystemError)

  /// Removes a file. Volatile until `synchronizeDirectory`. Open handles keep working.
  func remove(_ path: String) throws(FileSystemError)

  /// The names in a directory, without `.` and `..`, in no order.
  func list(_ path: String) throws(FileSystemError) -> [String]

  /// Creates a directory that only its owner can access (`.exists` if the name is in use). Volatile until
  /// `synchronizeDirectory` of its parent.
  func makeDirectory(_ path: String) throws(FileSystemError)

  /// Returns when every earlier creation, rename, replacement and removal in the directory is on stable storage.
  func synchronizeDirectory(_ path: String) throws(FileSystemError)

  /// Takes an exclusive lock on the whole file. The lock ends with `close` or with the process. Returns false when
  /// another open handle, in this process or another, holds it. Needs a file opened for writing (`.notSupported`
  /// otherwise).
  func lock(_ file: OpenFileHandle) throws(FileSystemError) -> Bool

  /// Takes an exclusive lock on positions of the file, which need not have bytes. The lock belongs to the open handle:
  /// it ends with `unlock`, with `close`, or with the process. Returns false when another open handle, in this process
  /// or another, holds a lock on one of the positions; the whole-file lock is one on all of them. A handle may lock
  /// positions again that it has already locked; one `unlock` ends that.
  ///
  /// Needs a file opened for writing (`.notSupported` otherwise), and a range of 1 … 2⁶³ − 1 positions that ends below
  /// 2⁶³.
  func lock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) -> Bool

  /// Ends this handle's locks on the positions. Positions that it has not locked stay as they are.
  func unlock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError)

  /// Whether `path` names this very file now. It is false after the file was removed, renamed, or replaced by a file
  /// with equal bytes. It says nothing about durability.
  func path(_ path: String, names file: OpenFileHandle) throws(FileSystemError) -> Bool

  /// The kind of file system on which a directory lies; nil where that is unknown. It only decides what an opening
  /// warns of.
  func volume(of path: String) -> VolumeKind?
}

/// Why a ``FileSystem`` verb failed.
public struct FileSystemError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What went wrong.
  public enum Code: Sendable, Equatable {
    case notFound, exists, permissionDenied, notADirectory, isADirectory
    /// No space, or over quota.
    case noSpace
    /// The device reported an error (EIO). Nothing is known of the bytes in flight.
    case inputOutput
    /// Interrupted before anything happened; the caller calls again.
    case interrupted
    case tooManyOpenFiles, readOnlyFileSystem, notSupported
    /// Memory keeps pages of the file that differ from the disk, and does not drop them.
    case staleCache
    case other(errno: Int32)
  }

  /// The verbs of a ``FileSystem``.
  public enum Verb: String, Sendable, Hashable, CaseIterable {
    case open, read, write, synchronize, dropCache, size, truncate, rename, replace, remove, list, makeDirectory
    case synchronizeDirectory, lock
    /// `path(_:names:)`.
    case path
  }

  /// What went wrong.
  public let code: Code
  /// The verb that failed. ``FileSystem/fill(_:zeros:)`` fails as `.write`.
  public let verb: Verb
  /// The path, as far as it is known.
  public let path: String

  /// A failure of one verb on one path.
  public init(_ code: Code, verb: Verb, path: String) {
    self.code = code
    self.verb = verb
    self.path = path
  }

  public var description: String { "\(verb.rawValue) \(path): \(code.explanation)" }

  /// Whether the call left every file as usable as before, so that a later call may succeed. That is a write or a
  /// rename on a full disk, or an open without a free descriptor. It is not a sync on a full disk: written bytes may be
  /// lost.
  var isHarmless: Bool {
    switch verb {
    case .write, .rename: code == .noSpace
    case .open: code == .tooManyOpenFiles
    default: false
    }
  }
}

extension FileSystemError.Code {
  /// The text for an operator.
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
  /// Makes later reads of the file return what is on stable storage, and nothing that only memory holds. Returns false
  /// when that cannot be proven.
  func synchronizeThenDropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool {
    // The kernel does not drop pages that were never written, so they are written first.
    try synchronize(file)
    return try dropCache(file)
  }
  /// By default nil: unknown.
  public func volume(of path: String) -> VolumeKind? { nil }

  /// By default does nothing.
  public func prefetch(_ file: OpenFileHandle, _ range: Range<UInt64>) {}

  /// By default writes pages of zeros. Blocks the calling thread.
  public func fill(_ file: OpenFileHandle, zeros length: UInt64) throws(FileSystemError) {
    try writeZeros(file, 0..<length)
  }

  /// Overwrites a range with zeros. Volatile.
  func writeZeros(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) {
    var position = range.lowerBound
    while position < range.upperBound {
      let count = Int(min(UInt64(Zeros.page.count), range.upperBound - position))
      try Zeros.page.withUnsafeBufferPointer { (zeros) throws(FileSystemError) in
        try writeAll(file, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(zeros)[..<count]), at: position)
      }
      position += UInt64(count)
    }
  }

  /// Writes all of `bytes` at `position`; continues after short writes and interruptions.
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

/// A source of zeros that no code can write to.
private enum Zeros {
  static let page = [UInt8](repeating: 0, count: 1 << 18)
}
