import PenstockEvents
@testable import PenstockLog
import Testing

@testable import PenstockServer

/// What came of a body, in one comparable value.
struct Decoded: Hashable, CustomStringConvertible {
  var rows: [String] = []
  var records = 0
  var refused: [EventError] = []
  var failure: EventError?

  var description: String {
    "\(rows) of \(records), refused \(refused), failure \(failure.map(\.description) ?? "none")"
  }

  /// - Parameter cuts: where the body is cut into pieces, ascending.
  init(_ body: [UInt8], _ format: IngestFormat, _ rules: IngestRules = IngestRules(), cuts: [Int] = []) {
    var decoder = IngestDecoder(format, rules)
    do throws(EventError) {
      for (start, end) in zip([0] + cuts, cuts + [body.count]) {
        try Array(body[start..<end]).withUnsafeBufferPointer { (bytes) throws(EventError) in
          try decoder.feed(UnsafeRawBufferPointer(bytes))
        }
      }
      let result = try decoder.finish()
      records = result.records
      refused = result.refused
      rows = result.batch.rows
    } catch {
      failure = error
    }
  }

  init(_ body: String, _ format: IngestFormat, _ rules: IngestRules = IngestRules()) {
    self.init(Array(body.utf8), format, rules)
  }
}

extension RecordBatch {
  var rows: [String] {
    var start = 0
    return ends.map { end in
      defer { start = Int(end) + 1 }
      return String(decoding: payload[start..<Int(end)], as: UTF8.self)
    }
  }
}

func rules(_ change: (inout IngestRules) -> Void) -> IngestRules {
  var rules = IngestRules()
  change(&rules)
  return rules
}

struct IngestDecoderTests {
  @Test func `an array, an object and lines give their events byte for byte`() {
    #expect(Decoded(#" [ {"ts":1} , {"event" : "é\n"}] "#, .json).rows == [#"{"ts":1}"#, #"{"event" : "é\n"}"#])
    #expect(Decoded("\n {\"ts\":\n1} \n", .json).rows == ["{\"ts\":\n1}"])
    #expect(Decoded("{\"ts\":1}\r\n\n  \n{\"ts\":2}", .ndjson).rows == [#"{"ts":1}"#, #"{"ts":2}"#])
    #expect(Decoded("[]", .json) == Decoded("[ \n ]", .json))
    #expect(Decoded("[]", .json).failure == nil)
    #expect(Decoded("[]", .json).records == 0)
  }

