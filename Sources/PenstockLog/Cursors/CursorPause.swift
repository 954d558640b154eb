/// A person's word that nothing new is to be sent from a cursor until a person takes it back.
///
/// It stands in a file of its own beside the cursor's, which its holder has locked: so it can be given and taken back from any
/// process, whether a delivery runs or not. That the file is there is the pause; what it says is for people.
public struct CursorPause: Hashable, Sendable, Codable {
  /// When the pause was put on; nil when the file does not say.
  public let since: Timestamp?
  /// Why, in that person's words: one line of at most 256 bytes; empty when none was given.
  public let reason: String

  public init(since: Timestamp?, reason: String = "") {
    self.since = since
    self.reason = CursorState.shortened(
      String(reason.map { $0.isNewline ? " " : $0 }))
  }

  private static let title = "penstock pause 1"

  fileprivate var encoded: [UInt8] {
    Array("\(Self.title)\nsince \(since?.nanoseconds ?? 0)\nreason \(reason)\n".utf8)
  }

  /// A file that says nothing, or something else, is a pause all the same: a crash may have come before its words.
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

/// Where pauses are kept.
extension CursorStore {
  static func pausePath(_ paths: LogPaths, name: String) -> String { paths.cursors + "/" + name + ".paused" }

  /// The pause on a cursor, if there is one. One look at a name when there is none.
  package static func pause(
    _ fileSystem: any FileSystem, _ paths: LogPaths, name: String
  ) throws(LogError) -> CursorPause? {
    do throws(FileSystemError) {
      let file = try fileSystem.open(pausePath(paths, name: name), .readOnly)
      defer { fileSystem.close(file) }
      var bytes = [UInt8](repeating: 0, count: 1024)
      // Words that cannot be read are no reason to go on sending.
      let count = (try? read(fileSystem, file, into: &bytes)) ?? 0
      return CursorPause(decoding: Array(bytes[..<count]))
    } catch {
      if error.code == .notFound { return nil }
      throw LogError(error, while: "look whether cursor \(name) is paused")
    }
  }

  /// Puts a pause on a cursor, or with nil takes it off; on stable storage when it returns. A pause that is there stays as it
  /// is. Needs no lock.
  package static func setPause(
    _ pause: CursorPause?, _ fileSystem: any FileSystem, _ paths: LogPaths, name: String
  ) throws(LogError) {
    try validate(name)
    let path = pausePath(paths, name: name)
    do throws(FileSystemError) {
      if let pause { try create(fileSystem, path, pause.encoded) } else { try fileSystem.removeIfPresent(path) }
      // Also of a pause that was there: whoever made it may have been killed before it was durable.
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
    // The file is the pause, its words are for people: on a full disk it does without them.
    if failure.code == .noSpace, failure.operation == "write" {
      do throws(FileSystemError) {
        return try fileSystem.truncate(file, to: 0)
      } catch {}
    }
    // The caller is told that there is no pause, so there must be none.
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
