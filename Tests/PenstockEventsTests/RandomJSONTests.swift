import PenstockEvents
import Testing

/// Random JSON text with every liberty the grammar gives.
private struct RandomJSON {
  var random: SeededGenerator

  mutating func space() -> String {
    String(
      (0..<(random.chance(3) ? Int.random(in: 1...3, using: &random) : 0)).map { _ in
        Character([" ", "\n", "\r", "\t"].randomElement(using: &random) ?? " ")
      })
  }

  mutating func string() -> String {
    let length = random.chance(4) ? Int.random(in: 0...40, using: &random) : Int.random(in: 0...6, using: &random)
    return "\"" + (0..<length).map { _ in character() }.joined() + "\""
  }

  private mutating func character() -> String {
    switch Int.random(in: 0..<10, using: &random) {
    case 0:
      return ["\\\"", "\\\\", "\\/", "\\b", "\\n", "\\u0000", "\\uD834\\udd1e"].randomElement(using: &random) ?? ""
    case 1: return ["é", "€", "😀", "\u{7F}", "\u{FEFF}", "\u{10FFFF}"].randomElement(using: &random) ?? ""
    case 2: return ["{", "}", "[", "]", ",", ":", " "].randomElement(using: &random) ?? ""
    default: return String(UnicodeScalar(UInt8.random(in: 0x61...0x7A, using: &random)))
    }
  }

  mutating func number() -> String {
    var text = random.chance(2) ? "-" : ""
    text += random.chance(3) ? "0" : String(Int.random(in: 1...1_000_000, using: &random))
    if random.chance(3) { text += "." + String(Int.random(in: 0...999, using: &random)) }
    if random.chance(4) {
      text += ["e", "E"][Int.random(in: 0...1, using: &random)] + (random.chance(2) ? "-" : "") + "07"
    }
    return text
  }

  mutating func value(_ depth: Int = 0) -> String {
    switch Int.random(in: 0..<(depth < 4 ? 7 : 4), using: &random) {
    case 0: return string()
    case 1, 2: return number()
    case 3: return ["true", "false", "null"].randomElement(using: &random) ?? ""
    case 4, 5: return list("[", "]") { $0.value(depth + 1) }
    default: return list("{", "}") { $0.string() + $0.space() + ":" + $0.space() + $0.value(depth + 1) }
    }
  }

  private mutating func list(_ open: String, _ close: String, _ element: (inout RandomJSON) -> String) -> String {
    var parts: [String] = []
    for _ in 0..<Int.random(in: 0...4, using: &random) { parts.append(space() + element(&self) + space()) }
    return open + (parts.isEmpty ? space() : parts.joined(separator: ",")) + close
  }

  /// A key, with some of its letters escaped.
  mutating func escaped(_ name: String) -> String {
    "\""
      + name.utf8.map { byte in
        random.chance(5) ? "\\u00" + String(byte, radix: 16, uppercase: random.chance(2)) : String(UnicodeScalar(byte))
      }.joined() + "\""
  }
}

/// A second opinion on the grammar: slow, recursive, over Unicode scalars, sharing nothing with the scanner.
private struct Oracle {
  var rest: Substring.UnicodeScalarView
  static func accepts(_ bytes: [UInt8]) -> Bool {
    guard let text = String(validating: bytes, as: UTF8.self) else { return false }
    var oracle = Oracle(rest: text[...].unicodeScalars)
    return oracle.padded() && oracle.rest.isEmpty
  }
  private mutating func take(_ wanted: (Unicode.Scalar) -> Bool) -> Unicode.Scalar? {
    guard let first = rest.first, wanted(first) else { return nil }
    return rest.removeFirst()
  }
  private mutating func take(_ wanted: Unicode.Scalar) -> Bool { take { $0 == wanted } != nil }
  private mutating func space() { while take({ " \n\r\t".unicodeScalars.contains($0) }) != nil {} }
  private mutating func padded() -> Bool {
    space()
    let good = value()
    space()
    return good
  }
  private mutating func value() -> Bool {
    if take("\"") { return string() }
    if take("[") { return list("]") { $0.padded() } }
    if take("{") {
      return list("}") { me in
        me.space()
        guard me.take("\""), me.string() else { return false }
        me.space()
        return me.take(":") && me.padded()
      }
    }
    for word in ["true", "false", "null"] where rest.starts(with: word.unicodeScalars) {
      rest.removeFirst(word.count)
      return true
    }
    return number()
  }
  private mutating func list(_ close: Unicode.Scalar, _ element: (inout Oracle) -> Bool) -> Bool {
    space()
    if take(close) { return true }
    repeat { if !element(&self) { return false } } while take(",")
    return take(close)
  }
  private mutating func digits() -> Int {
    var count = 0
    while take({ ("0"..."9").contains($0) }) != nil { count += 1 }
    return count
  }
  private mutating func number() -> Bool {
    _ = take("-")
    if !take("0"), digits() == 0 { return false }
    if take("."), digits() == 0 { return false }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      return digits() > 0
    }
    return true
  }
  private mutating func string() -> Bool {
    var high = false
    while let scalar = take({ $0.value >= 0x20 }) {
      if scalar == "\\", let letter = rest.popFirst() {
        guard letter == "u" else {
          if high || !"\"\\/bfnrt".unicodeScalars.contains(letter) { return false }
          continue
        }
        let hex = String(rest.prefix(4))
        guard hex.unicodeScalars.count == 4, !hex.hasPrefix("+"), !hex.hasPrefix("-"), let unit = Int(hex, radix: 16)
        else { return false }
        rest.removeFirst(4)
        if high != (unit >> 10 == 0x37) { return false }
        high = unit >> 10 == 0x36
        continue
      }
      if high { return false }
      if scalar == "\"" { return true }
    }
    return false
  }
}

