import PenstockEvents
import Testing

private let records = [#"{"app_id":"a","n":1}"#, #"{"n":2}"#, " {\"n\" : 3,\r\n\"app_id\":1} "].map { Array($0.utf8) }

@Suite("Records as lines") struct RecordLineTests {
  private func line(_ record: [UInt8]) -> String {
    var output: [UInt8] = []
    record.withUnsafeBytes { RecordLine.append($0, to: &output) }
    return text(output)
  }

  private func member(_ record: String) -> String {
    var output: [UInt8] = []
    Array(record.utf8).withUnsafeBytes { RecordLine.appendMember($0, to: &output) }
    return text(output)
  }

  @Test func `JSON without a line break is not touched, and with one loses the white space between tokens alone`() {
    for record in [#" { "a" : [1, 2] } "#, "7", "\t[]", #"{"a":"\n \\\" x"}"#] {
      #expect(line(Array(record.utf8)) == record)
    }
    #expect(
      line(Array("{\n  \"a b\" : [ 1.50, \"x \\\" y\\\\\" , null ]\r\n}\n".utf8)) == #"{"a b":[1.50,"x \" y\\",null]}"#)
    #expect(line(Array("[1,\r2]".utf8)) == "[1,2]")
  }

  @Test func `what is no JSON is an object that holds it, and so one line of JSON as well`() {
    #expect(line(Array("a\nb\"\\\u{7F}é".utf8)) == #"{"recordText":"a\u000ab\"\\\#u{7F}é"}"#)
    #expect(line([]) == #"{"recordText":""}"#)
    #expect(line(Array(#"{"a":"\ud800"}"#.utf8)) == #"{"recordText":"{\"a\":\"\\ud800\"}"}"#)
    // RFC 4648, 10, behind a byte that is no UTF-8.
    let cases: [([UInt8], String)] = [
      ([], "/w=="), ([0x66], "/2Y="), ([0x66, 0x6F], "/2Zv"), ([0x66, 0x6F, 0x6F], "/2Zvbw=="),
    ]
    for (bytes, coded) in cases { #expect(line([0xFF] + bytes) == #"{"recordBase64":"\#(coded)"}"#) }
  }

  @Test func `as a member, JSON stays as it is, and anything else has another name`() {
    #expect(member(#"{"a": 1}"#) == #""record":{"a": 1}"#)
    #expect(member("{\n}") == #""record":{}"#)
    #expect(member("{\n") == #""recordText":"{\u000a""#)
  }
}

@Suite("Event renderers") struct EventRendererTests {
  @Test func `an array joins records with commas, as sent`() {
    #expect(text(body(ArrayRenderer(), [])) == "[]")
    #expect(text(body(ArrayRenderer(), [records[0]])) == #"[{"app_id":"a","n":1}]"#)
    #expect(
      text(body(ArrayRenderer(), records)) == "[{\"app_id\":\"a\",\"n\":1},{\"n\":2}, {\"n\" : 3,\r\n\"app_id\":1} ]")
    let dropping = ArrayRenderer(selection: FieldSelection(keeping: []))
    #expect(text(body(dropping, records)) == "[{\"n\":1},{\"n\":2}, {\"n\" : 3} ]")
  }

  @Test func `a renderer begins afresh each time`() {
    var renderer = ArrayRenderer()
    var single = SingleRenderer()
    for _ in 0..<2 {
      var output: [UInt8] = []
      renderer.begin(&output)
      records[1].withUnsafeBytes { renderer.append($0, to: &output) }
      renderer.finish(&output)
      #expect(text(output) == #"[{"n":2}]"#)
      output = []
      single.begin(&output)
      records[1].withUnsafeBytes { single.append($0, to: &output) }
      single.finish(&output)
      #expect(text(output) == #"{"n":2}"#)
    }
  }

  @Test func `rows end with a line feed each, and a record without one is not touched`() {
    #expect(body(NDJSONRenderer(), []) == [])
    #expect(text(body(NDJSONRenderer(), Array(records[..<2]))) == "{\"app_id\":\"a\",\"n\":1}\n{\"n\":2}\n")
    let returns = Array("{\r\"n\":1}\r".utf8)
    #expect(body(NDJSONRenderer(), [returns]) == returns + [0x0A])
    let binary: [UInt8] = [0xFF, 0x0D, 0x00]
    #expect(body(NDJSONRenderer(), [binary]) == binary + [0x0A])
  }

  @Test func `a record that spans lines becomes one row of the same JSON`() {
    let pretty = Array("{\r\n  \"a\\n\": [\n1,\r2\n],\n\"app_id\":\"x\"\n}\n".utf8)
    #expect(
      text(body(NDJSONRenderer(), [records[1], pretty])) == "{\"n\":2}\n{    \"a\\n\": [ 1, 2 ], \"app_id\":\"x\" } \n")
    let dropping = NDJSONRenderer(selection: FieldSelection(keeping: []))
    #expect(text(body(dropping, [pretty, records[0]])) == "{    \"a\\n\": [ 1, 2 ] } \n{\"n\":1}\n")
    #expect(text(body(NDJSONRenderer(), [Array("not\njson\r\n".utf8)])) == "not json  \n")
  }

  @Test func `a single body is the bare object`() {
    #expect(body(SingleRenderer(), [records[2]]) == records[2])
    #expect(text(body(SingleRenderer(selection: FieldSelection(keeping: [])), [records[0]])) == #"{"n":1}"#)
  }

  @Test func `a second record in a single body stops the program`() async {
    await #expect(processExitsWith: .failure) { _ = body(SingleRenderer(), [Array("{}".utf8), Array("{}".utf8)]) }
  }
}
