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
    if asked == 0 { return .passes }
    var scanner = JSONScanner(record)
    guard (try? scanner.beginDocument()) != nil, scanner.current == UInt8(ascii: "{") else { return .malformed }
    var walk = ObjectWalk(scanner)
    var met: UInt16 = 0
    var excluded: UInt16 = 0
    do throws(JSONFault) {
      while let member = try walk.next() {
        guard let field = member.field, asked & field.bit != 0 else { continue }
        switch field {
        case .properties where member.kind == .object: look(inProperties: record.part(member.value), &met, &excluded)
        case .segments where member.kind == .array: look(inSegments: record.part(member.value), &met, &excluded)
        case .appID, .type, .event:
          if let string = member.string { hold(string, in: record, against: field, &met, &excluded) }
        default: break
        }
      }
    } catch {
      return .malformed
    }
    return met == wanted.fields && excluded == 0 ? .passes : .filtered
  }

  @inline(__always)
  private func hold(
    _ string: JSONString, in bytes: UnsafeRawBufferPointer, against field: EventField, _ met: inout UInt16,
    _ excluded: inout UInt16
  ) {
    string.withUnescaped(in: bytes) { value in
      if wanted.meets(field, value) { met |= field.bit }
      if unwanted.meets(field, value) { excluded |= field.bit }
    }
  }

  /// The value was scanned as part of the record, so this scan throws nothing.
  private func look(inProperties object: UnsafeRawBufferPointer, _ met: inout UInt16, _ excluded: inout UInt16) {
    var walk = ObjectWalk(JSONScanner(object))
    while let member = try? walk.next() {
      guard let string = member.string, member.key.equals("id", in: object) else { continue }
      hold(string, in: object, against: .properties, &met, &excluded)
    }
  }

  private func look(inSegments array: UnsafeRawBufferPointer, _ met: inout UInt16, _ excluded: inout UInt16) {
    var scanner = JSONScanner(array)
    while scanner.moveToElement() {
      let start = scanner.position
      guard (try? scanner.scanValue(within: 1)) != nil else { return }
      guard array[start] == UInt8(ascii: "{") else { continue }
      let object = array.part(start..<scanner.position)
      var walk = ObjectWalk(JSONScanner(object))
      while let member = try? walk.next() {
        guard let string = member.string, member.key.equals("id", in: object) || member.key.equals("name", in: object)
        else { continue }
        hold(string, in: object, against: .segments, &met, &excluded)
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
