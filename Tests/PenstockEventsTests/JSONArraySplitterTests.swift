import PenstockEvents
import Testing

private func split(
  _ body: [UInt8], maxBodyBytes: Int = 10_000, maxRecordBytes: Int = .max, depthLimit: Int = 128
) -> Result<[Range<Int>], EventError> {
  body.withUnsafeBytes { bytes in
    Result { () throws(EventError) in
      let splitter = JSONArraySplitter(
        maxBodyBytes: maxBodyBytes, maxRecordBytes: maxRecordBytes, depthLimit: depthLimit)
      var ranges: [Range<Int>] = []
      let count = try splitter.split(bytes) { range, number in
        #expect(number == ranges.count)
        ranges.append(range)
      }
      #expect(count == ranges.count)
      return ranges
    }
  }
}

private func elements(_ body: String) throws -> [String] {
  let bytes = Array(body.utf8)
  return try split(bytes).get().map { text(bytes[$0]) }
}

@Suite("JSON array splitter") struct JSONArraySplitterTests {
  @Test func `finds the elements, without the white space around them`() throws {
    #expect(try elements("[]") == [])
    #expect(try elements(" \n[ \t] \r\n") == [])
    #expect(try elements("[1]") == ["1"])
    #expect(
      try elements("\n[ {\"a\":[1, 2],\"b\":\"],[\"} ,\r\n[ ],\"x\" , null,-1.5e3 ,{ } ]\n")
        == ["{\"a\":[1, 2],\"b\":\"],[\"}", "[ ]", "\"x\"", "null", "-1.5e3", "{ }"])
    #expect(try elements("[\"\u{FEFF}é\",2]") == ["\"\u{FEFF}é\"", "2"])
  }

  @Test(
    arguments: [
      ("", .empty, nil, 0, 0), (" \n", .empty, nil, 2, 2), ("\u{FEFF}[]", .byteOrderMark, nil, 0, 0),
      (" {}", .notAnArray, nil, 1, 1), ("12", .notAnArray, nil, 0, 0), ("x", .unexpectedByte, nil, 0, 0),
      ("[]]", .trailingBytes, nil, 2, 2), ("[1] [2]", .trailingBytes, nil, 4, 4), ("[", .unexpectedEnd, 0, 0, 1),
      ("[ ,1]", .unexpectedByte, 0, 0, 2), ("[1,]", .unexpectedByte, 1, 0, 3), ("[1, ", .unexpectedEnd, 1, 0, 4),
      ("[1", .unexpectedEnd, 0, 1, 2), ("[1,22 3]", .unexpectedByte, 1, 3, 6),
      ("[{},{\"a\":tru}]", .unexpectedByte, 1, 8, 12), ("[{}}", .unexpectedByte, 0, 2, 3),
      ("[0,01]", .invalidNumber, 1, 1, 4), ("[1, \"a\nb\"]", .controlCharacter, 1, 2, 6),
      (#"[[],["\ud800"]]"#, .loneSurrogate, 1, 2, 6),
      ("[{\"a\":1]", .unexpectedByte, 0, 6, 7),
    ] as [(String, EventError.Code, Int?, Int, Int)])
  func `names the element and the byte of a fault`(
    body: String, code: EventError.Code, record: Int?, position: Int, bodyPosition: Int
  ) throws {
    let found = try #require(error(split(Array(body.utf8))), "\(body)")
    #expect(found.code == code && found.record == record, "\(body): \(found)")
    #expect(found.position == position && found.bodyPosition == bodyPosition, "\(body): \(found)")
  }

  @Test func `ill-formed UTF-8 is named by element and byte`() throws {
    let found = try #require(error(split(Array("[1,{\"a\":\"b".utf8) + [0xC0, 0x80] + Array("\"}]".utf8))))
    #expect(found.code == .invalidUTF8 && found.record == 1 && found.position == 7 && found.bodyPosition == 10)
    #expect(found.description == "record 1, byte 7: expected well-formed UTF-8, found byte 0xC0")
  }

  @Test func `every proper prefix of a body is refused`() {
    let body = Array(#" [{"a":[1,"\u00e9é"]}, 2.5e1 ,true]"#.utf8)
    for count in 0..<body.count { #expect(error(split(Array(body[..<count]))) != nil, "\(count)") }
    #expect(error(split(body)) == nil)
  }

  @Test func `limits count the body, the element, and the nesting within an element`() throws {
    let body = Array("[1,[22]]".utf8)
    #expect(error(split(body, maxBodyBytes: 8, maxRecordBytes: 4, depthLimit: 1)) == nil)
    let long = try #require(error(split(body, maxBodyBytes: 7)))
    #expect(long.code == .bodyTooLong && long.record == nil && long.position == 7)
    let record = try #require(error(split(body, maxRecordBytes: 3)))
    #expect(record.code == .recordTooLong && record.record == 1 && record.position == 3 && record.bodyPosition == 6)
    let deep = try #require(error(split(Array("[0,[[]]]".utf8), depthLimit: 1)))
    #expect(deep.code == .tooDeep && deep.record == 1 && deep.position == 1)
  }

  @Test func `elements before a fault have been handed on, and the caller's own error stops it`() {
    var seen: [Int] = []
    let splitter = JSONArraySplitter(maxBodyBytes: 100)
    #expect(throws: EventError.self) {
      try Array("[1,2,x]".utf8).withUnsafeBytes { try splitter.split($0) { _, number in seen.append(number) } }
    }
    #expect(seen == [0, 1])
    let mine = EventError(.wrongValue, "mine", position: 0)
    #expect(throws: mine) {
      try Array("[1,2,3]".utf8).withUnsafeBytes { bytes in
        try splitter.split(bytes) { (_, number) throws(EventError) in
          if number == 1 { throw mine } else { seen.append(9) }
        }
      }
    }
    #expect(seen == [0, 1, 9])
  }
}