  /// The bodies of the tests about cutting: good ones, and ones with something wrong at every stage.
  static let bodies: [(IngestFormat, String)] = [
    (.json, #"[{"event":"é","ts":1},{"type":"page"},{"a":[[],{}]}]"#),
    (.json, #"[{"ts":1},{"ts":"no"},{"ts":3}]"#), (.json, #"[{"ts":1},{"ts":2}"#), (.json, #"[{"ts":1},{"t s":}]"#),
    (.json, #" {"app_id":"a"} "#), (.json, #"{"app_id":7}"#), (.json, ""), (.json, "nonsense"), (.json, "[1,2]"),
    (.ndjson, "{\"ts\":1}\r\n{\"ts\":2}\n\n{\"event\":\"é\"}"), (.ndjson, "{\"ts\":1}\n{\"ts\":}\n{\"ts\":3}\n"),
    (.ndjson, "\n \n"), (.ndjson, "[1]\n"), (.ndjson, "{\"long\":\"0123456789012345678901234567890123456789\"}\n{}"),
    (.ndjson, "\u{FEFF}{\"ts\":1}\n"), (.json, "\u{FEFF}[]"),
  ]

  @Test(arguments: IngestRules.OnError.allCases)
  func `where a body is cut makes no difference`(_ onError: IngestRules.OnError) {
    for (format, body) in Self.bodies {
      for limit in [1 << 20, 60, 40, 20, 1] {
        for events in [100, 1] {
          let rules = rules {
            ($0.maxBodyBytes, $0.maxEvents, $0.maxEventBytes, $0.onError) = (limit, events, 44, onError)
          }
          let bytes = Array(body.utf8)
          let whole = Decoded(bytes, format, rules)
          for first in 0...bytes.count {
            #expect(Decoded(bytes, format, rules, cuts: [first]) == whole, "\(body) cut at \(first)")
            for second in first...bytes.count where limit == 60 || limit == 1 << 20 {
              #expect(
                Decoded(bytes, format, rules, cuts: [first, second]) == whole, "\(body) cut at \(first), \(second)")
            }
          }
          #expect(Decoded(bytes, format, rules, cuts: Array(0..<bytes.count)) == whole, "\(body) byte by byte")
        }
      }
    }
  }

  @Test func `a record that is no event refuses the body, and is named by number, field and byte`() throws {
    let failure = try #require(Decoded(#"[{"ts":1}, {"ts":"no"}]"#, .json).failure)
    #expect(failure.code == .wrongType)
    #expect((failure.record, failure.field, failure.position, failure.bodyPosition) == (1, .timestamp, 6, 17))
    let line = try #require(Decoded("{\"ts\":1}\n\n{\"type\":\"x\"}\n", .ndjson).failure)
    #expect((line.record, line.field, line.bodyPosition) == (1, .type, 18))
  }

  @Test func `asked to, it leaves out what is no event, and says what was wrong with each`() {
    let rules = rules { $0.onError = .skip }
    let array = Decoded(#"[1,{"ts":1},{"ts":"no"},{"type":"page"},[]]"#, .json, rules)
    #expect(array.rows == [#"{"ts":1}"#, #"{"type":"page"}"#])
    #expect(array.refused.map(\.record) == [0, 2, 4])
    #expect(array.refused.map(\.code) == [.notAnObject, .wrongType, .notAnObject])
    #expect(array.records == 5)
    let lines = Decoded("{\"ts\":1}\n{\"ts\":\n{\"ts\":3}", .ndjson, rules)
    #expect(lines.rows == [#"{"ts":1}"#, #"{"ts":3}"#])
    #expect(lines.refused.map(\.code) == [.unexpectedEnd])
    // An array that is no JSON has no records that could be told apart.
    #expect(Decoded(#"[{"ts":1},{"ts":}]"#, .json, rules).failure?.code == .unexpectedByte)
    #expect(Decoded(#"{"ts":"no"}"#, .json, rules).failure?.record == 0)
  }

  @Test func `a line that is no event refuses no other, whatever is wrong with it`() {
    let skipping = rules { ($0.onError, $0.maxEventBytes) = (.skip, 40) }
    let good = #"{"ts":1}"#
    let bad: [(name: String, line: [UInt8], code: EventError.Code)] = [
      ("half a surrogate pair", Array(#"{"event":"\ud83d"}"#.utf8), .loneSurrogate),
      ("the other half", Array(#"{"event":"\ude00 x"}"#.utf8), .loneSurrogate),
      ("a surrogate in UTF-8", Array(#"{"a":""#.utf8) + [0xED, 0xA0, 0x80] + Array(#""}"#.utf8), .invalidUTF8),
      ("no UTF-8", Array(#"{"a":""#.utf8) + [0xFF] + Array(#""}"#.utf8), .invalidUTF8), ("a NUL", [0], .unexpectedByte),
      ("too long", Array(#"{"a":"\#(String(repeating: "x", count: 90))"}"#.utf8), .recordTooLong),
      ("too deep", Array(#"{"a":\#(String(repeating: "[", count: 30))"#.utf8), .unexpectedEnd),
      ("half a line", Array(#"{"a":"#.utf8), .unexpectedEnd), ("a word", Array("null".utf8), .notAnObject),
    ]
    for (name, line, code) in bad {
      for lines in [[line, Array(good.utf8)], [Array(good.utf8), line], [Array(good.utf8), line, Array(good.utf8)]] {
        for end in [[], [UInt8(ascii: "\n")], Array("\r\n".utf8)] {
          let body = Array(lines.joined(separator: [UInt8(ascii: "\n")])) + end
          let whole = Decoded(body, .ndjson, skipping)
          #expect(
            whole.failure == nil && whole.rows == lines.compactMap { $0 == line ? nil : good }, "\(name): \(whole)")
          #expect(whole.refused.map(\.code) == [code] && whole.records == lines.count, "\(name): \(whole)")
          #expect(whole.refused.first?.record == lines.firstIndex(of: line), "\(name)")
          #expect(Decoded(body, .ndjson, skipping, cuts: Array(0..<body.count)) == whole, "\(name), byte by byte")
        }
      }
    }
    let mark = Decoded("\u{FEFF}{}\n\(good)\n", .ndjson, skipping)
    #expect(mark.rows == [good] && mark.refused.map(\.code) == [.byteOrderMark])
    // Without being asked to, the first refuses the body as before.
    for (name, line, code) in bad {
      let refused = Decoded(line + Array("\n{}".utf8), .ndjson, rules { $0.maxEventBytes = 40 })
      #expect(refused.failure?.code == code && refused.rows.isEmpty, "\(name)")
    }
  }

  @Test func `what is wrong within a string of an array's element, or too deep, refuses no other element`() {
    let skipping = rules { ($0.onError, $0.depthLimit) = (.skip, 3) }
    for (element, code) in [
      (#"{"a":"\ud83d"}"#, EventError.Code.loneSurrogate), (#"{"a":"]\q,["}"#, .invalidEscape),
      (#"{"a":[[[["}"]]]]}"#, .tooDeep), (#""\ud83d""#, .notAnObject), (#"{"a":"\u12"}"#, .invalidEscape),
    ] {
      let found = Decoded(#"[{"ts":1},\#(element) , {"ts":3}]"#, .json, skipping)
      #expect(
        found.rows == [#"{"ts":1}"#, #"{"ts":3}"#] && found.refused.map(\.code) == [code], "\(element): \(found)")
      #expect(found.refused.first?.record == 1 && found.records == 3)
      // And where it has no end, there is no other.
      #expect(Decoded("[{},\(element)", .json, skipping).failure != nil, "\(element)")
    }
  }

  @Test func `limits are exact`() {
    let body = #"[{"ts":1},{"ts":22}]"#
    func decoded(_ change: (inout IngestRules) -> Void) -> EventError.Code? {
      Decoded(body, .json, rules(change)).failure?.code
    }
    #expect(decoded { $0.maxBodyBytes = 20 } == nil)
    #expect(decoded { $0.maxBodyBytes = 19 } == .bodyTooLong)
    #expect(decoded { $0.maxEventBytes = 9 } == nil)
    #expect(decoded { $0.maxEventBytes = 8 } == .recordTooLong)
    #expect(decoded { $0.maxEvents = 2 } == nil)
    #expect(decoded { $0.maxEvents = 1 } == .tooManyRecords)
    #expect(Decoded(#"[{"a":{"b":[]}}]"#, .json, rules { $0.depthLimit = 3 }).failure == nil)
    #expect(Decoded(#"[{"a":{"b":[]}}]"#, .json, rules { $0.depthLimit = 2 }).failure?.code == .tooDeep)
    #expect(Decoded("{\"ts\":12}", .json, rules { $0.maxEventBytes = 8 }).failure?.code == .recordTooLong)
    #expect(Decoded("{\"ts\":12}\n", .ndjson, rules { $0.maxEventBytes = 8 }).failure?.code == .recordTooLong)
  }

  @Test func `a key of one app sends events of that app alone`() {
    let own = rules { $0.appID = "shop" }
    for (body, isOwn) in [
      (#"{"app_id":"shop"}"#, true), (#"{"app_id":"sh\u006Fp"}"#, true), (#"{"app_id":"shop2"}"#, false),
      (#"{"app_id":"sho"}"#, false), (#"{"app_id":null}"#, false), (#"{"ts":1}"#, false), ("{}", false),
      (#"{"x":{"app_id":"shop"}}"#, false), (#"{"app_id":""}"#, false),
    ] {
      #expect(Decoded(body, .json, own).failure?.code == (isOwn ? nil : .foreignApp), "\(body)")
      #expect(Decoded("[\(body)]", .json, own).failure?.code == (isOwn ? nil : .foreignApp), "\(body)")
      #expect(Decoded(body, .ndjson, own).failure?.code == (isOwn ? nil : .foreignApp), "\(body)")
    }
  }

  @Test func `an array is judged as splitting and then validating judges it`() {
    for (_, body) in Self.bodies {
      let bytes = Array(body.utf8)
      var expected: EventError?
      var rows: [String] = []
      bytes.withUnsafeBufferPointer { pointer in
        let buffer = UnsafeRawBufferPointer(pointer)
        do throws(EventError) {
          try JSONArraySplitter(maxBodyBytes: .max, depthLimit: 64).split(buffer) {
            (range, number) throws(EventError) in
            do throws(EventError) {
              _ = try EventValidator(depthLimit: 64).validate(UnsafeRawBufferPointer(rebasing: buffer[range]))
            } catch {
              throw error.inRecord(number, startingAt: range.lowerBound)
            }
            rows.append(String(decoding: buffer[range], as: UTF8.self))
          }
        } catch { expected = error }
      }
      guard body.first == "[" else { continue }
      let found = Decoded(bytes, .json)
      #expect(found.failure == expected, "\(body)")
      if expected == nil { #expect(found.rows == rows) }
    }
  }

  @Test func `media types and codings that are not known are not taken`() {
    #expect(IngestFormat(contentType: nil) == .json)
    #expect(IngestFormat(contentType: "application/json; charset=utf-8") == .json)
    #expect(IngestFormat(contentType: "Application/X-NDJSON") == .ndjson)
    #expect(IngestFormat(contentType: "text/plain") == nil)
    #expect(IngestFormat(contentType: "application/x-www-form-urlencoded") == nil)
    #expect(ContentCoding(header: nil) == .identity)
    #expect(ContentCoding(header: "GZIP") == .gzip)
    #expect(ContentCoding(header: "zstd") == .zstd)
    for name in ["br", "gzip, zstd", "deflate", ""] { #expect(ContentCoding(header: name) == nil) }
  }
}
