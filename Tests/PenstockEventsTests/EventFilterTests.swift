import PenstockEvents
import Testing

private func verdict(_ filter: EventFilter, _ record: String) -> EventFilter.Verdict {
  Array(record.utf8).withUnsafeBytes { filter.verdict(on: $0) }
}

private func filter(_ text: String) throws -> EventFilter { try EventFilter(parsing: text) }

@Suite("Event filter") struct EventFilterTests {
  private let page = #"""
    {"app_id":"a1","event":"Home Page","type":"page","properties":{"values":[{"id":"no"}],"id":"t1"},
     "segments":[{"id":"s1","name":"Engaged"},{"id":"s2","name":"New"}]}
    """#

  @Test(arguments: [
    ("app=a1", true), ("app=a2", false), ("app=a2,a1", true), ("app=", false), ("type=page", true),
    ("type=track,custom", false), ("type=", false), ("event=Home%20Page", true), ("event=Home*", true),
    ("event=Home", false), ("event=*", true), ("event=H?me%20P*e", true), ("tracker=t1", true), ("tracker=no", false),
    ("tracker=", false), ("segment=s2", true), ("segment=Engaged", true), ("segment=s3", false), ("segment=", false),
    ("!app=a1", false), ("!app=a2", true), ("!app=", true), ("!segment=New", false), ("!event=Goal", true),
    ("!tracker=t1", false), ("!type=page", false), ("app=a1 type=page event=Home* tracker=t1 segment=s1", true),
    ("app=a1 type=track", false), ("app=a1 !event=Home*", false),
  ])
  func `each list asks about its own field`(text: String, passes: Bool) throws {
    #expect(verdict(try filter(text), page) == (passes ? .passes : .filtered))
  }

  @Test(arguments: [
    "{}", #"{"app_id":null,"event":null,"type":null,"properties":null,"segments":null}"#,
    #"{"app_id":1,"event":["x"],"type":{},"properties":[{"id":"x"}],"segments":{"id":"x"}}"#,
    #"{"properties":{"id":1},"segments":["x",1,null,[{"id":"x"}]]}"#,
    #"{"properties":{"values":{"id":"x"}},"traits":{"app_id":"x","event":"x"},"paths":[{"id":"x"}]}"#,
  ])
  func `a field that is missing, null or of another kind meets no list`(record: String) throws {
    for field in ["app", "event", "tracker", "segment"] {
      #expect(verdict(try filter("\(field)=x"), record) == .filtered, "\(field)")
      #expect(verdict(try filter("!\(field)=x"), record) == .passes, "!\(field)")
    }
    #expect(verdict(try filter("type=page,track,custom"), record) == .filtered)
  }

  @Test func `keys and values are compared after unescaping, byte for byte`() throws {
    let record = #"{"\u0061pp_id":"\u0061\"\ud83d\ude00\n","segments":[{"n\u0061me":"\u00e9"}]}"#
    #expect(verdict(try filter("app=a%22😀%0A"), record) == .passes)
    #expect(verdict(try filter("segment=\u{E9}"), record) == .passes)
    #expect(verdict(try filter("segment=e\u{301}"), record) == .filtered)
    #expect(verdict(try filter("app=*"), #"{"app_id":"x"}"#) == .filtered)
  }

  @Test func `any member of a name counts, the last as well as the first`() throws {
    let record = #"{"app_id":"a","app_id":"b","properties":{"id":"x","id":"y"},"properties":{"id":"z"}}"#
    for text in ["app=a", "app=b", "tracker=x", "tracker=y", "tracker=z"] {
      #expect(verdict(try filter(text), record) == .passes)
      #expect(verdict(try filter("!" + text), record) == .filtered)
    }
  }

  @Test(arguments: ["", "x", "[]", "1", #"{"app_id":"a""#, #"{"app_id":"a"}}"#, #"{"app_id":"a",}"#, "\u{FEFF}{}"])
  func `what is not one well-formed object is malformed, whatever was met before`(record: String) throws {
    #expect(verdict(try filter("app=a"), record) == .malformed)
    #expect(verdict(try filter("!app=a"), record) == .malformed)
    #expect(verdict(.all, record) == .passes)
  }

  @Test(arguments: [
    ("", "", true), ("", "x", false), ("*", "", true), ("*", "x", true), ("?", "", false), ("?", "é", true),
    ("??", "é", false), ("a*b*c", "a--b--c", true), ("a*b*c", "acb", false), ("*ab", "aab", true),
    ("*a?c*", "xxabcx", true), ("a**b", "ab", true), (#"\*"#, "*", true), (#"\*"#, "x", false), (#"\\?"#, #"\é"#, true),
    ("Custom_Goals_[*]", "Custom_Goals_[Activity Type]", true), ("a", "b", false),
  ])
  func `patterns`(pattern: String, name: String, matches: Bool) throws {
    var terms = EventFilter.Terms()
    terms.events = [pattern]
    let quoted = name.flatMap { $0 == "\\" ? "\\\\" : String($0) }
    let record = #"{"event":"\#(String(quoted))"}"#
    #expect(verdict(try EventFilter(including: terms), record) == (matches ? .passes : .filtered))
  }

  @Test func `equal filters have equal texts, which are read back as the same filter`() throws {
    var terms = EventFilter.Terms()
    terms.appIDs = ["b", "a", "b", "", "x,y %\"=!\u{7F}"]
    terms.types = [.custom, .page]
    terms.segments = []
    terms.events = ["\u{301}x", "e\u{301}", "\u{E9}"]
    var unwanted = EventFilter.Terms()
    unwanted.trackers = ["\u{301}"]
    let made = try EventFilter(including: terms, excluding: unwanted, malformed: .halt)
    let text =
      "app=\"\",a,b,x%2Cy%20%25%22=!%7F type=page,custom event=e\u{301},\u{E9},\u{301}x segment= "
      + "!tracker=\u{301} malformed=halt"
    #expect(Array(made.description.utf8) == Array(text.utf8))
    #expect(try EventFilter(parsing: text) == made)
    #expect(try EventFilter(parsing: "malformed=halt " + text.dropLast(15)) == made)
    #expect(EventFilter.all.description == "*" && EventFilter("*") == .all)
    #expect(try EventFilter().passesEverything && EventFilter() == .all)
    #expect(try filter("event=\u{E9}") != filter("event=e\u{301}"))
  }

  @Test(arguments: [
    "", " ", "app", "app=a app=b", "app=a  type=page", "apps=a", "type=pages", "app=%2", "app=%g0", "app=a,,b",
    "app=\"a", "app=%FF", "malformed=skip", "malformed=drop malformed=drop", #"event=a\"#, #"event=\x"#, "* app=a",
  ])
  func `a text that is not understood is refused`(text: String) {
    #expect(throws: EventFilter.ParseError.self) { try EventFilter(parsing: text) }
    #expect(EventFilter(text) == nil)
  }
}
