import PenstockEvents

/// Extracts the events from a body: a JSON array or a single object.
enum ReceiverBody {
  /// The events as lines, and their number. Each is byte for byte as it came, without line breaks between tokens
  /// (``RecordLine``).
  static func rows(of body: [UInt8]) throws(EventError) -> (bytes: [UInt8], count: Int) {
    let first = body.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    if first == UInt8(ascii: "[") { return try elements(of: body) }
    // A single object is wrapped in an array, so that the same code validates it.
    let wrapped = [UInt8(ascii: "[")] + body + [UInt8(ascii: "]")]
    let rows = try elements(of: wrapped)
    guard first == UInt8(ascii: "{"), rows.count == 1 else {
      throw EventError(.notAnObject, "expected a JSON array or one object", position: 0)
    }
    return rows
  }

  private static func elements(of array: [UInt8]) throws(EventError) -> (bytes: [UInt8], count: Int) {
    var rows: [UInt8] = []
    rows.reserveCapacity(array.count)
    let splitter = JSONArraySplitter(maxBodyBytes: .max)
    let count = try array.withUnsafeBufferPointer { (buffer) throws(EventError) in
      let bytes = UnsafeRawBufferPointer(buffer)
      return try splitter.split(bytes) { (range, _) throws(EventError) in
        RecordLine.append(UnsafeRawBufferPointer(rebasing: bytes[range]), to: &rows)
        rows.append(UInt8(ascii: "\n"))
      }
    }
    return (rows, count)
  }

  /// The decoded value of a query parameter; nil when it is missing or badly encoded. `+` is a space, as in HTML forms.
  static func parameter(_ name: String, in query: String) -> [UInt8]? {
    for pair in query.utf8.split(separator: UInt8(ascii: "&")) {
      let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      if decode(parts[0]) == Array(name.utf8) { return parts.count == 2 ? decode(parts[1]) : [] }
    }
    return nil
  }

  private static func decode(_ text: Substring.UTF8View) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = text
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else {
          return nil
        }
        bytes.append(high << 4 | low)
      default: bytes.append(byte)
      }
    }
    return bytes
  }

  private static func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
  }
}
