public import PenstockLog
package import Synchronization

/// A disk in memory that forgets at a crash everything `FileSystem` does not promise to keep, and fails on demand.
///
/// Each file has a durable content and a list of unsynced changes by 512-byte sector. Each directory has durable
/// entries and a list of unsynced operations. ``powerCut(_:)`` returns what a machine finds after a power loss, and
/// ``processKill()`` what the next process finds after a SIGKILL. Both return a new file system that shares nothing
/// mutable with this one. So one run can be branched into thousands of outcomes.
///
/// Everything is decided by the seed and the calls: equal seeds and equal calls give equal results and an equal
/// ``traceHash``, in every process. Safe for concurrent use; calls then are ordered by a lock, and it is for the caller
/// to make that order repeatable.
///
/// Stricter than a real disk on purpose: handle numbers are not used twice, `list` answers in a scrambled order,
/// `rename` and `replace` work within one directory only (`.notSupported`). Paths with and without a leading `/` are
/// the same. The root exists. A file ends at 4 GiB.
public final class SimulatedFileSystem: FileSystem {
  package let disk: Mutex<SimulatedDisk>

  /// An empty disk. With `tracing`, ``trace`` keeps a line per verb.
  public convenience init(seed: UInt64 = 0, tracing: Bool = false) {
    self.init(SimulatedDisk(seed: seed, tracing: tracing))
  }

  package init(_ disk: SimulatedDisk) { self.disk = Mutex(disk) }

  /// Called after a call of the disk, outside of the lock: when the machine is down, or something has become durable.
  struct Watch: Sendable {
    var onDeath, onSync: @Sendable () -> Void
  }

  func watch(_ watch: Watch) { disk.withLock { $0.watch = watch } }

  private func perform<Value: Sendable>(
    syncs: Bool = false, _ verb: (inout SimulatedDisk) throws(FileSystemError) -> Value
  ) throws(FileSystemError) -> Value {
    let (result, tell) = disk.withLock { disk in
      let result = Result { () throws(FileSystemError) in try verb(&disk) }
      return (result, disk.isDown ? disk.watch?.onDeath : syncs ? disk.watch?.onSync : nil)
    }
    tell?()
    return try result.get()
  }

  /// Opens a file. A created entry is volatile until ``synchronizeDirectory(_:)``.
  public func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
    try perform { (disk) throws(FileSystemError) in try disk.open(path, mode) }
  }

  /// Closes a file and drops its lock; makes nothing durable.
  public func close(_ file: OpenFileHandle) { disk.withLock { $0.close(file) } }

  /// Reads bytes at a position; 0 at the end. The read may be short.
  public func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    try perform { (disk) throws(FileSystemError) in try disk.read(file, into: buffer, at: position) }
  }

  /// Writes bytes at a position, volatile until ``synchronize(_:)``. The write may be short.
  public func write(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    try perform { (disk) throws(FileSystemError) in try disk.write(file, bytes, at: position) }
  }

  /// Makes the file's content durable, unless the test makes the disk fail.
  public func synchronize(_ file: OpenFileHandle) throws(FileSystemError) {
    try perform(syncs: true) { (disk) throws(FileSystemError) in try disk.synchronize(file) }
  }

  /// Makes later reads return what is durable.
  public func dropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool {
    try perform { (disk) throws(FileSystemError) in try disk.dropCache(file) }
  }

  /// The file's size in bytes.
  public func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 {
    try perform { (disk) throws(FileSystemError) in try disk.size(file) }
  }

  /// Sets the file's size, volatile until ``synchronize(_:)``.
  public func truncate(_ file: OpenFileHandle, to size: UInt64) throws(FileSystemError) {
    try perform { (disk) throws(FileSystemError) in try disk.truncate(file, to: size) }
  }

  /// Renames a file, volatile until ``synchronizeDirectory(_:)``. Throws `.exists` if the target exists.
  public func rename(_ path: String, to newPath: String) throws(FileSystemError) {
    try perform { (disk) throws(FileSystemError) in try disk.rename(path, to: newPath) }
  }

  /// Puts the file `newer` in the place of another, volatile until ``synchronizeDirectory(_:)``.
  public func replace(_ path: String, with newer: String) throws(FileSystemError) {
    try perform { (disk) throws(FileSystemError) in try disk.replace(path, with: newer) }
  }

  /// Removes a file, volatile until ``synchronizeDirectory(_:)``.
  public func remove(_ path: String) throws(FileSystemError) {
    try perform { (disk) throws(FileSystemError) in try disk.remove(path) }
  }

  /// The names in a directory, in a scrambled order.
  public func list(_ path: String) throws(FileSystemError) -> [String] {
    try perform { (disk) throws(FileSystemError) in try disk.list(path) }
  }

  /// Makes a directory, volatile until ``synchronizeDirectory(_:)`` of its parent.
  public func makeDirectory(_ path: String) throws(FileSystemError) {
    try perform { (disk) throws(FileSystemError) in try disk.makeDirectory(path) }
  }

  /// Makes the directory's entries durable.
  public func synchronizeDirectory(_ path: String) throws(FileSystemError) {
    try perform(syncs: true) { (disk) throws(FileSystemError) in try disk.synchronizeDirectory(path) }
  }

  /// Takes the file's lock; false when another handle has it.
  public func lock(_ file: OpenFileHandle) throws(FileSystemError) -> Bool {
    try perform { (disk) throws(FileSystemError) in try disk.lock(file) }
  }

  /// Locks positions of the file; false when another handle has one of them.
  public func lock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) -> Bool {
    try perform { (disk) throws(FileSystemError) in try disk.lock(file, range) }
  }

  /// Ends this handle's locks on positions of the file.
  public func unlock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) {
    try perform { (disk) throws(FileSystemError) in try disk.unlock(file, range) }
  }

  /// Whether the path names this very file now.
  public func path(_ path: String, names file: OpenFileHandle) throws(FileSystemError) -> Bool {
    try perform { (disk) throws(FileSystemError) in try disk.path(path, names: file) }
  }
}
