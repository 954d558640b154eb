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

/// What the sinks ask of the operating system besides the `FileSystem` seam.
enum Platform {
  static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  /// All of it, as it is now.
  static func environment() -> [String: String] { ProcessInfo.processInfo.environment }

  /// A whole small file; throws when it is longer than `limit` bytes.
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

/// An `errno` in words.
struct PlatformError: Error, CustomStringConvertible {
  let code: Int32
  init(_ code: Int32) { self.code = code }
  var description: String { String(cString: strerror(code)) }
  /// There is no such file, or none of its folders.
  var isMissing: Bool { code == ENOENT || code == ENOTDIR }
}
