import Foundation
import PenstockLog
import PenstockToolSupport
import Synchronization

/// What a command reads: a file, or standard input. Read by one task at a time.
final class InputFile: Sendable {
  /// As people call it.
  let name: String
  /// In bytes; nil where it is not known before the end.
  let size: Int?
  private let descriptor: Int32
  /// The first bytes, until enough of them are there to tell what the input is; nil from then on.
  private let beginning: Mutex<[UInt8]?>
  private static let chunk = 1 << 20

  /// Opens a file; `-` is standard input.
  ///
  /// - Parameter isEvents: Whether events are read: what is compressed or not UTF-8 is refused at its first bytes.
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
      // A pipe has no end to go to.
      let end = lseek(descriptor, 0, SEEK_END)
      size = end < 0 ? nil : Int(end)
      if end >= 0 { lseek(descriptor, 0, SEEK_SET) }
    }
    #if os(Linux)
      // F_SETPIPE_SZ: a pipe that holds more wakes both sides less often. A refusal costs nothing but that.
      if size == nil { _ = fcntl(descriptor, 1031, Int32(Self.chunk)) }
    #endif
  }

  deinit {
    if descriptor != STDIN_FILENO { close(descriptor) }
  }

  /// Whether it can be read twice.
  var isSeekable: Bool { size != nil }

  /// The next bytes, at least one; empty at the end. Blocks. Throws for events that are compressed, or other text than
  /// UTF-8.
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

  /// Whether a read would not wait, after waiting at most so long. Always true for a file.
  func isReady(within milliseconds: Int32) -> Bool {
    var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return Foundation.poll(&poll, 1, milliseconds) != 0
  }

  /// The bytes of a range; fewer at the end of the file. Leaves alone where ``read()`` goes on. Only where
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

  /// Goes on reading from a byte on. Only where `isSeekable`.
  func seek(to position: Int) {
    if position > 0 { beginning.withLock { $0 = nil } }
    lseek(descriptor, off_t(position), SEEK_SET)
  }

  /// Everything, up to `limit` bytes.
  func readAll(limit: Int) throws(Failure) -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let bytes = try read()
      if bytes.isEmpty { return all }
      guard all.count + bytes.count <= limit else {
        throw Failure(
          .bad, "body_too_long", "\(name) is longer than \(HumanFormat.bytes(limit)), and an array is read whole",
          advice: "send one event a line instead (--format ndjson): that streams, whatever its length")
      }
      all += bytes
    }
  }

  private static func failure(_ verb: String, _ path: String) -> Failure {
    Failure(.cannot, "unreadable", "could not \(verb) \(path): \(String(cString: strerror(errno)))")
  }
}
