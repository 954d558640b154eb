import Foundation
import PenstockToolSupport

/// Reads files one after the other as one stream of bytes. Blocks.
struct ByteStream {
  private var descriptors: [Int32]
  private var buffer: [UInt8] = []
  private var position = 0

  /// Reads the descriptors in order and closes them.
  init(_ descriptors: [Int32]) { self.descriptors = descriptors.reversed() }

  init(files: [String]) throws(Failure) {
    var descriptors: [Int32] = []
    for path in files {
      let descriptor = open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else {
        throw Failure(.cannot, "unreadable", "could not open \(path): \(String(cString: strerror(errno)))")
      }
      descriptors.append(descriptor)
    }
    self.init(descriptors)
  }

  /// Reads at least one byte, unless the stream is at its end.
  private mutating func fill() {
    while position == buffer.count, let descriptor = descriptors.last {
      var count = 0
      buffer = [UInt8](unsafeUninitializedCapacity: 1 << 20) { bytes, initialized in
        count = read(descriptor, bytes.baseAddress, bytes.count)
        initialized = max(0, count)
      }
      position = 0
      if count < 0, errno == EINTR { continue }
      if count <= 0 {
        close(descriptor)
        descriptors.removeLast()
      }
    }
  }

  private mutating func end() {
    for descriptor in descriptors { close(descriptor) }
    descriptors = []
  }

  /// The common beginning of two streams.
  struct Comparison {
    /// Rows before the first difference.
    var rows = 0
    var bytes = 0
    var isEqual = true
  }

  /// Compares two streams up to their ends or the first difference.
  static func compare(_ one: ByteStream, _ other: ByteStream) -> Comparison {
    var (one, other) = (one, other)
    defer {
      one.end()
      other.end()
    }
    var result = Comparison()
    while true {
      one.fill()
      other.fill()
      let count = min(one.buffer.count - one.position, other.buffer.count - other.position)
      if count == 0 {
        result.isEqual = one.position == one.buffer.count && other.position == other.buffer.count
        return result
      }
      let a = one.buffer[one.position..<(one.position + count)]
      let b = other.buffer[other.position..<(other.position + count)]
      let isEqual = a == b
      let same = isEqual ? count : zip(a, b).prefix { $0 == $1 }.count
      result.rows += a.prefix(same).withUnsafeBytes { $0.reduce(0) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) } }
      result.bytes += same
      guard isEqual else {
        result.isEqual = false
        return result
      }
      one.position += count
      other.position += count
    }
  }
}

/// Changes a file of rows, so that a test sees the check fail.
enum Tampering: String, CaseIterable {
  case lost, duplicated, changed

  /// Changes one row in the middle of the file.
  func apply(to path: String) throws {
    var data = try Data(contentsOf: URL(filePath: path))
    let middle = data.count / 2
    guard let start = data[..<middle].lastIndex(of: UInt8(ascii: "\n")).map({ $0 + 1 }) ?? (data.isEmpty ? nil : 0),
      let end = data[start...].firstIndex(of: UInt8(ascii: "\n"))
    else { throw Failure(.cannot, "plant", "\(path) has no row to tamper with") }
    let row = data[start...end]
    switch self {
    case .lost: data.removeSubrange(start...end)
    case .duplicated: data.insert(contentsOf: Data(row), at: end + 1)
    case .changed: data[start + row.count / 2] ^= 1
    }
    try data.write(to: URL(filePath: path))
  }
}
