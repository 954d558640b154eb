import PenstockEvents
import Testing

private let sample = """
  {
    "app_id": "74f72649-0327-4911-bd21-a4cd533cec1c", "user_id": "123", "anonymous_user_id": "2528a84d8fa8…",
    "event": "Home Page", "platform": "redfast", "type": "page", "ts": 1630476856,
    "properties": {"id": "8e282c72", "values": [{"url_hash": "", "url_path": "/"}], "options": {"use_regex": false}},
    "traits": {"plan": "gold"}, "segments": [{"id": "1", "name": "Engaged"}],
    "paths": [{"id": "2", "name": "Prompt A", "device_type": "web", "zone": "banner"}]
  }
  """

private let values: [(kind: String, text: String)] = [
  ("an object", "{}"), ("an array", "[]"), ("a string", "\"page\""), ("a number", "1"), ("a boolean", "true"),
  ("a boolean", "false"), ("null", "null"),
]

private func kind(_ field: EventField) -> String {
  switch field {
  case .appID, .userID, .anonymousUserID, .event, .platform, .type: "a string"
  case .timestamp: "a number"
  case .properties, .traits: "an object"
  case .segments, .paths: "an array"
  }
}

@Suite("Event validator") struct EventValidatorTests {
  @Test func `accepts the documented event and reads its time and type`() throws {
    #expect(try validate(sample).get() == EventSummary(eventTime: 1_630_476_856_000_000_000, type: .page))
  }

