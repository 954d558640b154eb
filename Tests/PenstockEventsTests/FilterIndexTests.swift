import PenstockEvents
import Testing

/// The index against the plain filter, over every combination of a small world.
@Suite("Filter index") struct FilterIndexTests {
  private static let filters: [EventFilter] = {
    var texts: Set<String> = ["*"]
    let lists: [[String]] = [
      ["", "app=", "app=a", "app=a,b"], ["", "type=", "type=page,track"],
      ["", "event=a", "event=?,a*", #"event=\*"#], ["", "tracker=a,b"], ["", "segment=a,é"],
      ["", "!app=a", "!event=a*", "!type=page !segment=a", "!tracker=b malformed=halt"],
    ]
    for one in product(lists) { texts.insert(one.filter { !$0.isEmpty }.joined(separator: " ")) }
    texts.remove("")
    return texts.sorted().compactMap { try? EventFilter(parsing: $0) }
  }()

  private static let records: [[UInt8]] = {
    let members: [[String]] = [
      ["", #""app_id":"a""#, #""app_id":"b","app_id":"a""#, #""app_id":null"#, #""app_id":"\u0061""#],
      ["", #""type":"page""#, #""type":"custom""#], ["", #""event":"a""#, #""event":"ab""#, #""event":"*""#],
      ["", #""properties":{"id":"a","id":"b"}"#, #""properties":["a"]"#],
      ["", #""segments":[{"id":"x"},{"name":"a"}]"#, #""segments":[{"id":"\u00e9"},1]"#],
    ]
    var records = product(members).map { "{\($0.filter { !$0.isEmpty }.joined(separator: ","))}" }
    records += ["", "x", "[]", #"{"app_id":"a""#, #"{"app_id":"a"}}"#, #"{"app_id":"a",}"#]
    return records.map { Array($0.utf8) }
  }()

  private static func product(_ lists: [[String]]) -> [[String]] {
    lists.reduce([[]]) { rows, list in rows.flatMap { row in list.map { row + [$0] } } }
  }

  /// What the plain filters say.
  private static func expected(_ filters: [EventFilter], _ record: UnsafeRawBufferPointer) -> ([Int], Bool) {
    let verdicts = filters.map { $0.verdict(on: record) }
    return (verdicts.indices.filter { verdicts[$0] == .passes }, verdicts.contains(.malformed))
  }

  private static func check(_ filters: [EventFilter], _ records: some Sequence<[UInt8]>, _ note: String) {
    let index = FilterIndex(filters)
    var matches = FilterMatches()
    for record in records {
      record.withUnsafeBytes { record in
        index.match(record, into: &matches)
        let (passed, isMalformed) = expected(filters, record)
        if matches.passed != passed || matches.isMalformed != isMalformed {
          let wrong = Set(matches.passed).symmetricDifference(passed).map { "\(filters[$0])" }
          Issue.record("\(note): \(String(decoding: record, as: UTF8.self)): differs for \(wrong)")
        }
      }
    }
  }

  @Test func `all filters of a small world at once answer as each by itself does`() {
    #expect(Self.filters.count > 800 && Self.records.count > 500)
    Self.check(Self.filters, Self.records, "all")
  }

  @Test func `some filters, also alone, twice or none, answer as each by itself does`() {
    var random = SeededGenerator(seed: 18)
    Self.check([], Self.records, "none")
    for round in 0..<200 {
      let count = Int.random(in: 1...12, using: &random)
      var some = (0..<count).compactMap { _ in Self.filters.randomElement(using: &random) }
      if round % 3 == 0 { some.append(some[0]) }
      Self.check(some, Self.records.shuffled(using: &random).prefix(60), "\(some)")
    }
  }

  @Test func `a record of one app is compared with the filters of that app alone`() throws {
    // Filters of one app that differ in the event, and of many apps that do not.
    let filters = try (0..<100).map { try EventFilter(parsing: "app=\($0 < 50 ? "x" : "a\($0)") event=e\($0 % 50)") }
    let index = FilterIndex(filters)
    var matches = FilterMatches()
    for (record, expected) in [(#"{"app_id":"x","event":"e7"}"#, [7]), (#"{"event":"e7","app_id":"a57"}"#, [57])] {
      Array(record.utf8).withUnsafeBytes { index.match($0, into: &matches) }
      #expect(matches.passed == expected && matches.comparisons <= 3, "\(matches.comparisons) comparisons")
    }
  }
}
