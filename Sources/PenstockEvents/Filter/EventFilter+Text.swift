// The text of a filter, which plans contain:
//
//   app=a,b type=page,track event=Goal,Custom_* tracker=… segment=… !app=… !event=… malformed=pass
//
// Terms are separated by one space and written in this order. `!` marks an exclusion. `malformed` is omitted for
// `drop`. `*` alone is the filter that passes everything. Values are separated by commas. Bytes up to the space, DEL,
// comma, quotation mark and percent sign are written as % and two hexadecimal digits. The empty value is a pair of
// quotation marks.

extension EventFilter: LosslessStringConvertible {
  /// Why a text or a list of patterns is not a filter.
  public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
    enum Reason: Hashable, Sendable {
      case pattern, term, value
    }
    /// The part that is not understood, or that occurs twice.
    public let part: String
    let reason: Reason

    /// What is wrong, with the part of the text.
    public var description: String {
      switch reason {
      case .pattern: "event filter: the pattern \"\(part)\" has a backslash before something other than *, ? or \\"
      case .term:
        "event filter: expected app, type, event, tracker or segment, each once, with = and values; found \"\(part)\""
      case .value: "event filter: \"\(part)\" is not a valid value"
      }
    }
  }

  /// Reads the text of a filter, as ``description`` writes it. The terms may come in any order.
  public init(parsing text: String) throws(ParseError) {
    if text == "*" {
      self = .all
      return
    }
    var (including, excluding) = (Terms(), Terms())
    var malformed: Malformed?
    // By bytes: a combining character forms one `Character` with the separator before it.
    for part in text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false) {
      let sides = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      guard sides.count == 2 else { throw ParseError(part: String(Substring(part)), reason: .term) }
      let name = String(Substring(sides[0]))
      if name == "malformed" {
        guard malformed == nil, let value = Malformed(rawValue: String(Substring(sides[1]))) else {
          throw ParseError(part: String(Substring(part)), reason: .value)
        }
        malformed = value
      } else if name.hasPrefix("!") {
        try excluding.read(String(name.dropFirst()), sides[1])
      } else {
        try including.read(name, sides[1])
      }
    }
    try self.init(including: including, excluding: excluding, malformed: malformed ?? .drop)
  }

  /// Reads the text of a filter; nil where `init(parsing:)` throws.
  public init?(_ description: String) {
    guard let filter = try? EventFilter(parsing: description) else { return nil }
    self = filter
  }

  /// The canonical text.
  public var description: String {
    if passesEverything { return "*" }
    var parts = including.texts + excluding.texts.map { "!" + $0 }
    if malformed != .drop { parts.append("malformed=\(malformed.rawValue)") }
    return parts.joined(separator: " ")
  }
}

extension EventFilter.Terms {
  fileprivate var texts: [String] {
    let lists: [(String, [String]?)] = [
      ("app", appIDs), ("type", types.map { $0.map(\.rawValue) }), ("event", events), ("tracker", trackers),
      ("segment", segments),
    ]
    return lists.compactMap { name, values in
      values.map { "\(name)=" + $0.map(Self.escaped).joined(separator: ",") }
    }
  }

  fileprivate mutating func read(_ name: String, _ text: Substring.UTF8View) throws(EventFilter.ParseError) {
    let path: WritableKeyPath<EventFilter.Terms, [String]?>
    switch name {
    case "app": path = \.appIDs
    case "event": path = \.events
    case "tracker": path = \.trackers
    case "segment": path = \.segments
    case "type":
      guard types == nil else { throw EventFilter.ParseError(part: name, reason: .term) }
      var found: [EventType] = []
      for value in try Self.values(text) {
        guard let type = EventType(rawValue: value) else { throw EventFilter.ParseError(part: value, reason: .value) }
        found.append(type)
      }
      types = found
      return
    default: throw EventFilter.ParseError(part: name, reason: .term)
    }
    guard self[keyPath: path] == nil else { throw EventFilter.ParseError(part: name, reason: .term) }
    self[keyPath: path] = try Self.values(text)
  }

  private static func values(_ text: Substring.UTF8View) throws(EventFilter.ParseError) -> [String] {
    if text.isEmpty { return [] }
    var values: [String] = []
    for part in text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      guard let value = unescaped(Array(part)) else {
        throw EventFilter.ParseError(part: String(Substring(part)), reason: .value)
      }
      values.append(value)
    }
    return values
  }

  private static let digits = Array("0123456789ABCDEF".utf8)

  private static func isEscaped(_ byte: UInt8) -> Bool {
    byte <= 0x20 || byte == 0x7F || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "%") || byte == UInt8(ascii: "\"")
  }

  private static func escaped(_ value: String) -> String {
    if value.utf8.isEmpty { return "\"\"" }
    let bytes = value.utf8.flatMap { byte in
      isEscaped(byte) ? [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]] : [byte]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func unescaped(_ text: [UInt8]) -> String? {
    if text == Array("\"\"".utf8) { return "" }
    var bytes: [UInt8] = []
    var position = 0
    while position < text.count {
      if text[position] == UInt8(ascii: "%") {
        guard position + 2 < text.count, let high = digits.firstIndex(of: text[position + 1]),
          let low = digits.firstIndex(of: text[position + 2])
        else { return nil }
        let byte = UInt8(high << 4 | low)
        bytes.append(byte)
        position += 3
      } else if isEscaped(text[position]) {
        return nil
      } else {
        bytes.append(text[position])
        position += 1
      }
    }
    return bytes.isEmpty ? nil : String(validating: bytes, as: UTF8.self)
  }
}
