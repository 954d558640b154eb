import Testing

@testable import PenstockEvents

private func fault(_ bytes: [UInt8], depthLimit: Int = 128) -> JSONFault? {
  bytes.withUnsafeBytes { bytes in
    var scanner = JSONScanner(bytes, depthLimit: depthLimit)
    do throws(JSONFault) { try scanner.scanDocument() } catch { return error }
    return scanner.position == bytes.count ? nil : JSONFault(reason: .trailingBytes, position: scanner.position)
  }
}

private func fault(_ text: String) -> JSONFault? { fault(Array(text.utf8)) }

@Suite("JSON scanner") struct JSONScannerTests {
  @Test(arguments: [
    "null", "true", "false", "0", "-0", "7", "-12", "10", "0.0", "-0.10", "1e5", "1E+05", "1.25e-300", "1e99999",
    "123456789012345678901234567890", "\"\"", "\"a\"", "[]", "{}", "[[]]", "[{}]", "{\"\":0}", "[1,2,3]", " [ 1 , 2 ] ",
    "\t\r\n 1 \t\r\n", "{ \"a\" : [ ] , \"b\" : { } }", "{\"a\":1,\"a\":2}", "[null,true,false,0,\"\",{},[]]",
    #""\"\\\/\b\f\n\r\t""#, #""\u0000\u00e9\uD7FF\uE000\uffff""#, #""\ud83d\uDE00""#, #""\uD800\uDC00\uDBFF\uDFFF""#,
    "\"\u{7F}\"", "\"é€😀\"", "\"\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}\"",
    "\"\u{FEFF}\"", "{\"\\u0061\":\"b\"}", "[\"]\",\"}\",\",\",\":\"]",
  ])
  func `accepts what RFC 8259 allows`(_ text: String) { #expect(fault(text) == nil) }

  static let rejected: [(String, JSONFault.Reason, Int)] = [
    ("", .empty, 0), ("  \n", .empty, 3), ("nul", .expectedLiteral, 3), ("nulL", .expectedLiteral, 3),
    ("True", .expectedValue, 0), ("tru ", .expectedLiteral, 3), ("falsey", .trailingBytes, 5),
    ("NaN", .expectedValue, 0), ("Infinity", .expectedValue, 0), ("-Infinity", .expectedDigit, 1),
    ("+1", .expectedValue, 0), (".5", .expectedValue, 0), ("-", .expectedDigit, 1), ("01", .leadingZero, 1),
    ("-012", .leadingZero, 2), ("1.", .expectedDigit, 2), ("1.e3", .expectedDigit, 2), ("1e", .expectedDigit, 2),
    ("1e+", .expectedDigit, 3), ("1e+-1", .expectedDigit, 3), ("1.2.3", .trailingBytes, 3), ("0x10", .trailingBytes, 1),
    ("1 2", .trailingBytes, 2), ("1_000", .trailingBytes, 1), ("'a'", .expectedValue, 0), ("[", .expectedValue, 1),
    ("[1", .expectedCommaOrBracket, 2), ("[1,", .expectedValue, 3), ("[1,]", .expectedValue, 3),
    ("[,1]", .expectedValue, 1), ("[1 2]", .expectedCommaOrBracket, 3), ("[1}", .expectedCommaOrBracket, 2),
    ("[]]", .trailingBytes, 2), ("]", .expectedValue, 0), ("{]", .expectedKey, 1), ("{", .expectedKey, 1),
    ("{\"a\"", .expectedColon, 4), ("{\"a\" 1}", .expectedColon, 5), ("{\"a\":", .expectedValue, 5),
    ("{\"a\":}", .expectedValue, 5), ("{\"a\":1", .expectedCommaOrBrace, 6), ("{\"a\":1]", .expectedCommaOrBrace, 6),
    ("{\"a\":1,}", .expectedKey, 7), ("{,}", .expectedKey, 1), ("{1:2}", .expectedKey, 1), ("{a:2}", .expectedKey, 1),
    ("{\"a\":1 \"b\":2}", .expectedCommaOrBrace, 7), ("[{\"a\":[}]", .expectedValue, 7),
    ("[1]//", .trailingBytes, 3), ("/**/1", .expectedValue, 0), ("{}{}", .trailingBytes, 2),
    ("1\u{0}", .trailingBytes, 1),
    ("\u{0}", .expectedValue, 0), ("\u{A0}1", .expectedValue, 0), ("[1,\u{B}2]", .expectedValue, 3),
    ("\u{FEFF}{}", .byteOrderMark, 0), ("\"", .unterminatedString, 1), ("\"abc", .unterminatedString, 4),
    ("\"abcdefghijkl", .unterminatedString, 13), ("\"a\\", .unterminatedString, 3), ("\"a\\\"", .unterminatedString, 4),
    ("\"a\nb\"", .controlCharacter, 2), ("\"\u{0}\"", .controlCharacter, 1),
    ("\"0123456789\u{1F}\"", .controlCharacter, 11), ("\"\t\"", .controlCharacter, 1), (#""\x41""#, .unknownEscape, 1),
    (#""ab\'""#, .unknownEscape, 3), (#""\U0041""#, .unknownEscape, 1), (#""\u12""#, .expectedHexDigits, 1),
    (#""\u12G4""#, .expectedHexDigits, 1), (#""\u"#, .expectedHexDigits, 1), (#""\u+123""#, .expectedHexDigits, 1),
    (#""a\ud800""#, .loneSurrogate, 2), (#""\udc00""#, .loneSurrogate, 1), (#""\ud800\ud800""#, .loneSurrogate, 1),
    (#""\ud800x""#, .loneSurrogate, 1), (#""\ud83d\u0041""#, .loneSurrogate, 1), (#""\ud83d\n""#, .loneSurrogate, 1),
    (#""\uDC00\uD800""#, .loneSurrogate, 1), (#""\uD83D\uDE0"#, .loneSurrogate, 1),
    (#"{"\ud800":1}"#, .loneSurrogate, 2),
  ]

  @Test(arguments: rejected)
  func `rejects what it does not, at the byte where that shows`(
    _ text: String, _ reason: JSONFault.Reason, _ position: Int
  ) {
    #expect(fault(text) == JSONFault(reason: reason, position: position))
  }

  @Test(
    arguments: [
      [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x41], [0xC2, 0xC2], [0xE0, 0x80, 0x80],
      [0xE0, 0x9F, 0xBF], [0xE2, 0x82], [0xE2, 0x28, 0xA1], [0xE2, 0x82, 0x28], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
      [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98], [0xF0, 0x9F, 0x28, 0x80], [0xF0, 0x9F, 0x98, 0x41],
      [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF],
    ] as [[UInt8]])
  func `rejects ill-formed UTF-8 at the first byte of the sequence`(_ sequence: [UInt8]) {
    // At every alignment to the eight-byte words, after a well-formed sequence, and cut off by the end.
    for pad in 0..<18 {
      let before = [UInt8(ascii: "\"")] + Array(repeating: UInt8(ascii: "x"), count: pad)
      let expected = JSONFault(reason: .invalidUTF8, position: before.count)
      #expect(fault(before + sequence + Array("\"".utf8)) == expected)
      #expect(fault(before + sequence + Array("xxxxxxxxxxxxxxxx\"".utf8)) == expected)
      #expect(fault(before + sequence) == expected)
      let after = JSONFault(reason: .invalidUTF8, position: before.count + 2)
      #expect(fault(before + Array("é".utf8) + sequence + Array("\"".utf8)) == after)
    }
  }

  @Test func `agrees with the standard library on every three-byte sequence that starts a string's content`() {
    let heads: [UInt8] = [0x7F, 0x80, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF]
    let tails: [UInt8] = [0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE1]
    for head in heads {
      for second in tails {
        for third in tails {
          for content in [[head, second], [head, second, third], [head, second, third, 0x80]] {
            let wellFormed = String(validating: content, as: UTF8.self) != nil
            #expect((fault([0x22] + content + [0x22]) == nil) == wellFormed, "\(content)")
          }
        }
      }
    }
  }

  @Test func `finds every byte that ends a plain run, at every alignment`() {
    for length in 0..<26 {
      for byte in UInt8.min...UInt8.max {
        let plain = Array(repeating: UInt8(ascii: "y"), count: length)
        let found = fault([0x22] + plain + [byte] + plain + [0x22])
        let at = length + 1
        let expected: JSONFault? =
          switch byte {
          case 0..<0x20: JSONFault(reason: .controlCharacter, position: at)
          case 0x22: JSONFault(reason: .trailingBytes, position: at + 1)
          case 0x5C where length == 0: JSONFault(reason: .unterminatedString, position: 3)
          case 0x5C: JSONFault(reason: .unknownEscape, position: at)
          case 0x80...: JSONFault(reason: .invalidUTF8, position: at)
          default: nil
          }
        #expect(found == expected, "byte \(byte) after \(length)")
      }
    }
  }

  @Test(arguments: [1, 2, 7, 127, 128])
  func `allows nesting up to the limit and not one deeper`(_ limit: Int) {
    func nested(_ depth: Int, _ open: String, _ inner: String, _ close: String) -> [UInt8] {
      Array((String(repeating: open, count: depth) + inner + String(repeating: close, count: depth)).utf8)
    }
    #expect(fault(nested(limit, "[", "1", "]"), depthLimit: limit) == nil)
    #expect(fault(nested(limit, "{\"a\":", "1", "}"), depthLimit: limit) == nil)
    #expect(fault(nested(limit + 1, "[", "", "]"), depthLimit: limit) == JSONFault(reason: .tooDeep, position: limit))
    #expect(
      fault(nested(limit + 1, "{\"a\":", "1", "}"), depthLimit: limit)
        == JSONFault(reason: .tooDeep, position: limit * 5))
    let pairs = Array((String(repeating: "[{}],", count: 300)).utf8).dropLast()
    #expect((fault([0x5B] + pairs + [0x5D], depthLimit: limit) == nil) == (limit >= 3))
  }

  @Test func `keeps apart which of 128 open brackets is which`() {
    var opened = ""
    var closed = ""
    for level in 0..<128 {
      let isObject = level % 3 == 1 || level % 7 == 2
      opened += isObject ? "{\"k\":" : "["
      closed = (isObject ? "}" : "]") + closed
    }
    #expect(fault(opened + "0" + closed) == nil)
    for index in closed.indices {
      var wrong = closed
      wrong.replaceSubrange(index...index, with: closed[index] == "]" ? "}" : "]")
      let position = (opened + "0").utf8.count + closed.utf8.distance(from: closed.startIndex, to: index)
      #expect(fault(opened + "0" + wrong)?.position == position)
    }
  }

  @Test func `a hostile body of a million open brackets is refused at the limit`() {
    #expect(fault(Array(repeating: UInt8(ascii: "["), count: 1_000_000)) == JSONFault(reason: .tooDeep, position: 128))
  }
}
