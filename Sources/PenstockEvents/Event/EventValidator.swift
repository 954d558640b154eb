/// What the validator has read of an event.
public struct EventSummary: Hashable, Sendable {
  /// `ts` in nanoseconds since 1970-01-01T00:00:00Z; nil if the event has none. Fractions of a nanosecond are
  /// truncated. A time outside the years 1677 to 2262 becomes the nearest `Int64`.
  public let eventTime: Int64?
  /// `type`; nil if the event has none.
  public let type: EventType?

  /// What an event says of its time and type.
  public init(eventTime: Int64?, type: EventType?) {
    self.eventTime = eventTime
    self.type = type
  }
}

/// Checks that a record is a usage event. Strict about known fields that are present; requires none.
///
/// - A record is one JSON object (RFC 8259) in UTF-8, with only white space around it.
/// - A known field that is present has the kind of value that the event format defines, or `null`. Many producers send
///   `null` for a field without a value.
/// - `type` is one of `page`, `track`, `custom`. `ts` is a number of seconds since 1970, with or without decimals.
/// - A known field occurs once at the top level; keys are compared after unescaping.
/// - Nothing else is required. Delivery needs only a well-formed object, and an event without `ts` is found by its
///   append time. Unknown fields, and values nested in known fields, may be any JSON.
/// Takes one pass, O(record bytes), and allocates only to report an error.
public struct EventValidator: Sendable {
  /// How many arrays and objects may be open at once, the event itself included; 1...128.
  public let depthLimit: Int
  /// The only `app_id` that events may have, and then must have; nil: any or none.
  public let appID: String?

  /// - Parameters:
  ///   - depthLimit: How many arrays and objects may be open at once, including the event itself; clamped to 1...128.
  ///   - appID: The only `app_id` that events may have, and then must have.
  public init(depthLimit: Int = 128, appID: String? = nil) {
    self.depthLimit = min(max(depthLimit, 1), JSONScanner.deepest)
    self.appID = appID
  }

  /// Checks one record.
  ///
  /// - Throws: `EventError` for the first error, with its byte in the record and without a record number. The caller
  ///   adds the number: `throw error.inRecord(17)`.
  public func validate(_ record: UnsafeRawBufferPointer) throws(EventError) -> EventSummary {
    var scanner = JSONScanner(record, depthLimit: depthLimit)
    do { try scanner.beginDocument() } catch { throw EventError(error, in: record) }
    return try validate(&scanner, isDocument: true)
  }

  /// Checks the event that begins at the scanner's position, and moves the scanner past it. Errors count bytes from the
  /// buffer's beginning. With `isDocument`, only white space may follow.
  @inline(__always)
  func validate(_ scanner: inout JSONScanner, isDocument: Bool) throws(EventError) -> EventSummary {
    let record = scanner.bytes
    guard scanner.current == UInt8(ascii: "{") else { throw Self.notAnObject(record, at: scanner.position) }
    let start = scanner.position
    var walk = ObjectWalk(scanner, isDocument: isDocument)
    var seen: UInt16 = 0
    var eventTime: Int64?
    var type: EventType?
    while true {
      let member: ObjectWalk.Member?
      do { member = try walk.next() } catch { throw EventError(error, in: record, field: walk.currentField) }
      guard let member else { break }
      guard let field = member.field else { continue }
      try Self.check(member, field, &seen)
      if field == .appID, let appID { try Self.check(member, isApp: appID, in: record) }
      if member.kind == .null { continue }
      if field == .timestamp { eventTime = EventTime.nanoseconds(member.value, in: record) }
      if field == .type { type = try Self.type(of: member, in: record) }
    }
    if appID != nil, seen & EventField.appID.bit == 0 {
      throw EventError(.foreignApp, "expected the app_id of this key's app, found none", position: start, field: .appID)
    }
    scanner = walk.scanner
    return EventSummary(eventTime: eventTime, type: type)
  }

  private static func check(
    _ member: ObjectWalk.Member, isApp appID: String, in record: UnsafeRawBufferPointer
  ) throws(EventError) {
    let isSame = member.string?.withUnescaped(in: record) { $0.elementsEqual(appID.utf8) } ?? false
    if isSame { return }
    let message = "expected the app_id of this key's app, found another"
    throw EventError(.foreignApp, message, position: member.value.lowerBound, field: .appID)
  }

  @inline(__always)
  private static func check(
    _ member: ObjectWalk.Member, _ field: EventField, _ seen: inout UInt16
  ) throws(EventError) {
    if seen & field.bit != 0 {
      throw EventError(.duplicateField, "expected the field once, found it again", position: member.start, field: field)
    }
    seen |= field.bit
    guard member.kind == field.kind || member.kind == .null else { throw wrongType(member, field) }
  }

  private static func type(
    of member: ObjectWalk.Member, in record: UnsafeRawBufferPointer
  ) throws(EventError) -> EventType {
    guard let string = member.string, let type = EventType(string, in: record) else {
      let message = "expected \"page\", \"track\" or \"custom\", found another string"
      throw EventError(.wrongValue, message, position: member.value.lowerBound, field: .type)
    }
    return type
  }

  private static func wrongType(_ member: ObjectWalk.Member, _ field: EventField) -> EventError {
    let wanted = field == .timestamp ? "a number of epoch seconds" : field.kind.noun
    let message = "expected \(wanted), found \(member.kind.noun)"
    return EventError(.wrongType, message, position: member.value.lowerBound, field: field)
  }

  private static func notAnObject(_ record: UnsafeRawBufferPointer, at position: Int) -> EventError {
    guard position < record.count, let kind = JSONKind(firstByte: record[position]) else {
      return EventError(JSONFault(reason: .expectedValue, position: position), in: record)
    }
    // The kind comes from the first byte, which says little for an unknown word.
    let found = kind == .boolean || kind == .null ? "another word" : kind.noun
    return EventError(.notAnObject, "expected an object, found \(found)", position: position)
  }
}
