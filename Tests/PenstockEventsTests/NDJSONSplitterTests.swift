import PenstockEvents
import Testing

private struct Outcome: Hashable {
  var lines: [[UInt8]] = []
  var places: [NDJSONSplitter.Line] = []
  var blankLines = 0
  var records = 0
  var error: EventError?

  var texts: [String] { lines.map { text($0) } }
}

private func split(_ chunks: [ArraySlice<UInt8>], maxLineBytes: Int = 1000) -> Outcome {
  var splitter = NDJSONSplitter(maxLineBytes: maxLineBytes)
  var outcome = Outcome()
  func take(_ line: UnsafeRawBufferPointer, _ place: NDJSONSplitter.Line) {
    outcome.lines.append(Array(line))
    outcome.places.append(place)
  }
  do throws(EventError) {
    for chunk in chunks {
      try Array(chunk).withUnsafeBufferPointer { chunk throws(EventError) in
        try splitter.feed(UnsafeRawBufferPointer(chunk), take)
      }
    }
    try splitter.finish(take)
  } catch {
    outcome.error = error
  }
  outcome.blankLines = splitter.blankLines
  outcome.records = splitter.records
  return outcome
}

private func split(_ text: String, maxLineBytes: Int = 1000) -> Outcome {
  split([Array(text.utf8)[...]], maxLineBytes: maxLineBytes)
}

/// Every way to cut `bytes` into pieces, one bit per gap.
private func everyCut(_ bytes: [UInt8], _ visit: ([ArraySlice<UInt8>]) -> Void) {
  let gaps = max(bytes.count - 1, 0)
  for mask in 0..<(1 << gaps) {
    var chunks: [ArraySlice<UInt8>] = []
    var start = 0
    for gap in 0..<gaps where mask >> gap & 1 == 1 {
      chunks.append(bytes[start...gap])
      start = gap + 1
    }
    chunks.append(bytes[start...])
    visit(chunks)
  }
}

@Suite("NDJSON splitter") struct NDJSONSplitterTests {
  @Test func `numbers lines, records and positions`() {
    let outcome = split("{}\r\n\n \t\r\n[1]\n\r\n12")
    #expect(outcome.texts == ["{}", "[1]", "12"])
    #expect(outcome.places.map(\.record) == [0, 1, 2])
    #expect(outcome.places.map(\.number) == [1, 4, 6])
    #expect(outcome.places.map(\.position) == [0, 9, 15])
    #expect(outcome.blankLines == 3)
    #expect(outcome.records == 3)
    #expect(outcome.error == nil)
  }

  @Test func `empty and blank input has no records`() {
    #expect(split([]) == Outcome())
    #expect(split("") == Outcome())
    #expect(split("\n") == Outcome(blankLines: 1))
    #expect(split("\r") == Outcome(blankLines: 1))
    #expect(split(" \n\r\n\t") == Outcome(blankLines: 3))
  }

  @Test func `the last line may lack its line feed`() {
    #expect(split("a\nb").texts == ["a", "b"])
    #expect(split("a\nb\n").texts == ["a", "b"])
    #expect(split("a\r\nb\r").texts == ["a", "b"])
  }

  @Test func `drops one carriage return before a line feed, and no other`() {
    #expect(split("a\r\r\nb\rc\r\n\rd\n").texts == ["a\r", "b\rc", "\rd"])
  }

