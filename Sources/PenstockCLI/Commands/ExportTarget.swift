import Foundation
import PenstockLog
import PenstockToolSupport

/// The output of an export. A file gets its name when all of it is durable, so no partial file ever has that name.
struct ExportTarget {
  /// With links resolved, so that --overwrite replaces the file and not the link.
  private let path: String?
  private let replaces: Bool
  private let fileSystem = POSIXFileSystem()
  private var file: PenstockLog.OpenFileHandle?
  /// Written so far.
  private(set) var bytes = 0

  /// Throws when the file exists and must not be replaced.
  init(_ path: String?, replaces: Bool) throws(Failure) {
    self.replaces = replaces
    self.path = path.map { Self.resolved($0) }
    try refuseExisting()
    guard let path = self.path else { return }
    var found = stat()
    guard stat(path, &found) == 0, found.st_mode & S_IFMT != S_IFREG else { return }
    throw Failure(
      .usage, "notAFile", "\(path) is not a regular file and cannot be replaced",
      advice: "to write to standard output, leave out --output")
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  private func refuseExisting() throws(Failure) {
    guard let path, !replaces else { return }
    var found = stat()
    guard lstat(path, &found) == 0 else { return }
    throw Failure(
      .cannot, "exists", "\(path) already exists",
      advice: "name a different file, or add --overwrite")
  }

  /// Whether a progress line may appear: not when the records themselves go to the terminal.
  var showsProgress: Bool { path != nil || isatty(STDOUT_FILENO) == 0 }

  private var temporary: String { (path ?? "") + ".part" }

  mutating func begin() throws {
    guard let path else { return }
    do throws(FileSystemError) {
      // The lock separates a running export from the leftover of a killed one, which is replaced.
      file = try NamedLock.create(fileSystem, temporary)
    } catch {
      throw Failure(
        .cannot, "unwritable", "could not create \(path): \(error.code.explanation)",
        advice: error.code == .notFound ? "create the directory first" : nil)
    }
    if file == nil {
      throw Failure(
        .cannot, "exists", "another export is writing \(path)", advice: "wait for it, or name a different file")
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

  /// Syncs the file and gives it its name. Throws when the file exists by now and must not be replaced.
  mutating func finish() throws {
    guard let path, let file else { return Output.standard.flush() }
    try refuseExisting()
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

  /// Deletes the partial file.
  mutating func abandon() {
    guard path != nil else { return Output.standard.flush() }
    guard let file else { return }
    try? fileSystem.remove(temporary)
    fileSystem.close(file)
    self.file = nil
  }
}
