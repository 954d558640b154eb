#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A file's bytes: copied on write, and moved in bulk, because a loop over bytes is slow in a debug build.
struct ByteImage: Sendable {
  static let sectorSize = 512
  private static let zeros = [UInt8](repeating: 0, count: 65536)

  private(set) var bytes: [UInt8]

  init(_ bytes: [UInt8] = []) { self.bytes = bytes }

  var count: Int { bytes.count }

  /// Cuts the end off or adds zeros.
  mutating func resize(to size: Int) {
    if size < bytes.count {
      bytes.removeLast(bytes.count - size)
      return
    }
    while bytes.count < size {
      let step = min(size - bytes.count, Self.zeros.count)
      Self.zeros.withUnsafeBufferPointer { bytes.append(contentsOf: UnsafeBufferPointer(rebasing: $0[..<step])) }
    }
  }

  /// Writes `source` at `start`, growing the image as needed.
  mutating func put(_ source: UnsafeRawBufferPointer, at start: Int) {
    if bytes.count < start + source.count { resize(to: start + source.count) }
    bytes.withUnsafeMutableBytes { target in
      UnsafeMutableRawBufferPointer(rebasing: target[start..<start + source.count]).copyMemory(from: source)
    }
  }

  /// Fills `target` from `start` as far as there are bytes; returns how many.
  func copy(to target: UnsafeMutableRawBufferPointer, from start: Int) -> Int {
    let length = max(0, min(target.count, bytes.count - start))
    guard length > 0 else { return 0 }
    bytes.withUnsafeBytes { source in
      UnsafeMutableRawBufferPointer(rebasing: target[..<length])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[start..<start + length]))
    }
    return length
  }

  /// Equal contents, equal digest. Sectors of zeros cost next to nothing.
  var digest: UInt64 {
    var hash = TraceHash()
    hash.mix(UInt64(bytes.count))
    bytes.withUnsafeBytes { all in
      var start = 0
      while start < all.count {
        let sector = UnsafeRawBufferPointer(rebasing: all[start..<min(start + Self.sectorSize, all.count)])
        if sector[0] != 0 || !isUniform(sector) {
          hash.mix(UInt64(start))
          hash.mix(sector)
        }
        start += sector.count
      }
    }
    return hash.value
  }

  /// Whether the image holds exactly `other` at `start`.
  func matches(_ other: UnsafeRawBufferPointer, at start: Int) -> Bool {
    guard start + other.count <= bytes.count else { return false }
    guard let right = other.baseAddress, !other.isEmpty else { return true }
    return bytes.withUnsafeBytes { source in
      guard let left = source.baseAddress else { return false }
      return memcmp(left + start, right, other.count) == 0
    }
  }

  /// Whole sectors, filled up with zeros past the end.
  func sectors(_ range: Range<Int>) -> [UInt8] {
    let start = range.lowerBound * Self.sectorSize
    let length = range.count * Self.sectorSize
    return [UInt8](unsafeUninitializedCapacity: length) { target, count in
      let raw = UnsafeMutableRawBufferPointer(target)
      let copied = copy(to: raw, from: start)
      // Not `initialize(repeating:)`, which is a loop over bytes in a debug build.
      if copied < length, let base = raw.baseAddress { memset(base + copied, 0, length - copied) }
      count = length
    }
  }
}

/// Whether all bytes are the same one.
func isUniform(_ bytes: UnsafeRawBufferPointer) -> Bool {
  guard bytes.count > 1, let start = bytes.baseAddress else { return true }
  return memcmp(start, start + 1, bytes.count - 1) == 0
}
