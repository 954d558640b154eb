package import PenstockDelivery
import PenstockLog
import PenstockSupport

/// The pattern of exported objects' names, such as `exports/usages-{yyyy}-{MM}-{dd}T{HH}-{first}-{last}.json`.
///
/// `{yyyy} {MM} {dd} {HH} {mm}` are the UTC time of the plan. `{first}` and `{last}` are the first and the last offset,
/// padded to 20 digits, so that names sort like numbers. `{cursor}` is the cursor's name. Two batches must not share a
/// name, so both offsets are required.
package struct ObjectKeyTemplate: Sendable, Hashable {
  package static let standard = "exports/usages-{yyyy}-{MM}-{dd}T{HH}-{first}-{last}.json"
  /// Amazon S3's limit for a key, in bytes of UTF-8.
  package static let maxKeyBytes = 1024

  private enum Part: Hashable {
    case text(String)
    case field(Field)
  }
  private enum Field: String, CaseIterable {
    case yyyy, MM, dd, HH, mm, first, last, cursor

    /// The number of digits; 0 for text.
    var digits: Int {
      switch self {
      case .yyyy: 4
      case .MM, .dd, .HH, .mm: 2
      case .first, .last: 20
      case .cursor: 0
      }
    }
  }

  private let parts: [Part]

  package init(_ text: String) throws(SinkError) {
    var parts: [Part] = []
    var rest = text[...]
    while let open = rest.firstIndex(where: { $0 == "{" || $0 == "}" }) {
      guard rest[open] == "{", let close = rest[open...].firstIndex(of: "}") else {
        throw SinkError("the key template \"\(text)\" has an unbalanced brace")
      }
      let name = rest[rest.index(after: open)..<close]
      guard let field = Field(rawValue: String(name)) else {
        let known = Field.allCases.map { "{\($0.rawValue)}" }.joined(separator: " ")
        throw SinkError("the key template has the unknown field {\(name)}; the fields are \(known)")
      }
      parts += [.text(String(rest[..<open])), .field(field)]
      rest = rest[rest.index(after: close)...]
    }
    parts.append(.text(String(rest)))
    guard parts.contains(.field(.first)), parts.contains(.field(.last)) else {
      throw SinkError("the key template \"\(text)\" needs {first} and {last}: without them two batches share a name")
    }
    guard !text.split(separator: "/").dropLast().contains(where: { $0 == Manifest.name }) else {
      throw SinkError(
        "the key template \"\(text)\" has the folder \(Manifest.name), which is reserved for the manifest")
    }
    self.parts = parts
  }

  /// The key of a batch; `suffix` is added unless the template ends with it.
  package func key(for outline: BatchMetadata, suffix: String) throws(SinkError) -> String {
    let time = CivilTime(outline.plannedAt)
    var key = ""
    for part in parts {
      switch part {
      case .text(let text): key += text
      case .field(let field): key += Self.value(field, outline, time)
      }
    }
    if !key.hasSuffix(suffix) { key += suffix }
    try Self.validate(key: key)
    return key
  }

  private static func value(_ field: Field, _ outline: BatchMetadata, _ time: CivilTime) -> String {
    switch field {
    case .yyyy: time.year.padded(4)
    case .MM: time.month.padded(2)
    case .dd: time.day.padded(2)
    case .HH: time.hour.padded(2)
    case .mm: time.minute.padded(2)
    case .first: outline.first.rawValue.padded(20)
    case .last: (outline.end.rawValue - 1).padded(20)
    case .cursor: outline.cursor
    }
  }

  /// The common prefix of all keys of a cursor.
  package func prefix(cursor: String) -> String {
    var prefix = ""
    for part in parts {
      switch part {
      case .text(let text): prefix += text
      case .field(.cursor): prefix += cursor
      case .field: return prefix
      }
    }
    return prefix
  }

  /// The range of records in a key; nil for a key that this template cannot give. `suffixes` are those of compressed
  /// objects.
  package func range(of key: String, cursor: String, suffixes: [String]) -> Range<UInt64>? {
    // The longest suffix first: the empty one matches every name.
    for suffix in suffixes.sorted(by: { $0.utf8.count > $1.utf8.count }) where key.hasSuffix(suffix) {
      for name in [key, String(key.dropLast(suffix.count))] {
        if let range = range(matching: Substring(name), cursor: cursor) { return range }
      }
    }
    return nil
  }

  private func range(matching key: Substring, cursor: String) -> Range<UInt64>? {
    var rest = key
    var first: UInt64?
    var last: UInt64?
    for part in parts {
      switch part {
      case .text(let text):
        guard rest.hasPrefix(text) else { return nil }
        rest = rest.dropFirst(text.count)
      case .field(.cursor):
        guard rest.hasPrefix(cursor) else { return nil }
        rest = rest.dropFirst(cursor.count)
      case .field(let field):
        let digits = rest.prefix(field.digits)
        guard digits.utf8.count == field.digits, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
          let number = UInt64(digits)
        else { return nil }
        rest = rest.dropFirst(field.digits)
        if field == .first { if let first, first != number { return nil } else { first = number } }
        if field == .last { if let last, last != number { return nil } else { last = number } }
      }
    }
    guard rest.isEmpty, let first, let last, first <= last, last < .max else { return nil }
    return first..<last + 1
  }

  /// Throws for a key that a bucket or a file system would resolve to a different name.
  static func validate(key: String) throws(SinkError) {
    guard key.utf8.count <= maxKeyBytes else {
      throw SinkError("the key \(key.prefix(60))… has \(key.utf8.count) bytes; the limit is \(maxKeyBytes)")
    }
    guard !key.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
      throw SinkError("the key contains a control character")
    }
    let names = key.split(separator: "/", omittingEmptySubsequences: false)
    guard !names.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) else {
      throw SinkError("the key \"\(key)\" has an empty path component, or \".\" or \"..\"")
    }
  }
}
