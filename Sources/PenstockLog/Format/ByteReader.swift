/// Reads the fields of a value in order; throws instead of reading past the end.
package struct ByteReader {
  private let bytes: [UInt8]
  private var position = 0
  private let name: String

  package init(_ bytes: [UInt8], of name: String) {
    self.bytes = bytes
    self.name = name
  }

  package mutating func take(_ count: Int) throws(LogError) -> [UInt8] {
    guard count >= 0, position + count <= bytes.count else { throw LogError(.damaged, "\(name) is too short") }
    defer { position += count }
    return Array(bytes[position..<(position + count)])
  }

  package mutating func take<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) throws(LogError) -> Value {
    let raw = try take(MemoryLayout<Value>.size)
    return raw.withUnsafeBytes { $0.get(type, at: 0) }
  }
}