  @Test(arguments: [
    "a\r\nbc\n\nd\r\r\n e", "\r\n\n\ra\r\rb\r\nc\r", "abc\r\nabcd\r\n\n", "ab\n\u{FEFF}cd\n\n", "\u{FEFF}ab\r\ncd\n",
    "abcdefgh\nx\n", "abc\r\r\nx", "   \n\r\nabc", "    \nabc\n", "abc\rd\nxx", "abc\r",
  ])
  func `gives the same result for every way to cut the input`(_ input: String) {
    let bytes = Array(input.utf8)
    for limit in [3, 4, 1000] {
      let whole = split([bytes[...]], maxLineBytes: limit)
      #expect(whole == reference(bytes, limit))
      everyCut(bytes) { #expect(split($0, maxLineBytes: limit) == whole, "\($0)") }
    }
  }

  /// The rules again, written over whole lines.
  private func reference(_ bytes: [UInt8], _ limit: Int) -> Outcome {
    var outcome = Outcome()
    var position = 0
    var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map { Array($0) }
    if lines.last == [] { lines.removeLast() }
    for (index, raw) in lines.enumerated() {
      let line = raw.last == 0x0D ? raw.dropLast() : raw
      if line.count > limit {
        outcome.error = EventError(.recordTooLong, "the line is longer than \(limit) bytes", position: limit)
          .inRecord(outcome.records, startingAt: position)
        break
      }
      if index == 0, line.starts(with: [0xEF, 0xBB, 0xBF]) {
        outcome.error = split("\u{FEFF}\n").error
        break
      }
      if line.allSatisfy({ [0x20, 0x09, 0x0D].contains($0) }) {
        outcome.blankLines += 1
      } else {
        outcome.lines.append(Array(line))
        outcome.places.append(.init(record: outcome.records, number: index + 1, position: position))
        outcome.records += 1
      }
      position += raw.count + 1
    }
    return outcome
  }

  @Test func `finds line feeds at every alignment, among bytes that look like one`() {
    for lengths in 0..<20 {
      for next in 0..<20 {
        let first = (0..<lengths).map { [UInt8(0x0B), 0x8A, 0x09, 0x10, 0xFF][$0 % 5] }
        let second = (0..<next).map { [UInt8(0xF5), 0x0B, 0x8A][$0 % 3] }
        let outcome = split([(first + [0x0A] + second + [0x0A])[...]])
        #expect(outcome.lines == [first, second].filter { !$0.isEmpty })
      }
    }
  }

  @Test func `names a byte order mark at the very start, and lets one pass elsewhere`() throws {
    let error = try #require(split("\u{FEFF}{}\n").error)
    #expect(error.code == .byteOrderMark)
    #expect(error.record == 0 && error.bodyPosition == 0)
    #expect(error.description.contains("byte order mark"))
    #expect(split("\n\u{FEFF}{}\n").error == nil)
    #expect(split("\u{FEFF}").error?.code == .byteOrderMark)
  }

  @Test func `a line over the limit is named by record and byte; one at the limit passes`() throws {
    #expect(split("12345\r\n12345\n12345", maxLineBytes: 5).error == nil)
    for end in ["", "\n", "\r\n", "7890"] {
      let outcome = split("1\n\n22\n123456" + end, maxLineBytes: 5)
      #expect(outcome.texts == ["1", "22"])
      let error = try #require(outcome.error)
      #expect(error.code == .recordTooLong)
      #expect(error.record == 2 && error.position == 5 && error.recordPosition == 6 && error.bodyPosition == 11)
      #expect(error.description == "record 2, byte 5: the line is longer than 5 bytes")
    }
  }

  @Test func `an endless line is refused as soon as the limit is passed, whatever follows`() throws {
    var splitter = NDJSONSplitter(maxLineBytes: 100)
    var fed = 0
    let chunk = Array(repeating: UInt8(ascii: "x"), count: 30)
    let error = #expect(throws: EventError.self) {
      while fed < 10_000 {
        fed += chunk.count
        try chunk.withUnsafeBytes { try splitter.feed($0) { _, _ in } }
      }
    }
    #expect(fed == 120)
    #expect(error?.code == .recordTooLong)
    let first = try #require(error)
    let lineFeed: [UInt8] = [0x0A]
    #expect(throws: first) { try lineFeed.withUnsafeBytes { try splitter.feed($0) { _, _ in } } }
    #expect(throws: first) { try splitter.finish { _, _ in } }
  }

  @Test func `an error of the caller passes through and stays`() {
    var splitter = NDJSONSplitter(maxLineBytes: 100)
    let mine = EventError(.wrongType, "mine", position: 3).inRecord(1)
    var seen = 0
    #expect(throws: mine) {
      try Array("a\nb\nc\n".utf8).withUnsafeBytes { bytes in
        try splitter.feed(bytes) { (_, line) throws(EventError) in
          seen += 1
          if line.record == 1 { throw mine }
        }
      }
    }
    #expect(seen == 2)
    #expect(throws: mine) { try splitter.finish { _, _ in seen += 1 } }
    #expect(seen == 2)
  }

  @Test func `hands on lines that lie within a chunk without copying them`() throws {
    var splitter = NDJSONSplitter(maxLineBytes: 100)
    try Array("ab\ncd\r\nef".utf8).withUnsafeBytes { chunk in
      let base = try #require(chunk.baseAddress)
      var starts: [Int?] = []
      try splitter.feed(chunk) { line, _ in starts.append(line.baseAddress.map { $0 - base }) }
      #expect(starts == [0, 3])
    }
  }
}
