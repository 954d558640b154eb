/// A set of byte strings in one array. A search allocates nothing.
struct ByteSet: Hashable, Sendable {
  private var bytes: [UInt8] = []
  /// Where each member ends in `bytes`; the members are sorted by length, then by bytes.
  private var ends: [Int] = []

  init(_ values: [String]) {
    let members = Set(values.map { Array($0.utf8) }).sorted {
      $0.count != $1.count ? $0.count < $1.count : $0.lexicographicallyPrecedes($1)
    }
    for member in members {
      bytes += member
      ends.append(bytes.count)
    }
  }

  /// O(log members).
  func contains(_ value: UnsafeRawBufferPointer) -> Bool {
    bytes.withUnsafeBytes { all in
      var (low, high) = (0, ends.count)
      while low < high {
        let middle = (low + high) / 2
        let start = middle == 0 ? 0 : ends[middle - 1]
        let order = Self.order(value, all.part(start..<ends[middle]))
        if order == 0 { return true }
        if order < 0 { high = middle } else { low = middle + 1 }
      }
      return false
    }
  }

  private static func order(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    if a.count != b.count { return a.count - b.count }
    for index in 0..<a.count where a[index] != b[index] { return Int(a[index]) - Int(b[index]) }
    return 0
  }
}
