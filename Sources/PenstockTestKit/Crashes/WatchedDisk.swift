import PenstockLog

/// A simulated disk that says when it has gone down and when something has become durable.
final class WatchedDisk: FileSystem {
  let disk: SimulatedFileSystem
  private let onDeath: @Sendable () -> Void
  private let onSync: @Sendable () -> Void

  init(_ disk: SimulatedFileSystem, onDeath: @escaping @Sendable () -> Void, onSync: @escaping @Sendable () -> Void) {
    self.disk = disk
    self.onDeath = onDeath
    self.onSync = onSync
  }

  private func watched<Value>(
    _ verb: () throws(FileSystemError) -> Value
  ) throws(FileSystemError) -> Value {
    defer { if disk.isDown { onDeath() } }
    return try verb()
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
    try watched { () throws(FileSystemError) in try disk.open(path, mode) }
  }
  func close(_ file: OpenFileHandle) { disk.close(file) }
  func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    try watched { () throws(FileSystemError) in try disk.read(file, into: buffer, at: position) }
  }
  func write(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    try watched { () throws(FileSystemError) in try disk.write(file, bytes, at: position) }
  }
  func synchronize(_ file: OpenFileHandle) throws(FileSystemError) {
    try watched { () throws(FileSystemError) in try disk.synchronize(file) }
    onSync()
  }
  func dropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool {
    try watched { () throws(FileSystemError) in try disk.dropCache(file) }
  }
  func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 {
    try watched { () throws(FileSystemError) in try disk.size(file) }
  }
  func truncate(_ file: OpenFileHandle, to size: UInt64) throws(FileSystemError) {
    try watched { () throws(FileSystemError) in try disk.truncate(file, to: size) }
  }
  func rename(_ path: String, to newPath: String) throws(FileSystemError) {
    try watched { () throws(FileSystemError) in try disk.rename(path, to: newPath) }
  }
  func replace(_ path: String, with newer: String) throws(FileSystemError) {
    try watched { () throws(FileSystemError) in try disk.replace(path, with: newer) }
  }
  func remove(_ path: String) throws(FileSystemError) {
    try watched { () throws(FileSystemError) in try disk.remove(path) }
  }
  func list(_ path: String) throws(FileSystemError) -> [String] {
    try watched { () throws(FileSystemError) in try disk.list(path) }
  }
  func makeDirectory(_ path: String) throws(FileSystemError) {
    try watched { () throws(FileSystemError) in try disk.makeDirectory(path) }
  }
  func synchronizeDirectory(_ path: String) throws(FileSystemError) {
    try watched { () throws(FileSystemError) in try disk.synchronizeDirectory(path) }
    onSync()
  }
  func lock(_ file: OpenFileHandle) throws(FileSystemError) -> Bool {
    try watched { () throws(FileSystemError) in try disk.lock(file) }
  }
  func path(_ path: String, names file: OpenFileHandle) throws(FileSystemError) -> Bool {
    try watched { () throws(FileSystemError) in try disk.path(path, names: file) }
  }
}
