import Testing

/// What a strict parser must accept and must refuse (RFC 8259), case by case. The cases are those of Nicolas Seriot
/// ("Parsing JSON is a minefield", 2016; `nst/JSONTestSuite`), and some more: all of its 95 and 188 cases, of which two
/// each are the same bytes. Where the RFC leaves the choice, a case says what is chosen here.
struct JSONSuiteTests {
  private static func accepts(_ text: String) -> Bool { isDocument(Array(text.utf8)) }

  @Test func `no case of the collection is left out`() {
    #expect(Set(Self.accepted.map { Array($0.utf8) }).count == 94)
    #expect(Set(Self.refused.map { Array($0.utf8) } + Self.refusedBytes + Self.refusedDeep).count == 187)
  }

  @Test(arguments: accepted + alsoAccepted)
  func `whatever must be accepted is`(_ text: String) { #expect(Self.accepts(text), "\(text.debugDescription)") }

  @Test(arguments: refused + alsoRefused)
  func `whatever must be refused is`(_ text: String) { #expect(!Self.accepts(text), "\(text.debugDescription)") }

  @Test(arguments: refusedBytes + alsoRefusedBytes)
  func `bytes that are no text are refused`(_ bytes: [UInt8]) { #expect(!isDocument(bytes), "\(bytes)") }

  @Test func `where the RFC leaves the choice, numbers of any size are taken, and text that is not Unicode is not`() {
    for text in [
      "[123.456e-789]", "[0.4e00669999999999999999999999999999999999999999999999999999999999999999]", "[-1e+9999]",
      "[1.5e+9999]", "[-123123123123123123123123123123]", "[100000000000000000000]", "[123123e100000]",
    ] { #expect(Self.accepts(text), "\(text)") }
    for text in [
      #"["\uDADA"]"#, #"["\uD888\u1234"]"#, #"["\uD800\n"]"#, #"["\uDd1ea"]"#, #"["\uD800\uD800\n"]"#, #"["\ud800"]"#,
      #"["\ud800abc"]"#, #"["\uDd1e\uD834"]"#, #"["\uDFAA"]"#, "\u{FEFF}{}",
    ] { #expect(!Self.accepts(text), "\(text)") }
    #expect(!Self.accepts(String(repeating: "[", count: 500) + String(repeating: "]", count: 500)))
  }

  @Test func `nesting without end is refused, in constant memory`() {
    for bytes in Self.refusedDeep { #expect(!isDocument(bytes)) }
    #expect(!Self.accepts(String(repeating: #"[{"":"#, count: 50_000)))
  }

  @Test func `every accepted text, cut short or followed by a byte, is refused or still a text`() {
    for text in Self.accepted + Self.alsoAccepted {
      let bytes = Array(text.utf8)
      for length in 0..<bytes.count {
        // Only the answer's own truth is checked: a prefix that is accepted must be a value and white space.
        if isDocument(Array(bytes[..<length])) { #expect(isDocument(Array(bytes[..<length]) + [0x20])) }
      }
      #expect(!isDocument(bytes + [0x00]))
      #expect(!isDocument(bytes + Array("]".utf8)))
    }
  }

  static let accepted: [String] = [
    // Arrays
    "[[]   ]", #"[""]"#, "[]", #"["a"]"#, "[false]", #"[null, 1, "1", {}]"#, "[null]", "[1\n]", " [1]",
    "[1,null,null,null,2]", "[2] ",
    // Numbers
    "[123e65]", "[0e+1]", "[0e1]", "[ 4]",
    "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]\n", "[20e1]", "[-0]", "[-123]",
    "[-1]", "[1E22]", "[1E-2]", "[1E+2]", "[123e45]", "[123.456e78]", "[1e-2]", "[1e+2]", "[123]", "[123.456789]",
    // Objects
    #"{"asd":"sdf", "dfg":"fgh"}"#, #"{"asd":"sdf"}"#, #"{"a":"b","a":"c"}"#, #"{"a":"b","a":"b"}"#, "{}", #"{"":0}"#,
    #"{"foo\u0000bar": 42}"#, #"{ "min": -1.0e+28, "max": 1.0e+28 }"#,
    #"{"x":[{"id": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}], "id": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#,
    #"{"title":"\u041f\u043e\u043b\u0442\u043e\u0440\u0430 \u0417\u0435\u043c\u043b\u0435\u043a\u043e\u043f\u0430" }"#,
    #"{"a":[]}"#, "{\n\"a\": \"b\"\n}",
    // Strings
    #"["\u0060\u012a\u12AB"]"#, #"["\uD801\udc37"]"#, #"["\ud83d\ude39\ud83d\udc8d"]"#, #"["\"\\\/\b\f\n\r\t"]"#,
    #"["\\u0000"]"#, #"["\""]"#, #"["a/*b*/c/*d//e"]"#, #"["\\a"]"#, #"["\\n"]"#, #"["\u0012"]"#, #"["\uFFFF"]"#,
    #"["asd"]"#, #"[ "asd"]"#, #"["\uDBFF\uDFFF"]"#, #"["new\u00A0line"]"#, #"["new\u000Aline"]"#, "[\"\u{10FFFF}\"]",
    "[\"\u{FFFF}\"]", #"["\u0000"]"#, #"["\u002c"]"#, "[\"\u{3C0}\"]", "[\"\u{1BFFF}\"]", #"["asd "]"#, "\" \"",
    #"["\uD834\uDd1e"]"#, #"["\u0821"]"#, #"["\u0123"]"#, "[\"\u{2028}\"]", "[\"\u{2029}\"]",
    #"["\u0061\u30af\u30EA\u30b9"]"#, "[\"\u{7F}\"]", #"["\uA66D"]"#, #"["\u005C"]"#, "[\"⍂㈴⍂\"]", #"["\u0022"]"#,
    #"["\uDBFF\uDFFE"]"#, #"["\uD83F\uDFFE"]"#, #"["\u200B"]"#, #"["\u2064"]"#, #"["\uFDD0"]"#, #"["\uFFFE"]"#,
    "[\"€𝄞\"]", "[\"a\u{7F}a\"]", #""""#,
    // Alone, and with white space
    "false", "42", "-0.1", "null", #""asd""#, "true", "[\"a\"]\n", "[true]", " [] ",
  ]

  static let alsoAccepted: [String] = [
    "\t[\r\n]", "[-0.000000000000000000000000000000000000000000000000000000000000000000000001]",
    #"{"x":[{"id": "xxxx"}], "id": "xxxx"}"#, #"{"title":"\u041f\u043e\u043b" }"#,
  ]

  static let refused: [String] = [
    // Arrays
    "[1 true]", #"["": 1]"#, #"[""],"#, "[,1]", "[1,,2]", #"["x",,]"#, #"["x"]]"#, #"["",]"#, #"["x""#, "[x", "[3[4]]",
    "[1:2]", "[,]", "[-]", #"[   , ""]"#, "[\"a\",\n4\n,1,", "[1,]", "[1,,]", "[\"\u{B}a\"\\f]", "[*]", #"["""#, "[1,",
    "[1,\n1\n,1", "[{}",
    // Numbers
    "[++1234]", "[+1]", "[+Inf]", "[-01]", "[-1.0.]", "[-2.]", "[-NaN]", "[.-1]", "[.2e-3]", "[0.1.2]", "[0.3e+]",
    "[0.3e]", "[0.e1]", "[0E+]", "[0E]", "[0e+]", "[0e]", "[1.0e+]", "[1.0e-]", "[1.0e]", "[1 000.0]", "[1eE2]",
    "[2.e+3]", "[2.e-3]", "[2.e3]", "[9.e+]", "[Inf]", "[NaN]", "[\u{FF11}]", "[1+2]", "[0x1]", "[0x42]", "[Infinity]",
    "[0e+-1]", "[-123.123foo]", "[-Infinity]", "[-foo]", "[- 1]", "[-012]", "[-.123]", "[-1x]", "[1ea]", "[1.]",
    "[.123]", "[1.2a-3]", "[1.8011670033376514H-308]", "[012]",
    // Objects
    #"["x", truth]"#, "{[: \"x\"}\n", #"{"x", null}"#, #"{"x"::"b"}"#, "{\u{1F1E8}\u{1F1ED}}", #"{"a":"a" 123}"#,
    "{key: 'value'}", #"{"a" b}"#, #"{:"b"}"#, #"{"a" "b"}"#, #"{"a":"#, #"{"a""#, "{1:1}", "{9999E9999:1}",
    "{null:null,null:null}", #"{"id":0,,,,,}"#, "{'a':0}", #"{"id":0,}"#, #"{"a":"b"}/**/"#, #"{"a":"b"}/**//"#,
    #"{"a":"b"}//"#, #"{"a":"b"}/"#, #"{"a":"b",,"c":"d"}"#, #"{a: "b"}"#, #"{"a":"a"#, #"{ "foo" : "bar", "a" }"#,
    #"{"a":"b"}#"#,
    // Strings
    #"["\uD800\"]"#, #"["\uD800\u"]"#, #"["\uD800\u1"]"#, #"["\uD800\u1x"]"#, "[é]", "[\"\\\u{0}\"]", #"["\x00"]"#,
    #"["\\\"]"#, "[\"\\\t\"]", "[\"\\\u{1F300}\"]", #"["\"]"#, #"["\u00A"]"#, #"["\uD834\uDd"]"#,
    #"["\uD800\uD800\x"]"#, #"["\a"]"#, #"["\uqqqq"]"#, #"[\u0020"asd"]"#, #"[\n]"#, "\"", "['single quote']", "abc",
    #"["\"#, "[\"a\u{0}a\"]", "[\"new\nline\"]", "[\"\t\"]", #""\UA66D""#, "\"\"x",
    // Structure
    "[\u{2060}]", "\u{FEFF}", "<.>", "[<null>]", "[1]x", "[1]]", #"["asd]"#, "aå", "[True]", "1]", #"{"x": true,"#,
    "[][]", "]", "[", "", "[\u{0}]", "2@", "{}}", #"{"":"#, #"{"a":/*comment*/"b"}"#, #"{"a": true} "x""#, "['", "[,",
    "[{", #"["a"#, #"["a""#, "{", "{]", "{,", "{[", #"{"a"#, "{'a'", #"["\{["\{["\{["\{"#, "*", #"{"a":"b"}#{}"#,
    #"[\u000A""]"#, "[1", "[ false, nul", "[ true, fals", "[ false, tru", #"{"asd":"asd""#, "å", "[\u{C}]",
    // Others
    "[fals]", "[nul]", "[tru]", "123\u{0}", " ",
  ]

  static let alsoRefused: [String] = [
    #"[""#, "-", "01", "1.", "1e", "+1", #"{[: "x"}"#, "[\"\u{1F}\"]", #""a"#, #"["\u{1234}"]"#, "[a", #"{"a":"b""#,
    "[1,2]//", #"{"a":"b"}{"#, "\u{0}", "nul", "truefalse", "[1\u{0}]",
  ]

  private static func bytes(_ before: String, _ wrong: [UInt8], _ after: String) -> [UInt8] {
    Array(before.utf8) + wrong + Array(after.utf8)
  }

  static let refusedBytes: [[UInt8]] = [
    bytes("[a", [0xE5], "]"), bytes("[", [0xFF], "]"), bytes("[123", [0xE5], "]"), bytes("[1e1", [0xE5], "]"),
    bytes("[0", [0xE5], "]\n"), bytes("[1e", [0xE5], "]"), bytes(#"{""#, [0xB9], #"":"0",}"#),
    bytes(#"["\u"#, [0xE5], #""]"#), bytes(#"["\"#, [0xE5], #""]"#), [0xEF, 0xBB, 0x7B, 0x7D], [0xE5], [0xE9],
  ]

  /// Alone or after text: never UTF-8, cut short, overlong, surrogates, beyond U+10FFFF, UTF-16, Latin-1.
  static let alsoRefusedBytes: [[UInt8]] = [
    bytes("[\"", [0xE9], "\"]"), bytes("[\"", [0xFF], "\"]"), bytes("[\"", [0x81], "\"]"),
    bytes("[\"", [0xC0, 0xAF], "\"]"), bytes("[\"", [0xE0, 0x80, 0xAF], "\"]"),
    bytes("[\"", [0xFC, 0x80, 0x80, 0x80, 0x80, 0x80], "\"]"),
    bytes("[\"", [0xFC, 0x83, 0xBF, 0xBF, 0xBF, 0xBF], "\"]"), bytes("[\"", [0xF4, 0xBF, 0xBF, 0xBF], "\"]"),
    bytes("[\"", [0xED, 0xA0, 0x80], "\"]"), bytes("[\"", [0xE6, 0x97, 0xA5, 0xD1, 0x88, 0xFA], "\"]"),
    bytes("[\"", [0xF0, 0x80, 0x80, 0x80], "\"]"), bytes("[\"", [0xC1, 0xBF], "\"]"),
    bytes("[\"", [0xE0, 0xFF], "\"]"), bytes("[\"", [0xF8, 0x88], "\"]"), bytes("[\"", [0xF0, 0x9F, 0x98], "\"]"),
    bytes(#"["a"#, [0xC3], ""),
    [0xFF, 0xFE, 0x5B, 0x00, 0x5D, 0x00], [0x00, 0x5B, 0x00, 0x5D], bytes("[0", [0xE5], "]"),
  ]

  static let refusedDeep: [[UInt8]] = [
    [UInt8](repeating: UInt8(ascii: "["), count: 100_000),
    Array((String(repeating: #"[{"":"#, count: 50_000) + "\n").utf8),
  ]
}