@Suite("Random JSON") struct RandomJSONTests {
  @Test func `the scanner and a naive parser agree on random JSON and on what small damage makes of it`() {
    let seed = testSeed("differential")
    var source = RandomJSON(random: SeededGenerator(seed: seed))
    var accepted = 0
    var refused = 0
    for round in 0..<3000 {
      var bytes = Array((source.space() + source.value() + source.space()).utf8)
      #expect(isDocument(bytes), "seed \(seed), round \(round): \(text(bytes))")
      for _ in 0..<Int.random(in: 1...2, using: &source.random) { damage(&bytes, &source.random) }
      let expected = Oracle.accepts(bytes) && !bytes.starts(with: [0xEF, 0xBB, 0xBF])
      #expect(isDocument(bytes) == expected, "seed \(seed), round \(round): \(text(bytes))")
      if expected { accepted += 1 } else { refused += 1 }
    }
    // Both answers have to occur, or the comparison says nothing.
    #expect(accepted > 100 && refused > 100)
  }

  private func damage(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
    let telling = Array("\"\\{}[],:0-.eutu \n".utf8) + [0x00, 0x1F, 0x80, 0xC3, 0xED, 0xFF]
    let byte = telling.randomElement(using: &random) ?? 0
    let at = Int.random(in: 0...bytes.count, using: &random)
    switch Int.random(in: 0..<4, using: &random) {
    case 0 where at < bytes.count: bytes[at] = byte
    case 1 where at < bytes.count: bytes.remove(at: at)
    case 2: bytes.removeSubrange(at...)
    default: bytes.insert(byte, at: at)
    }
  }

  @Test func `random events pass validation, selection, rendering and splitting unharmed`() throws {
    let seed = testSeed("roundTrip")
    var source = RandomJSON(random: SeededGenerator(seed: seed))
    var records: [[UInt8]] = []
    for round in 0..<400 {
      let (members, kept, selection) = randomMembers(&source)
      let tail = source.space()
      let record = Array(("{" + members.joined(separator: ",") + tail + "}").utf8)
      let selected = "{" + kept.joined(separator: ",") + tail + "}"
      #expect(error(validate(record)) == nil, "seed \(seed), round \(round): \(text(record))")
      #expect(
        text(render(record, selection)) == selected, "seed \(seed), round \(round): \(text(record)), \(selection)")
      records.append(record)
    }
    let array = body(ArrayRenderer(), records)
    var elements: [[UInt8]] = []
    try array.withUnsafeBytes { bytes in
      _ = try JSONArraySplitter(maxBodyBytes: .max).split(bytes) { range, _ in elements.append(Array(bytes[range])) }
    }
    #expect(elements == records)
    try expectRows(records, &source.random)
  }

  /// Members of an event in random order, those left by a random selection, and that selection.
  private func randomMembers(_ source: inout RandomJSON) -> ([String], [String], FieldSelection) {
    let selection = FieldSelection(keeping: OptionalField.allCases.filter { _ in source.random.chance(2) })
    var members: [String] = []
    var kept: [String] = []
    let values = ["app_id": "\"a\"", "traits": "{\"app_id\":1}", "segments": "[]", "paths": "[{}]", "ts": "1.5"]
    let unknown = (0..<4).map { "unknown\($0)" }
    for name in (values.keys.sorted() + unknown).shuffled(using: &source.random) where !source.random.chance(4) {
      let value = values[name] ?? source.value(1)
      let member = source.space() + source.escaped(name) + source.space() + ":" + source.space() + value
      members.append(member)
      if OptionalField(rawValue: name).map(selection.keeps) ?? true { kept.append(member) }
    }
    return (members, kept, selection)
  }

  private func expectRows(_ records: [[UInt8]], _ random: inout SeededGenerator) throws {
    let rows = body(NDJSONRenderer(), records)
    var lines: [[UInt8]] = []
    var splitter = NDJSONSplitter(maxLineBytes: 100_000)
    var position = 0
    while position < rows.count {
      let end = min(rows.count, position + Int.random(in: 1...300, using: &random))
      try Array(rows[position..<end]).withUnsafeBytes { try splitter.feed($0) { line, _ in lines.append(Array(line)) } }
      position = end
    }
    try splitter.finish { line, _ in lines.append(Array(line)) }
    let flat = records.map { record in
      record.contains(0x0A) ? record.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 } : record
    }
    #expect(lines == flat)
    for line in lines { #expect(error(validate(line)) == nil) }
  }
}
