import PenstockEvents
import Testing

/// All sixteen sets of optional fields.
private let subsets: [[OptionalField]] = (0..<16).map { mask in
  OptionalField.allCases.enumerated().filter { mask >> $0.offset & 1 == 1 }.map(\.element)
}

@Suite("Field selection") struct FieldSelectionTests {
  /// Members as written, each with the white space around it and the name it has once unescaped.
  static let members: [(name: String, text: String)] = [
    ("app_id", #" "app\u005fid" : "é\"}" "#), ("user_id", "\n\t\"user_id\":\"1\""),
    ("traits", #""traits":{"app_id":1,"traits":[{"paths":{}}],"x":"}"}"#),
    ("properties", #" "properties" : { "traits" : 1 , "paths":[ ] , "app_id" :null}"#),
    ("paths", "\r\n\"\\u0070aths\" :[ ]\t"), ("segments", #""segmen\u0074s":[{"id":"1","name":"a,b"}]"#),
    ("traits", #" "traits":0 "#), ("unknown", #""unk\u006eown":[1e5, -0.0,"\ud83d\ude00"]"#),
    ("app_id", #""app_id":"again""#), ("app_ID", #""app_ID":1"#), ("paths", #" "paths":"\\""#),
  ]

  private func expected(_ members: [(name: String, text: String)], _ kept: [OptionalField], _ tail: String) -> String {
    let staying = members.filter { member in
      guard let field = OptionalField(rawValue: member.name) else { return true }
      return kept.contains(field)
    }
    return " {" + staying.map(\.text).joined(separator: ",") + tail + "} \n"
  }

  @Test(arguments: subsets)
  func `removes exactly the members it should and keeps every other byte`(_ kept: [OptionalField]) {
    for rotation in 0..<Self.members.count {
      let members = Array(Self.members[rotation...] + Self.members[..<rotation])
      for count in 0...members.count {
        // The white space before the closing brace is the brace's own.
        var some = Array(members.prefix(count))
        if count > 0 { some[count - 1].text = trimmedEnd(some[count - 1].text) }
        for tail in ["", " \n "] {
          #expect(render(expected(some, OptionalField.allCases, tail), keeping: kept) == expected(some, kept, tail))
        }
      }
    }
  }

  private func trimmedEnd(_ text: String) -> String { String(text.reversed().drop { $0.isWhitespace }.reversed()) }

  @Test(arguments: subsets)
  func `what is left is still an event, and selecting again changes nothing`(_ kept: [OptionalField]) {
    let record = #"{"app_id":"a","traits":{"a":[1]},"ts":1 ,"segments":[],"type":"page", "paths":[{}]}"#
    let once = render(record, keeping: kept)
    #expect(error(validate(once)) == nil)
    #expect(render(once, keeping: kept) == once)
    for field in OptionalField.allCases { #expect(once.contains("\"\(field.rawValue)\"") == kept.contains(field)) }
  }

  @Test func `an object of dropped members only becomes an empty one`() {
    #expect(render(#"{"app_id":1}"#, keeping: []) == "{}")
    #expect(render(#"{ "app_id":1 , "paths":2 }"#, keeping: []) == "{ }")
    #expect(render("{}", keeping: []) == "{}")
    #expect(render("{ }", keeping: [.paths]) == "{ }")
  }

  @Test(arguments: [
    "", " ", "[]", "[{\"app_id\":1}]", "\"app_id\"", "null", "{", "{\"app_id\":1", "{\"app_id\":1,}", "{\"app_id\":1}x",
    "{\"app_id\":1,\"b\":01}", "{\"b\":2,\"app_id\":1,\"c\"}", "plain text", "{\"app_id\":1}{\"app_id\":1}",
  ])
  func `what is not one well-formed JSON object passes untouched`(_ record: String) {
    #expect(render(record, keeping: []) == record)
    let broken = Array("{\"app_id\":1,\"b\":\"".utf8) + [0xFF] + Array("\"}".utf8)
    #expect(render(broken, FieldSelection(keeping: [])) == broken)
    let marked = [0xEF, 0xBB, 0xBF] + Array("{\"app_id\":1}".utf8)
    #expect(render(marked, FieldSelection(keeping: [])) == marked)
  }

  @Test func `appends after what the output holds, even when it has to start over`() {
    var output = Array("before".utf8)
    let selection = FieldSelection(keeping: [])
    for record in [#"{"app_id":1,"b":2}"#, #"{"a":1,"app_id":1,"b":}"#] {
      Array(record.utf8).withUnsafeBytes { selection.render($0, into: &output) }
    }
    #expect(text(output) == #"before{"b":2}{"a":1,"app_id":1,"b":}"#)
  }

  @Test func `keeps anything at all byte for byte when nothing is dropped`() {
    for record in [[], [0xFF, 0x00, 0x0A], Array("{\"app_id\" : 1 }".utf8)] as [[UInt8]] {
      #expect(render(record, .all) == record)
      #expect(render(record, FieldSelection(keeping: [.paths, .segments, .traits, .appID])) == record)
    }
  }

  @Test(arguments: subsets)
  func `has one text for each of the sixteen selections, which reads back`(_ kept: [OptionalField]) throws {
    let selection = FieldSelection(keeping: kept.reversed())
    #expect(try FieldSelection(parsing: selection.description) == selection)
    #expect(FieldSelection(selection.description) == selection)
    #expect(selection.kept == kept)
    for field in OptionalField.allCases { #expect(selection.keeps(field) == kept.contains(field)) }
  }

  @Test func `the texts are the ones frozen in intents`() throws {
    #expect(FieldSelection.all.description == "*")
    #expect(FieldSelection(keeping: []).description == "none")
    #expect(FieldSelection(keeping: [.traits, .appID]).description == "app_id,traits")
    #expect(FieldSelection(keeping: [.paths, .segments]).description == "segments,paths")
    #expect(Set(subsets.map { FieldSelection(keeping: $0).description }).count == 16)
    #expect(try FieldSelection(parsing: " traits ,\tapp_id") == FieldSelection(keeping: [.appID, .traits]))
    #expect(try FieldSelection(parsing: "app_id,traits,segments,paths") == .all)
  }

  @Test(arguments: [
    ("", ""), (" ", ""), ("ts", "ts"), ("app_id,", ""), ("app_id,user_id", "user_id"), ("paths,paths", "paths"),
    ("*,app_id", "*"), ("none,paths", "none"), ("App_id", "App_id"), ("app_id traits", "app_id traits"),
  ])
  func `refuses any other text, naming the part`(_ text: String, _ part: String) throws {
    #expect(FieldSelection(text) == nil)
    let error = try #require(throws: FieldSelection.ParseError.self) { try FieldSelection(parsing: text) }
    #expect(error.part == part)
    #expect(error.description.hasSuffix("found \"\(part)\""))
  }
}