  @Test(
    arguments: ["{}", " { } ", #"{"x":null,"x":[1],"TS":"a","ts ":{},"type_":3,"":0,"\u0074s2":0,"tz":1,"pathz":1}"#])
  func `asks for no field, and lets unknown fields be anything, even twice`(_ text: String) throws {
    #expect(try validate(text).get() == EventSummary(eventTime: nil, type: nil))
  }

  @Test func `known names nested deeper are not looked at`() throws {
    let text = #"{"properties":{"ts":"x","type":1,"app_id":[]},"traits":{"traits":null,"traits":0},"ts":2}"#
    #expect(try validate(text).get().eventTime == 2_000_000_000)
  }

  @Test(arguments: EventField.allCases)
  func `every known field takes its own kind of value, or null, and refuses every other`(_ field: EventField) throws {
    for value in values {
      let text = "{\"x\":1, \"\(field.rawValue)\": \(value.text)}"
      let result = validate(text)
      if value.kind == kind(field) || value.kind == "null" {
        #expect(error(result) == nil, "\(text)")
        continue
      }
      let found = try #require(error(result), "\(text)")
      #expect(found.code == .wrongType)
      #expect(found.field == field)
      #expect(found.position == field.rawValue.utf8.count + 12)
      let wanted = field == .timestamp ? "a number of epoch seconds" : kind(field)
      #expect(found.message.hasPrefix("expected \(wanted), found \(value.kind)"))
    }
  }

  @Test(arguments: EventField.allCases)
  func `every known field is refused a second time, also under escapes`(_ field: EventField) throws {
    let value = kind(field) == "a string" ? "\"page\"" : kind(field) == "a number" ? "1" : nil
    let text = value ?? (kind(field) == "an object" ? "{}" : "[]")
    let name = field.rawValue
    let escaped = name.utf8.map { "\\u00" + String($0, radix: 16) }.joined()
    for second in [name, escaped] {
      let start = "{\"\(name)\":\(text),\"other\":0, "
      let found = try #require(error(validate(start + "\"\(second)\":\(text)}")))
      #expect(found.code == .duplicateField)
      #expect(found.field == field)
      #expect(found.position == start.utf8.count)
    }
  }

  @Test(arguments: [#"\u0074s"#, #"t\u0073"#, #"\u0074\u0073"#])
  func `keys are compared after unescaping`(_ key: String) throws {
    #expect(try validate("{\"\(key)\":5}").get().eventTime == 5_000_000_000)
    #expect(error(validate("{\"\(key)\":{}}"))?.field == .timestamp)
  }

  @Test(arguments: [
    #"\u0074"#, #"\u0074s\u0000"#, #"\u0174s"#, #"\\u0074s"#, #"t\/s"#, #"ts\n"#, #"\ud83d\ude00ts"#, #"\u0054s"#,
    "xs", "tx", "typf", "evenu", "pathx", "app_ie", "traitz", "user_ie", "platforn", "segmentz", "propertiez",
    "anonymous_user_ie", "bnonymous_user_id",
  ])
  func `keys that only look like a known one are unknown`(_ key: String) throws {
    #expect(try validate("{\"\(key)\":true}").get().eventTime == nil)
  }

  @Test func `type is one of three words, escaped or not`() throws {
    #expect(try validate(#"{"type":"page"}"#).get().type == .page)
    #expect(try validate(#"{"type":"tr\u0061ck"}"#).get().type == .track)
    #expect(try validate(#"{"type":"custom"}"#).get().type == .custom)
    for wrong in ["", "Page", "pag", "pages", #"p\u0000age"#, "click", #"page\n"#] {
      let found = try #require(error(validate("{\"a\":1,\"type\": \"\(wrong)\"}")))
      #expect(found.code == .wrongValue && found.field == .type && found.position == 15)
    }
  }

  static let malformed: [(String, EventError.Code, Int, EventField?)] = [
    ("", .empty, 0, nil), ("\r", .empty, 1, nil), ("\u{FEFF}{}", .byteOrderMark, 0, nil), ("[]", .notAnObject, 0, nil),
    (" \"a\"", .notAnObject, 1, nil), ("null", .notAnObject, 0, nil), ("12", .notAnObject, 0, nil),
    ("x", .unexpectedByte, 0, nil), ("\u{0}", .unexpectedByte, 0, nil), ("{}x", .trailingBytes, 2, nil),
    ("{\"a\":1}{}", .trailingBytes, 7, nil), ("{", .unexpectedEnd, 1, nil), ("{\"ts\":1", .unexpectedEnd, 7, nil),
    ("{\"ts\":1,}", .unexpectedByte, 8, nil), ("{,}", .unexpectedByte, 1, nil),
    ("{\"ts\":01}", .invalidNumber, 7, .timestamp),
    ("{\"ts\":1.}", .invalidNumber, 8, .timestamp), ("{\"ts\":1.", .unexpectedEnd, 8, .timestamp),
    ("{\"ts\":}", .unexpectedByte, 6, .timestamp), ("{\"ts\" 1}", .unexpectedByte, 6, nil),
    ("{\"event\":\"a\tb\"}", .controlCharacter, 11, .event), ("{\"event\":\"ab", .unexpectedEnd, 12, .event),
    (#"{"user_id":"\q"}"#, .invalidEscape, 12, .userID), (#"{"user_id":"\u00"}"#, .invalidEscape, 12, .userID),
    (#"{"paths":["\udead"]}"#, .loneSurrogate, 11, .paths), (#"{"traits":{"a" 1}}"#, .unexpectedByte, 15, .traits),
    (#"{"traits":{"a":1],"b":2}"#, .unexpectedByte, 16, .traits), (#"{"x":"\q"}"#, .invalidEscape, 6, nil),
    ("{\"a\":1 \"b\":2}", .unexpectedByte, 7, nil), ("{\"a\":tru}", .unexpectedByte, 8, nil),
  ]

  @Test(arguments: malformed)
  func `names the byte, the code and the field of malformed JSON`(
    _ text: String, _ code: EventError.Code, _ position: Int, _ field: EventField?
  ) throws {
    let found = try #require(error(validate(text)))
    #expect(found.code == code)
    #expect(found.position == position)
    #expect(found.field == field)
    #expect(found.record == nil)
  }

  @Test func `ill-formed UTF-8 is refused in keys, values and between them`() throws {
    let key = try #require(error(validate(Array("{\"a".utf8) + [0xFF] + Array("\":1}".utf8))))
    #expect(key.code == .invalidUTF8 && key.position == 3)
    let value = try #require(error(validate(Array("{\"event\":\"ab".utf8) + [0xED, 0xA0, 0x80] + Array("\"}".utf8))))
    #expect(value.code == .invalidUTF8 && value.position == 12 && value.field == .event)
    let outside = try #require(error(validate(Array("{\"a\":".utf8) + [0xC3, 0xA9] + Array("}".utf8))))
    #expect(outside.code == .unexpectedByte && outside.position == 5)
    #expect(outside.description == "byte 5: expected a value, found byte 0xC3")
  }

  @Test func `the event itself counts as one level of nesting`() throws {
    #expect(error(validate(#"{"a":[{}]}"#, depthLimit: 3)) == nil)
    let found = try #require(error(validate(#"{"paths":[{}]}"#, depthLimit: 2)))
    #expect(found.code == .tooDeep && found.position == 10 && found.field == .paths)
    func nested(_ depth: Int) -> String {
      "{\"traits\":{\"a\":" + String(repeating: "[", count: depth - 2) + String(repeating: "]", count: depth - 2) + "}}"
    }
    #expect(error(validate(nested(128))) == nil)
    #expect(error(validate(nested(129)))?.code == .tooDeep)
    #expect(EventValidator(depthLimit: 0).depthLimit == 1)
    #expect(EventValidator(depthLimit: 1000).depthLimit == 128)
  }

  @Test func `an error tells its place and its cause in one line`() throws {
    let found = try #require(error(validate(#"{"ts": "soon"}"#)))
    let told = found.inRecord(17, startingAt: 100)
    #expect(told.description == "record 17, byte 7 (field \"ts\"): expected a number of epoch seconds, found a string")
    #expect(told.bodyPosition == 107)
    #expect(found.inRecord(17).bodyPosition == nil)
    #expect(found.bodyPosition == 7)
    #expect(told.code == found.code && told.field == .timestamp && told.record == 17)
    let end = try #require(error(validate("{\"a\":1")))
    #expect(end.description == "byte 6: expected \",\" or \"}\", found the end of the input")
    let byte = try #require(error(validate("{\"a\":1\u{1}}")))
    #expect(byte.description == "byte 6: expected \",\" or \"}\", found byte 0x01")
  }

  @Test func `an error repeats nothing of the user's data but one byte`() throws {
    for text in [#"{"type":"secret"}"#, #"{"ts":"secret"}"#, #"{"secret" 1}"#, #"{"app_id":"secret"#] {
      #expect(!(try #require(error(validate(text))).description.contains("secret")))
    }
  }
}

@Suite("Event time") struct EventTimeTests {
  @Test(
    arguments: [
      ("0", 0), ("-0", 0), ("-0.0", 0), ("1", 1_000_000_000), ("1630476856", 1_630_476_856_000_000_000),
      ("1630476856.5", 1_630_476_856_500_000_000), ("1630476856.123456789", 1_630_476_856_123_456_789),
      ("1630476856.1234567899", 1_630_476_856_123_456_789),
      ("1630476856.00000000000000000000000001", 1_630_476_856_000_000_000),
      ("0.000000001", 1), ("0.0000000019999999999999999999999", 1), ("0.0000000009", 0), ("-1", -1_000_000_000),
      ("-1.5", -1_500_000_000), ("-0.0000000001", 0), ("1.630476856e9", 1_630_476_856_000_000_000),
      ("1630476856000E-3", 1_630_476_856_000_000_000), ("1e+3", 1_000_000_000_000), ("12.5e-1", 1_250_000_000),
      ("1e-9", 1), ("1e-10", 0), ("0e999999999999999999999", 0), ("0.0e-999999999999999999999", 0),
      ("9223372036.854775807", .max), ("9223372036.854775808", .max), ("9223372036.854775806", .max - 1),
      ("-9223372036.854775807", -.max), ("-9223372036.854775808", .min), ("-9223372036.854775809", .min),
      ("18446744073.709551616", .max), ("1e10", .max), ("1630476856000", .max), ("-1630476856000", .min),
      ("99999999999999999999999999999999", .max), ("-1e400", .min), ("1e99999999999999999999999999", .max),
      ("1e-99999999999999999999999999", 0), ("10000000000000000000000000e-25", 1_000_000_000),
    ] as [(String, Int64)])
  func `ts becomes nanoseconds, exactly`(_ number: String, _ expected: Int64) throws {
    #expect(try validate("{\"ts\":\(number)}").get().eventTime == expected)
    #expect(try validate("{ \"ts\" : \(number) , \"a\":1}").get().eventTime == expected)
  }

  @Test func `a point moved far by the exponent changes nothing`() throws {
    let zeros = String(repeating: "0", count: 5000)
    #expect(try validate("{\"ts\":0.\(zeros)15e5001}").get().eventTime == 1_500_000_000)
    #expect(try validate("{\"ts\":15\(zeros)e-5001}").get().eventTime == 1_500_000_000)
    let digits = String(repeating: "9", count: 100_000)
    #expect(try validate("{\"ts\":\(digits)}").get().eventTime == .max)
    #expect(try validate("{\"ts\":-0.\(digits)}").get().eventTime == -999_999_999)
  }
}
