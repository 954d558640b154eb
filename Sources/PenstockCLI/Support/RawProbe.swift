import Foundation
import PenstockLog

/// The least a durable append can cost, in plain code: compress, write at a place that is filled with zeros already, sync.
struct RawProbe {
  private let descriptor: Int32
  private let path: String
  private var position: off_t = 0
  private let compressor: ZstdCompressor
  private var frame: [UInt8] = []

  /// Makes a file of `bytes` zeros, on stable storage.
  init(_ path: String, bytes: Int) throws {
    self.path = path
    compressor = try ZstdCompressor(level: LogConfiguration().compressionLevel)
    descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure("create", path) }
    let zeros = [UInt8](repeating: 0, count: 1 << 20)
    for start in stride(from: 0, to: bytes, by: zeros.count) { try write(zeros, zeros.count, at: off_t(start)) }
    try synchronize()
  }

  /// Closes and removes the file.
  func end() {
    close(descriptor)
    unlink(path)
  }

  /// One block: compressed as one frame, written on the next page, synced.
  mutating func append(_ payload: [UInt8]) throws {
    let bound = Zstd.compressBound(payload.count)
    if frame.count < bound { frame = [UInt8](repeating: 0, count: bound) }
    let compressor = compressor
    let count = try payload.withUnsafeBytes { source in
      try frame.withUnsafeMutableBytes { target in try compressor.compress(source, into: target) }
    }
    let padded = min(BlockFormat.alignedUp(count), frame.count)
    try write(frame, padded, at: position)
    try synchronize()
    position += off_t(BlockFormat.alignedUp(count))
  }

  /// One page, written and synced.
  mutating func appendPage(_ page: [UInt8]) throws {
    try write(page, page.count, at: position)
    try synchronize()
    position += off_t(page.count)
  }

  private func write(_ bytes: [UInt8], _ count: Int, at place: off_t) throws {
    var done = 0
    while done < count {
      let written = bytes.withUnsafeBytes {
        pwrite(descriptor, $0.baseAddress.map { $0 + done }, count - done, place + off_t(done))
      }
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw Self.failure("write", path) }
      done += written
    }
  }

  private func synchronize() throws {
    #if os(Linux)
      let result = fdatasync(descriptor)
    #else
      let result = fcntl(descriptor, F_FULLFSYNC)
    #endif
    guard result >= 0 else { throw Self.failure("sync", path) }
  }

  private static func failure(_ verb: String, _ path: String) -> Failure {
    Failure(.cannot, "io", "could not \(verb) \(path): \(String(cString: strerror(errno)))")
  }
}

/// The machine a figure was measured on.
enum Machine {
  static func json(_ directory: String) -> JSON {
    .object([
      ("cores", .number(ProcessInfo.processInfo.activeProcessorCount)), ("kernel", .string(kernel)),
      ("fileSystem", .string(fileSystem(directory))), ("zstd", .string(Zstd.version)),
    ])
  }

  static func words(_ directory: String) -> String {
    "\(Words.count(ProcessInfo.processInfo.activeProcessorCount, "core")), \(kernel), \(fileSystem(directory)), "
      + "zstd \(Zstd.version)"
  }

  private static var kernel: String {
    var name = utsname()
    guard uname(&name) == 0 else { return "unknown" }
    func text<Value>(_ field: Value) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return "\(text(name.sysname)) \(text(name.release)) \(text(name.machine))"
  }

  /// The type of the mount the directory lies in.
  private static func fileSystem(_ directory: String) -> String {
    let path = URL(filePath: directory).resolvingSymlinksInPath().path
    guard let mounts = try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8) else { return "unknown" }
    var best = (length: 0, type: "unknown")
    for mount in mounts.split(separator: "\n") {
      let fields = mount.split(separator: " ")
      guard fields.count > 2 else { continue }
      let place = fields[1] == "/" ? "/" : fields[1] + "/"
      if (path + "/").hasPrefix(place), place.count >= best.length { best = (place.count, String(fields[2])) }
    }
    return best.type
  }
}
