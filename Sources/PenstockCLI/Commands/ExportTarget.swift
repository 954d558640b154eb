import Foundation
import PenstockLog
import PenstockToolSupport

/// Where an export goes. A file gets its name when all of it is durable, so that no half of one is ever seen under it.
struct ExportTarget {
  /// Links are followed, so that --overwrite replaces the file and not the link.
  private let path: String?
  private let replaces: Bool
  private let fileSystem = POSIXFileSystem()
  private var file: PenstockLog.OpenFileHandle?
  /// Written so far.
  private(set) var bytes = 0

  /// Throws for a file that is there and is not to be replaced.
  init(_ path: String?, replaces: Bool) throws(Failure) {
    self.replaces = replaces
    self.path = path.map { Self.resolved($0) }
    try refuseWhatIsThere()
    guard let path = self.path else { return }
    var found = stat()
    guard stat(path, &found) == 0, found.st_mode & S_IFMT != S_IFREG else { return }
    throw Failure(
      .usage, "notAFile", "\(path) is no regular file, and cannot be replaced",
      advice: "without --output the records go to standard output")
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  private func refuseWhatIsThere() throws(Failure) {
    guard let path, !replaces else { return }
    var found = stat()
    guard lstat(path, &found) == 0 else { return }
    throw Failure(
      .cannot, "exists", "\(path) is there already, and is not overwritten",
      advice: "name another file, or add --overwrite")
  }

  /// Whether people may be shown how far it is: not where the records go to their terminal.
  var showsProgress: Bool { path != nil || isatty(STDOUT_FILENO) == 0 }

  private var temporary: String { (path ?? "") + ".part" }

  mutating func begin() throws {
    guard let path else { return }
    do throws(FileSystemError) {
      // Held until the end, so that what a killed export left is replaced, and one that runs is not.
      file = try NamedLock.create(fileSystem, temporary)
    } catch {
      throw Failure(
        .cannot, "unwritable", "could not create \(path): \(error.code.explanation)",
        advice: error.code == .notFound ? "make the directory first" : nil)
    }
    if file == nil {
      throw Failure(
        .cannot, "exists", "another export writes \(path) now", advice: "wait for it, or name another file")
    }
  }

  mutating func write(_ piece: [UInt8]) throws {
    guard !piece.isEmpty else { return }
    if let file {
      do throws(FileSystemError) {
        try piece.withUnsafeBufferPointer { (piece) throws(FileSystemError) in
          try fileSystem.writeAll(file, UnsafeRawBufferPointer(piece), at: UInt64(bytes))
        }
      } catch {
        throw Failure(.cannot, "unwritable", "could not write \(path ?? ""): \(error.code.explanation)")
      }
    } else {
      Output.standard.edit { $0.append(contentsOf: piece) }
    }
    bytes += piece.count
  }

  /// Makes it durable, and gives it its name.
  mutating func finish() throws {
    guard let path, let file else { return Output.standard.flush() }
    try refuseWhatIsThere()
    do throws(FileSystemError) {
      try fileSystem.synchronize(file)
      if replaces, try fileSystem.exists(path) {
        try fileSystem.replace(path, with: temporary)
      } else {
        try fileSystem.rename(temporary, to: path)
      }
      fileSystem.close(file)
      self.file = nil
      try fileSystem.synchronizeDirectory(LogPaths.parent(of: path))
    } catch {
      throw Failure(.cannot, "unwritable", "could not finish \(path): \(error.code.explanation)")
    }
  }

  /// Takes back what was begun.
  mutating func abandon() {
    guard path != nil else { return Output.standard.flush() }
    guard let file else { return }
    try? fileSystem.remove(temporary)
    fileSystem.close(file)
    self.file = nil
  }
}
