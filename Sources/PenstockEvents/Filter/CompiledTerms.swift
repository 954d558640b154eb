/// The lists of a filter in a form that is fast to compare with records.
struct CompiledTerms: Hashable, Sendable {
  var appIDs: ByteSet?
  var types: [EventType]?
  var events: ByteSet?
  var patterns: [Glob] = []
  var trackers: ByteSet?
  var segments: ByteSet?

  init() {}

  init(_ terms: EventFilter.Terms) throws(EventFilter.ParseError) {
    appIDs = terms.appIDs.map(ByteSet.init)
    types = terms.types
    trackers = terms.trackers.map(ByteSet.init)
    segments = terms.segments.map(ByteSet.init)
    guard let names = terms.events else { return }
    // Most names have no wildcard. They are looked up, instead of tried one after another.
    var plain: [String] = []
    for name in names {
      guard let glob = Glob(name) else { throw EventFilter.ParseError(part: name, reason: .pattern) }
      if name.utf8.contains(where: { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "\\") }) {
        patterns.append(glob)
      } else {
        plain.append(name)
      }
    }
    events = ByteSet(plain)
  }

  /// The fields that have a list, one bit each.
  var fields: UInt16 {
    var fields: UInt16 = 0
    if appIDs != nil { fields |= EventField.appID.bit }
    if types != nil { fields |= EventField.type.bit }
    if events != nil { fields |= EventField.event.bit }
    if trackers != nil { fields |= EventField.properties.bit }
    if segments != nil { fields |= EventField.segments.bit }
    return fields
  }

  /// Whether a value is in the list of a string field.
  func meets(_ field: EventField, _ value: UnsafeRawBufferPointer) -> Bool {
    switch field {
    case .appID: appIDs?.contains(value) ?? false
    case .type: types?.contains { value.equals($0.literal) } ?? false
    case .event: events?.contains(value) ?? false || patterns.contains { $0.matches(value) }
    case .properties: trackers?.contains(value) ?? false
    case .segments: segments?.contains(value) ?? false
    default: false
    }
  }
}

extension EventType {
  var literal: StaticString {
    switch self {
    case .page: "page"
    case .track: "track"
    case .custom: "custom"
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Whether these are the bytes of `text`.
  func equals(_ text: StaticString) -> Bool {
    guard count == text.utf8CodeUnitCount else { return false }
    for index in 0..<count where self[index] != text.utf8Start[index] { return false }
    return true
  }
}
