/// A field that a destination may omit.
public enum OptionalField: String, Sendable, CaseIterable {
  case appID = "app_id"
  case traits
  case segments
  case paths

  var field: EventField {
    switch self {
    case .appID: .appID
    case .traits: .traits
    case .segments: .segments
    case .paths: .paths
    }
  }
}

/// Which of the optional fields a destination receives; every other field always passes.
///
/// Its text is stable, because intents of open deliveries contain it: `*` for all, `none`, or the kept names, separated
/// by commas in the order `app_id,traits,segments,paths`. A new optional field would change the meaning of old texts,
/// and needs a new form.
public struct FieldSelection: Hashable, Sendable, LosslessStringConvertible {
  /// Why a text is not a field selection.
  public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The part that is not understood, or that occurs twice.
    public let part: String
    public var description: String {
      let names = OptionalField.allCases.map(\.rawValue).joined(separator: ", ")
      return "field selection: expected \"*\", \"none\" or some of \(names), each once, found \"\(part)\""
    }
  }

  /// Everything, byte for byte as sent.
  public static let all = FieldSelection(keeping: OptionalField.allCases)

  /// The `EventField.bit` of each field to leave out.
  let dropped: UInt16

  /// Keeps these optional fields and drops the others; all four is `.all`.
  public init(keeping fields: some Sequence<OptionalField>) {
    var dropped = OptionalField.allCases.reduce(UInt16(0)) { $0 | $1.field.bit }
    for kept in fields { dropped &= ~kept.field.bit }
    self.dropped = dropped
  }

  /// Whether the field is kept.
  public func keeps(_ field: OptionalField) -> Bool { dropped & field.field.bit == 0 }

  /// The optional fields that are kept, in the order of the text.
  public var kept: [OptionalField] { OptionalField.allCases.filter(keeps) }

  /// Reads the text of a selection; the names may come in any order, with spaces and tabs around them.
  public init(parsing text: String) throws(ParseError) {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(Self.trimmed)
    if parts == ["*"] {
      self = .all
      return
    }
    var fields: [OptionalField] = []
    if parts != ["none"] {
      for part in parts {
        guard let field = OptionalField(rawValue: part), !fields.contains(field) else { throw ParseError(part: part) }
        fields.append(field)
      }
    }
    self.init(keeping: fields)
  }

  /// Reads the text of a selection; nil where `init(parsing:)` throws.
  public init?(_ description: String) {
    guard let selection = try? FieldSelection(parsing: description) else { return nil }
    self = selection
  }

  public var description: String {
    if self == .all { return "*" }
    return kept.isEmpty ? "none" : kept.map(\.rawValue).joined(separator: ",")
  }

  private static func trimmed(_ text: Substring) -> String {
    func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }
    let start = text.drop(while: isBlank)
    guard let last = start.lastIndex(where: { !isBlank($0) }) else { return "" }
    return String(start[...last])
  }
}

extension FieldSelection {
  /// Appends the selected event to `output`.
  ///
  /// When nothing is dropped, that is the record byte for byte. Otherwise the top-level members with a dropped name are
  /// left out: compared after unescaping, every occurrence, each with the white space before it and one comma. The
  /// bytes of all others are as sent. A record that is not one well-formed JSON object, or nested deeper than 128
  /// levels, passes unchanged, because its fields are not certain. Every record that `EventValidator` accepts is such
  /// an object.
  ///
  /// Takes one pass, O(record bytes), without allocation except for the growth of `output`.
  public func render(_ record: UnsafeRawBufferPointer, into output: inout [UInt8]) {
    let mark = output.count
    guard dropped != 0, !renderObject(record, into: &output) else {
      if dropped == 0 { output.append(contentsOf: record) }
      return
    }
    output.removeSubrange(mark...)
    output.append(contentsOf: record)
  }

  /// Appends the object without the dropped members. False, with some bytes appended, if it is not well formed.
  private func renderObject(_ record: UnsafeRawBufferPointer, into output: inout [UInt8]) -> Bool {
    var scanner = JSONScanner(record)
    guard (try? scanner.beginDocument()) != nil, scanner.current == UInt8(ascii: "{") else { return false }
    var walk = ObjectWalk(scanner)
    // Everything before this position is in the output already, or was left out.
    var done = 0
    var hasKept = false
    var droppedEnd: Int?
    do {
      while let member = try walk.next() {
        // A comma belongs to the member after it; while nothing is kept yet, to the one before it.
        let boundary = hasKept ? member.separator : member.separator + 1
        if droppedEnd != nil { done = boundary }
        if let field = member.field, dropped & field.bit != 0 {
          if droppedEnd == nil { output.append(contentsOf: record.part(done..<boundary)) }
          droppedEnd = member.value.upperBound
        } else {
          hasKept = true
          droppedEnd = nil
        }
      }
    } catch {
      return false
    }
    // The white space before the closing brace belongs to the brace.
    output.append(contentsOf: record.part((droppedEnd ?? done)..<record.count))
    return true
  }
}
