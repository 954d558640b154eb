package import PenstockDelivery
import PenstockLog

/// The pattern of exported objects' names, such as `exports/usages-{yyyy}-{MM}-{dd}T{HH}-{first}-{last}.json`.
///
/// `{yyyy} {MM} {dd} {HH} {mm}` are the UTC time at which the batch was planned, `{first}` and `{last}` its first and last
/// offset with zeros in front (20 digits, so that names sort as numbers), `{cursor}` the cursor's name. A batch's name must
/// not be another batch's, so both offsets are compulsory.
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
  }

  private let parts: [Part]

  package init(_ text: String) throws(SinkError) {
    var parts: [Part] = []
    var rest = text[...]
    while let open = rest.firstIndex(where: { $0 == "{" || $0 == "}" }) {
      guard rest[open] == "{", let close = rest[open...].firstIndex(of: "}") else {
        throw SinkError("the key template \"\(text)\" has a brace without its other half")
      }
      let name = rest[rest.index(after: open)..<close]
      guard let field = Field(rawValue: String(name)) else {
        let known = Field.allCases.map { "{\($0.rawValue)}" }.joined(separator: " ")
        throw SinkError("the key template has {\(name)}; it may have \(known)")
      }
      parts += [.text(String(rest[..<open])), .field(field)]
      rest = rest[rest.index(after: close)...]
    }
    parts.append(.text(String(rest)))
    guard parts.contains(.field(.first)), parts.contains(.field(.last)) else {
      throw SinkError("the key template \"\(text)\" needs {first} and {last}: without them two batches share a name")
    }
    self.parts = parts
  }

  /// The key of a batch; `suffix` is added unless the template ends with it.
  package func key(for outline: BatchOutline, suffix: String) throws(SinkError) -> String {
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

  private static func value(_ field: Field, _ outline: BatchOutline, _ time: CivilTime) -> String {
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

  /// Refuses what a bucket or a file system would read as another place than it says.
  static func validate(key: String) throws(SinkError) {
    guard key.utf8.count <= maxKeyBytes else {
      throw SinkError("the key \(key.prefix(60))… takes \(key.utf8.count) bytes; at most \(maxKeyBytes) are possible")
    }
    guard !key.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
      throw SinkError("the key contains a control character")
    }
    let names = key.split(separator: "/", omittingEmptySubsequences: false)
    guard !names.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) else {
      throw SinkError("the key \"\(key)\" has an empty name, \".\" or \"..\" between its slashes")
    }
  }
}
