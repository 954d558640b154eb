extension EventFilter {
  /// Compares one record with the filter.
  ///
  /// A field matches its list when any member of that name (after unescaping) has a value of the right kind that is in
  /// the list. A field that is missing, `null` or of another kind matches no list. Strings are compared byte for byte
  /// after unescaping.
  ///
  /// Takes one pass, O(record bytes), and two over the values of `properties` and `segments` when the filter needs
  /// them. Allocates only for strings with escapes. A filter that passes everything does not read the record.
  public func verdict(on record: UnsafeRawBufferPointer) -> Verdict {
    let content = content
    if content.asked == 0 { return .passes }
    var met: UInt16 = 0
    var excluded: UInt16 = 0
    let isObject = record.forEachTerm(content.asked) { field, value in
      if content.wanted.meets(field, value) { met |= field.bit }
      if content.unwanted.meets(field, value) { excluded |= field.bit }
    }
    guard isObject else { return .malformed }
    return met == content.wanted.fields && excluded == 0 ? .passes : .filtered
  }
}

extension UnsafeRawBufferPointer {
  /// Calls `body` with each unescaped value that filters compare, of the fields in the set `asked`, in the record's
  /// order. False when the record is not one well-formed JSON object; `body` may have been called before.
  @inline(__always)
  func forEachTerm(_ asked: UInt16, _ body: (EventField, UnsafeRawBufferPointer) -> Void) -> Bool {
    var scanner = JSONScanner(self)
    guard (try? scanner.beginDocument()) != nil, scanner.current == UInt8(ascii: "{") else { return false }
    var walk = ObjectWalk(scanner)
    do throws(JSONFault) {
      while let member = try walk.next() {
        guard let field = member.field, asked & field.bit != 0 else { continue }
        switch field {
        case .properties where member.kind == .object: part(member.value).forEachTracker { body(.properties, $0) }
        case .segments where member.kind == .array: part(member.value).forEachSegment { body(.segments, $0) }
        case .appID, .type, .event: member.string?.withUnescaped(in: self) { body(field, $0) }
        default: break
        }
      }
    } catch {
      return false
    }
    return true
  }

  /// The value was scanned as part of the record, so this scan throws nothing.
  private func forEachTracker(_ body: (UnsafeRawBufferPointer) -> Void) {
    var walk = ObjectWalk(JSONScanner(self))
    while let member = try? walk.next() {
      guard let string = member.string, member.key.equals("id", in: self) else { continue }
      string.withUnescaped(in: self, body)
    }
  }

  private func forEachSegment(_ body: (UnsafeRawBufferPointer) -> Void) {
    var scanner = JSONScanner(self)
    while scanner.moveToElement() {
      let start = scanner.position
      guard (try? scanner.scanValue(within: 1)) != nil else { return }
      guard self[start] == UInt8(ascii: "{") else { continue }
      let object = part(start..<scanner.position)
      var walk = ObjectWalk(JSONScanner(object))
      while let member = try? walk.next() {
        guard let string = member.string, member.key.equals("id", in: object) || member.key.equals("name", in: object)
        else { continue }
        string.withUnescaped(in: object, body)
      }
    }
  }
}

extension JSONScanner {
  /// Moves to the next element of a well-formed array, from its opening bracket or from the end of an element. False at
  /// the end of the array.
  fileprivate mutating func moveToElement() -> Bool {
    skipWhitespace()
    guard current == UInt8(ascii: "[") || current == UInt8(ascii: ",") else { return false }
    position &+= 1
    skipWhitespace()
    return current != UInt8(ascii: "]")
  }
}
