/// A file system that passes its calls on to another one, but for those that it makes its own.
///
/// What `FileSystem` itself does where a type does nothing is left as it is: zeros are written with ``write``.
package protocol PassingFileSystem: FileSystem {
  var base: any FileSystem { get }
}

extension PassingFileSystem {
  package func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
    try base.open(path, mode)
  }
  package func close(_ file: OpenFileHandle) { base.close(file) }
  package func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  { try base.read(file, into: buffer, at: position) }
  package func write(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  { try base.write(file, bytes, at: position) }
  package func synchronize(_ file: OpenFileHandle) throws(FileSystemError) { try base.synchronize(file) }
  package func dropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool { try base.dropCache(file) }
  package func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 { try base.size(file) }
  package func truncate(_ file: OpenFileHandle, to size: UInt64) throws(FileSystemError) {
    try base.truncate(file, to: size)
  }
  package func rename(_ path: String, to newPath: String) throws(FileSystemError) {
    try base.rename(path, to: newPath)
  }
  package func replace(_ path: String, with newer: String) throws(FileSystemError) {
    try base.replace(path, with: newer)
  }
  package func remove(_ path: String) throws(FileSystemError) { try base.remove(path) }
  package func list(_ path: String) throws(FileSystemError) -> [String] { try base.list(path) }
  package func makeDirectory(_ path: String) throws(FileSystemError) { try base.makeDirectory(path) }
  package func synchronizeDirectory(_ path: String) throws(FileSystemError) { try base.synchronizeDirectory(path) }
  package func lock(_ file: OpenFileHandle) throws(FileSystemError) -> Bool { try base.lock(file) }
  package func lock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) -> Bool {
    try base.lock(file, range)
  }
  package func unlock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) {
    try base.unlock(file, range)
  }
  package func path(_ path: String, names file: OpenFileHandle) throws(FileSystemError) -> Bool {
    try base.path(path, names: file)
  }
}
