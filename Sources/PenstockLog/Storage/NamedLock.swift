/// Takes the lock of the file that a name leads to.
///
/// A lock is on a file, not on a name. Between the opening and the lock another process may remove the file or replace
/// it. The lock would then be on a file without a name, and a second process could lock the new one.
///
/// So the name is checked again once the lock is taken, and a file that lost its name is closed. From then on only a
/// process that ignores the lock can change what the name leads to.
package enum NamedLock {
  /// Each further attempt means that another process replaced the file once more.
  private static let attempts = 100

  /// Opens a file for writing and takes its lock. Nil when another handle holds it. Throws `.notFound` without a file.
  package static func open(_ fileSystem: any FileSystem, _ path: String) throws(FileSystemError) -> OpenFileHandle? {
    try named(path) { () throws(FileSystemError) in
      let file = try fileSystem.open(path, .readWrite)
      return try locked(fileSystem, path, file)
    }
  }

  /// The same; makes an empty file first where there is none.
  static func openOrCreate(_ fileSystem: any FileSystem, _ path: String) throws(FileSystemError)
    -> OpenFileHandle?
  {
    try named(path) { () throws(FileSystemError) in
      let file = try fileSystem.openOrCreate(path)
      return try locked(fileSystem, path, file)
    }
  }

  /// Makes an empty file and takes its lock. It first removes an abandoned file of that name. Nil when another handle
  /// holds the lock.
  package static func create(_ fileSystem: any FileSystem, _ path: String) throws(FileSystemError) -> OpenFileHandle? {
    try named(path) { () throws(FileSystemError) in
      do throws(FileSystemError) {
        return try locked(fileSystem, path, try fileSystem.open(path, .create))
      } catch {
        guard error.code == .exists else { throw error }
      }
      do throws(FileSystemError) {
        guard let file = try open(fileSystem, path) else { return .held }
        defer { fileSystem.close(file) }
        try fileSystem.remove(path)
      } catch {
        // Its holder renamed or removed it in between.
        guard error.code == .notFound else { throw error }
      }
      return .lost
    }
  }

  private enum Attempt {
    case taken(OpenFileHandle)
    case held
    /// The opened file no longer has the name.
    case lost
  }

  private static func named(
    _ path: String, _ attempt: () throws(FileSystemError) -> Attempt
  ) throws(FileSystemError) -> OpenFileHandle? {
    for _ in 0..<attempts {
      switch try attempt() {
      case .taken(let file): return file
      case .held: return nil
      case .lost: continue
      }
    }
    throw FileSystemError(.interrupted, verb: .lock, path: path)
  }

  /// Closes the file unless its lock was taken and it still has the name.
  private static func locked(
    _ fileSystem: any FileSystem, _ path: String, _ file: OpenFileHandle
  ) throws(FileSystemError) -> Attempt {
    var result = Attempt.held
    do throws(FileSystemError) {
      if try fileSystem.lock(file) {
        result = try fileSystem.path(path, names: file) ? .taken(file) : .lost
      }
    } catch {
      fileSystem.close(file)
      throw error
    }
    if case .taken = result { return result }
    fileSystem.close(file)
    return result
  }
}

extension FileSystem {
  /// Opens a file for writing; makes an empty one where there is none.
  func openOrCreate(_ path: String) throws(FileSystemError) -> OpenFileHandle {
    do throws(FileSystemError) {
      return try open(path, .readWrite)
    } catch {
      guard error.code == .notFound else { throw error }
    }
    do throws(FileSystemError) {
      return try open(path, .create)
    } catch {
      // Another process made it in between.
      guard error.code == .exists else { throw error }
      return try open(path, .readWrite)
    }
  }
}
