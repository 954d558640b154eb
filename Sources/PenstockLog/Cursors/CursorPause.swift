/// An operator's order to send nothing new from a cursor until an operator revokes it.
///
/// The pause is a file of its own, because the cursor's holder has locked the cursor. So any process can
/// set and revoke it, whether a delivery runs or not. The file's existence is the pause; its text is for operators.
public struct CursorPause: Hashable, Sendable, Codable {
  /// When the pause was set; nil when the file does not say.
  public let since: Timestamp?
  /// The operator's reason: one line of at most 256 bytes; empty when none was given.
  public let reason: String

  /// A pause; of the reason, line breaks become spaces and at most 256 bytes are kept.
  public init(since: Timestamp?, reason: String = "") {
    self.since = since
    self.reason = CursorState.shortened(
      String(reason.map { $0.isNewline ? " " : $0 }))
  }

  private static let title = "penstock pause 1"

  fileprivate var encoded: [UInt8] {
    Array("\(Self.title)\nsince \(since?.nanoseconds ?? 0)\nreason \(reason)\n".utf8)
  }

  /// A file with no text, or with another text, is a pause too: a crash may have come before its text.
  fileprivate init(decoding bytes: [UInt8]) {
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count == 4, lines[0] == Self.title, lines[1].hasPrefix("since "), lines[2].hasPrefix("reason "),
      let time = Int64(lines[1].dropFirst(6))
    else {
      self.init(since: nil)
      return
    }
    self.init(since: time == 0 ? nil : Timestamp(nanoseconds: time), reason: String(lines[2].dropFirst(7)))
  }
}

/// Where the log keeps pauses. Every method blocks the calling thread.
extension CursorStore {
  static func pausePath(_ paths: LogPaths, name: String) -> String { paths.cursors + "/" + name + ".paused" }

  /// The pause on a cursor, if there is one. Opens one name when there is none.
  package static func pause(
    _ fileSystem: any FileSystem, _ paths: LogPaths, name: String
  ) throws(LogError) -> CursorPause? {
    do throws(FileSystemError) {
      let file = try fileSystem.open(pausePath(paths, name: name), .readOnly)
      defer { fileSystem.close(file) }
      var bytes = [UInt8](repeating: 0, count: 1024)
      // An unreadable text is no reason to resume sending.
      let count = (try? read(fileSystem, file, into: &bytes)) ?? 0
      return CursorPause(decoding: Array(bytes[..<count]))
    } catch {
      if error.code == .notFound { return nil }
      throw LogError(error, while: "read whether cursor \(name) is paused")
    }
  }

  /// Sets a pause on a cursor, or revokes it with nil; on stable storage when it returns. An existing pause stays as it
  /// is. Needs no lock.
  package static func setPause(
    _ pause: CursorPause?, _ fileSystem: any FileSystem, _ paths: LogPaths, name: String
  ) throws(LogError) {
    try validate(name)
    let path = pausePath(paths, name: name)
    do throws(FileSystemError) {
      if let pause { try create(fileSystem, path, pause.encoded) } else { try fileSystem.removeIfPresent(path) }
      // Also for an existing pause: the process that made it may have been killed before it was durable.
      try fileSystem.synchronizeDirectory(paths.cursors)
    } catch {
      throw LogError(error, while: pause == nil ? "resume cursor \(name)" : "pause cursor \(name)")
    }
  }

  private static func create(
    _ fileSystem: any FileSystem, _ path: String, _ bytes: [UInt8]
  ) throws(FileSystemError) {
    let file: OpenFileHandle
    do throws(FileSystemError) { file = try fileSystem.open(path, .create) } catch {
      if error.code == .exists { return }
      throw error
    }
    defer { fileSystem.close(file) }
    var failure: FileSystemError?
    bytes.withUnsafeBytes { bytes in
      do throws(FileSystemError) {
        try fileSystem.writeAll(file, bytes, at: 0)
        try fileSystem.synchronize(file)
      } catch { failure = error }
    }
    guard let failure else { return }
    // The file is the pause, and its text is for operators: on a full disk the file stays empty.
    if failure.isHarmless {
      do throws(FileSystemError) {
        return try fileSystem.truncate(file, to: 0)
      } catch {}
    }
    // The caller gets an error, which says that there is no pause, so there must be none.
    try? fileSystem.remove(path)
    throw failure
  }

  private static func read(
    _ fileSystem: any FileSystem, _ file: OpenFileHandle, into bytes: inout [UInt8]
  ) throws(FileSystemError) -> Int {
    var result: Result<Int, FileSystemError> = .success(0)
    bytes.withUnsafeMutableBytes { buffer in
      do throws(FileSystemError) { result = .success(try fileSystem.readAll(file, into: buffer, at: 0)) } catch {
        result = .failure(error)
      }
    }
    return try result.get()
  }
}
