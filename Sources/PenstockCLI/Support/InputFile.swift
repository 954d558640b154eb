import Foundation
import PenstockLog
import PenstockToolSupport
import Synchronization

/// The input of a command: a file or standard input. Only one task may read at a time; reads block.
final class InputFile: Sendable {
  /// For messages: the path, or "standard input".
  let name: String
  /// In bytes; nil for input that is not seekable.
  let size: Int?
  private let descriptor: Int32
  /// The first bytes, until there are enough to detect the kind of input; then nil.
  private let beginning: Mutex<[UInt8]?>
  private static let chunk = 1 << 20

  /// Opens a file; `-` is standard input.
  ///
  /// - Parameter isEvents: Whether the input must be events: compressed input and other text than UTF-8 is rejected at
  ///   its first bytes.
  init(_ path: String, isEvents: Bool = false) throws(Failure) {
    beginning = Mutex(isEvents ? [] : nil)
    if path == "-" {
      name = "standard input"
      descriptor = STDIN_FILENO
      size = nil
    } else {
      name = path
      do throws(FileSystemError) {
        descriptor = try POSIXFileSystem().open(path, .readOnly).rawValue
      } catch {
        let advice = error.code == .isADirectory ? "; name a file, or - for standard input" : ""
        throw Failure(.cannot, "unreadable", "could not open \(path): \(error.code.explanation)\(advice)")
      }
      // A pipe cannot seek.
      let end = lseek(descriptor, 0, SEEK_END)
      size = end < 0 ? nil : Int(end)
      if end >= 0 { lseek(descriptor, 0, SEEK_SET) }
    }
    #if os(Linux)
      // F_SETPIPE_SZ: a larger pipe buffer wakes both sides less often. A failure does no harm.
      if size == nil { _ = fcntl(descriptor, 1031, Int32(Self.chunk)) }
    #endif
  }

  deinit {
    if descriptor != STDIN_FILENO { close(descriptor) }
  }

  /// Whether it can be read twice.
  var isSeekable: Bool { size != nil }

  /// Reads the next bytes, at least one; returns none at the end. Blocks. Throws for compressed events and other text
  /// than UTF-8.
  func read() throws(Failure) -> [UInt8] {
    let bytes = try readBytes()
    let first: [UInt8]? = beginning.withLock { beginning in
      guard var first = beginning else { return nil }
      first += bytes.prefix(InputKind.leastBytes - first.count)
      let isEnough = first.count >= InputKind.leastBytes || bytes.isEmpty
      beginning = isEnough ? nil : first
      return isEnough ? first : nil
    }
    if let first, let kind = InputKind(first) { throw kind.failure(name, isFile: isSeekable) }
    return bytes
  }

  private func readBytes() throws(Failure) -> [UInt8] {
    while true {
      var count = 0
      let bytes = [UInt8](unsafeUninitializedCapacity: Self.chunk) { buffer, initialized in
        count = Foundation.read(descriptor, buffer.baseAddress, Self.chunk)
        initialized = max(0, count)
      }
      if count >= 0 { return bytes }
      guard errno == EINTR else { throw Self.failure("read", name) }
    }
  }

  /// Waits at most `milliseconds`; returns whether a read would not block. Always true for a file.
  func isReady(within milliseconds: Int32) -> Bool {
    var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return Foundation.poll(&poll, 1, milliseconds) != 0
  }

  /// Reads a range; returns fewer bytes at the end of the file. Does not move the position of ``read()``. Needs
  /// `isSeekable`.
  func read(_ range: Range<Int>) throws(Failure) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < range.count {
      let left = range.count - bytes.count
      var count = 0
      let piece = [UInt8](unsafeUninitializedCapacity: left) { buffer, initialized in
        count = pread(descriptor, buffer.baseAddress, left, off_t(range.lowerBound + bytes.count))
        initialized = max(0, count)
      }
      if count == 0 { break }
      if count < 0 {
        guard errno == EINTR else { throw Self.failure("read", name) }
      }
      bytes += piece
    }
    return bytes
  }

  /// Sets the position of ``read()``. Needs `isSeekable`.
  func seek(to position: Int) {
    if position > 0 { beginning.withLock { $0 = nil } }
    lseek(descriptor, off_t(position), SEEK_SET)
  }

  /// Reads everything. Throws for more than `limit` bytes.
  func readAll(limit: Int) throws(Failure) -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let bytes = try read()
      if bytes.isEmpty { return all }
      guard all.count + bytes.count <= limit else {
        throw Failure(
          .bad, "body_too_long", "\(name) is longer than \(HumanFormat.bytes(limit)), the limit for one array",
          advice: "use one event per line instead (--format ndjson), which has no limit")
      }
      all += bytes
    }
  }

  private static func failure(_ verb: String, _ path: String) -> Failure {
    Failure(.cannot, "unreadable", "could not \(verb) \(path): \(String(cString: strerror(errno)))")
  }
}
