/// A hash table from values of fields to the filters that list them. A search allocates nothing.
///
/// The hash is the standard library's, with a random seed for each process: the values of records come from outside.
struct TermTable: Sendable {
  private struct Entry {
    let field: EventField
    let hash: Int
    let start: Int
    let count: Int
    /// The filters that list the value.
    var numbers: [Int32]
  }

  private var bytes: [UInt8] = []
  private var entries: [Entry] = []
  /// The newest entry of each bucket, or -1. A power of two.
  private var buckets: [Int32] = [-1]
  private var next: [Int32] = []

  func count(under field: EventField, _ value: String) -> Int {
    var value = value
    return value.withUTF8 { entry(field, UnsafeRawBufferPointer($0)).map { entries[$0].numbers.count } ?? 0 }
  }

  /// The numbers under a value; none when the table does not hold it.
  func numbers(under field: EventField, _ value: UnsafeRawBufferPointer) -> [Int32] {
    entry(field, value).map { entries[$0].numbers } ?? []
  }

  mutating func add(_ number: Int32, under field: EventField, _ value: String) {
    var value = value
    value.withUTF8 { text in
      let text = UnsafeRawBufferPointer(text)
      if let found = entry(field, text) { return entries[found].numbers.append(number) }
      let hash = Self.hash(field, text)
      entries.append(Entry(field: field, hash: hash, start: bytes.count, count: text.count, numbers: [number]))
      bytes.append(contentsOf: text)
      next.append(-1)
      if entries.count > buckets.count { grow() } else { link(entries.count - 1) }
    }
  }

  private mutating func grow() {
    buckets = [Int32](repeating: -1, count: buckets.count * 2)
    for index in entries.indices { link(index) }
  }

  private mutating func link(_ index: Int) {
    let bucket = entries[index].hash & (buckets.count - 1)
    next[index] = buckets[bucket]
    buckets[bucket] = Int32(index)
  }

  private func entry(_ field: EventField, _ value: UnsafeRawBufferPointer) -> Int? {
    let hash = Self.hash(field, value)
    var index = Int(buckets[hash & (buckets.count - 1)])
    while index >= 0 {
      let entry = entries[index]
      if entry.hash == hash, entry.field == field, isEqual(entry, value) { return index }
      index = Int(next[index])
    }
    return nil
  }

  private func isEqual(_ entry: Entry, _ value: UnsafeRawBufferPointer) -> Bool {
    guard entry.count == value.count else { return false }
    return bytes.withUnsafeBytes { all in
      all.part(entry.start..<(entry.start + entry.count)).elementsEqual(value)
    }
  }

  private static func hash(_ field: EventField, _ value: UnsafeRawBufferPointer) -> Int {
    var hasher = Hasher()
    hasher.combine(field.bit)
    hasher.combine(bytes: value)
    return hasher.finalize()
  }
}
