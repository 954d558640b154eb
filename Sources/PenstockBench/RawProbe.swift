import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

/// The cheapest durable write possible: overwrite zeros in a preallocated file, then sync. Blocks.
struct RawProbe {
  private let descriptor: Int32
  private let path: String

  /// Creates a file of at least `bytes` zeros and syncs it.
  init(_ path: String, bytes: Int) throws {
    self.path = path
    descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure("create", path) }
    let zeros = [UInt8](repeating: 0, count: 1 << 20)
    try zeros.withUnsafeBytes { zeros in
      for start in stride(from: 0, to: bytes, by: zeros.count) { try write(zeros, at: start) }
    }
    try synchronize()
  }

  /// Closes and removes the file.
  func end() {
    close(descriptor)
    unlink(path)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws {
    var done = 0
    while done < bytes.count {
      let written = pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(position + done))
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw Self.failure("write", path) }
      done += written
    }
  }

  /// The cheapest call after which the written bytes are on stable storage.
  func synchronize() throws {
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

/// Writes and syncs of equal size, one after the other in a file of zeros. Restarts at the beginning when it is full.
struct SyncProbe {
  private let probe: RawProbe
  private let bytes: [UInt8]
  private let room: Int
  private var position = 0

  /// - Parameter size: Bytes per write, rounded up to pages.
  init(_ path: String, size: Int, count: Int) throws {
    let size = max(BlockFormat.alignment, BlockFormat.alignedUp(size))
    bytes = [UInt8](repeating: 0x55, count: size)
    room = size * count
    probe = try RawProbe(path, bytes: room)
  }

  func end() { probe.end() }

  /// Writes and syncs once.
  mutating func once() throws {
    if position + bytes.count > room { position = 0 }
    try bytes.withUnsafeBytes { try probe.write($0, at: position) }
    try probe.synchronize()
    position += bytes.count
  }
}

/// The machine a figure was measured on.
enum Machine {
  static func json(_ directory: String) -> JSON {
    .object([
      ("cores", .number(ProcessInfo.processInfo.activeProcessorCount)), ("processor", .string(processor)),
      ("memoryBytes", .number(ProcessInfo.processInfo.physicalMemory)), ("kernel", .string(kernel)),
      ("fileSystem", .string(fileSystem(directory))), ("zstd", .string(Zstd.version)),
    ])
  }

  static func words(_ directory: String) -> String {
    "\(HumanFormat.count(ProcessInfo.processInfo.activeProcessorCount, "core")), \(kernel), \(fileSystem(directory)), "
      + "zstd \(Zstd.version)"
  }

  private static var processor: String {
    guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("model name") }),
      let name = line.split(separator: ":", maxSplits: 1).last
    else { return "unknown" }
    return name.trimmingCharacters(in: .whitespaces)
  }

  private static var kernel: String {
    var name = utsname()
    guard uname(&name) == 0 else { return "unknown" }
    func text<Value>(_ field: Value) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return "\(text(name.sysname)) \(text(name.release)) \(text(name.machine))"
  }

  /// The file system type of the directory's mount.
  private static func fileSystem(_ directory: String) -> String {
    let path = URL(filePath: directory).resolvingSymlinksInPath().path
    guard let mounts = try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8) else { return "unknown" }
    var best = (length: 0, type: "unknown")
    for mount in mounts.split(separator: "\n") {
      let fields = mount.split(separator: " ")
      guard fields.count > 2 else { continue }
      let mountPoint = fields[1] == "/" ? "/" : fields[1] + "/"
      guard (path + "/").hasPrefix(mountPoint), mountPoint.count >= best.length else { continue }
      best = (mountPoint.count, String(fields[2]))
    }
    return best.type
  }
}
