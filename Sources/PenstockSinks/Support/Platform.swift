#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The calls to the operating system that do not go through `FileSystem`.
enum Platform {
  static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  /// All variables of the process.
  static func environment() -> [String: String] { ProcessInfo.processInfo.environment }

  /// Reads a small file. Blocks. Throws if it is longer than `limit` bytes.
  static func contents(ofFile path: String, limit: Int) throws(PlatformError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw PlatformError(errno) }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw PlatformError(errno)
      }
      if count == 0 { return content }
      content.append(contentsOf: chunk[..<count])
      guard content.count <= limit else { throw PlatformError(EFBIG) }
    }
  }
}

/// An `errno` with its text.
struct PlatformError: Error, CustomStringConvertible {
  let code: Int32
  init(_ code: Int32) { self.code = code }
  var description: String { String(cString: strerror(code)) }
  /// Whether the file or one of its directories does not exist.
  var isMissing: Bool { code == ENOENT || code == ENOTDIR }
}
