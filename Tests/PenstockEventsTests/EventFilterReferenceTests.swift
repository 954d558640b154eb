import Foundation
import PenstockEvents
import Testing

/// The filter's meaning in the plainest words, over a JSON decoder that shares nothing with the scanner.
private struct Reference {
  let including: EventFilter.Terms
  let excluding: EventFilter.Terms

  func verdict(_ record: [UInt8]) -> EventFilter.Verdict {
    guard let event = try? JSONSerialization.jsonObject(with: Data(record)) as? [String: Any] else { return .malformed }
    let wanted = answers(including, event).allSatisfy { $0 }
    return wanted && !answers(excluding, event).contains(true) ? .passes : .filtered
  }

  /// For each list there is, whether it is met.
  private func answers(_ terms: EventFilter.Terms, _ event: [String: Any]) -> [Bool] {
    var answers: [Bool] = []
    func ask(_ list: [String]?, _ values: [Any?]) {
      guard let list else { return }
      answers.append(
        values.contains { value in (value as? String).map { text in list.contains { same($0, text) } } ?? false })
    }
    ask(terms.appIDs, [event["app_id"]])
    ask(terms.types.map { $0.map(\.rawValue) }, [event["type"]])
    ask(terms.trackers, [(event["properties"] as? [String: Any])?["id"]])
    let segments = (event["segments"] as? [Any] ?? []).compactMap { $0 as? [String: Any] }
    ask(terms.segments, segments.flatMap { [$0["id"], $0["name"]] })
    if let patterns = terms.events {
      let name = event["event"] as? String
      answers.append(
        name.map { name in patterns.contains { glob($0.unicodeScalars[...], name.unicodeScalars[...]) } } ?? false)
    }
    return answers
  }

  private func same(_ a: String, _ b: String) -> Bool { Array(a.utf8) == Array(b.utf8) }

  private func glob(_ pattern: Substring.UnicodeScalarView, _ text: Substring.UnicodeScalarView) -> Bool {
    guard let first = pattern.first else { return text.isEmpty }
    let rest = pattern.dropFirst()
    switch first {
    case "*": return glob(rest, text) || (!text.isEmpty && glob(pattern, text.dropFirst()))
    case "?": return !text.isEmpty && glob(rest, text.dropFirst())
    default: return text.first == first && glob(rest, text.dropFirst())
    }
  }
}

@Suite("Event filter, against a naive one") struct EventFilterReferenceTests {
  private let values = ["a", "b", "ab", "é", "page"]

  private func optional<Value>(_ random: inout SeededGenerator, _ make: (inout SeededGenerator) -> Value) -> Value? {
    random.chance(2) ? make(&random) : nil
  }

  private func some(_ values: [String], _ random: inout SeededGenerator) -> [String] {
    values.filter { _ in random.chance(2) }
  }

  private func terms(_ random: inout SeededGenerator) -> EventFilter.Terms {
    var terms = EventFilter.Terms()
    terms.appIDs = optional(&random) { some(values, &$0) }
    terms.types = optional(&random) { random in EventType.allCases.filter { _ in random.chance(2) } }
    terms.events = optional(&random) { some(["a", "?", "a*", "*b", "*", "é?", "*a*b*", "??"], &$0) }
    terms.trackers = optional(&random) { some(values, &$0) }
    terms.segments = optional(&random) { some(values, &$0) }
    return terms
  }

  /// A value of a field: often a string, escaped now and then, else anything.
  private func value(_ random: inout SeededGenerator) -> String {
    if random.chance(6) {
      return ["null", "1", "true", "[]", "{}", #"{"id":"a"}"#].randomElement(using: &random) ?? ""
    }
    var text = values.randomElement(using: &random) ?? ""
    if random.chance(3) { text += values.randomElement(using: &random) ?? "" }
    let isEscaped = random.chance(3)
    let scalars = text.unicodeScalars.map { scalar in
      let digits = String(scalar.value, radix: 16)
      return isEscaped ? "\\u" + String(repeating: "0", count: 4 - digits.count) + digits : String(scalar)
    }
    return "\"" + scalars.joined() + "\""
  }

  private func record(_ random: inout SeededGenerator) -> String {
    var members: [String] = []
    for name in ["app_id", "event", "other"] where !random.chance(4) { members.append("\"\(name)\":\(value(&random))") }
    if !random.chance(4) {
      members.append(
        "\"type\":" + (["\"page\"", "\"track\"", "\"custom\"", "\"x\"", "3"].randomElement(using: &random) ?? ""))
    }
    if !random.chance(4) {
      members.append(
        random.chance(6)
          ? "\"properties\":\(value(&random))" : "\"properties\": {\"k\":[1,{\"id\":\"b\"}], \"id\" :\(value(&random))}"
      )
    }
    if !random.chance(4) {
      let all = (0..<Int.random(in: 0...3, using: &random)).map { _ in
        random.chance(5) ? value(&random) : "{ \"id\":\(value(&random)), \"name\" : \(value(&random))}"
      }
      members.append("\"segments\":[ \(all.joined(separator: " , ")) ]")
    }
    let record = "{ \(members.shuffled(using: &random).joined(separator: ","))}"
    return random.chance(20) ? String(record.dropLast()) : record
  }

  @Test func `both say the same of random filters and records, also after the filter's text was read back`() throws {
    let seed = testSeed("filterDifferential")
    var random = SeededGenerator(seed: seed)
    var counts: [EventFilter.Verdict: Int] = [:]
    for round in 0..<4000 {
      let reference = Reference(including: terms(&random), excluding: random.chance(2) ? terms(&random) : .init())
      let made = try EventFilter(including: reference.including, excluding: reference.excluding)
      let filter = try EventFilter(parsing: made.description)
      #expect(filter == made && filter.description == made.description)
      for _ in 0..<5 {
        let record = record(&random)
        let verdict = Array(record.utf8).withUnsafeBytes { filter.verdict(on: $0) }
        let expected = filter.passesEverything ? .passes : reference.verdict(Array(record.utf8))
        #expect(verdict == expected, "seed \(seed), round \(round): \(filter) of \(record)")
        counts[verdict, default: 0] += 1
      }
    }
    for verdict in [EventFilter.Verdict.passes, .filtered, .malformed] { #expect(counts[verdict, default: 0] > 100) }
  }
}
