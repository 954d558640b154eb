import Testing

/// Makes every sequence of calls up to a length and records what is wrong with one, with the way to it. `make` returns
/// nil for a call that is not possible, and "" for one without a flaw. Returns how many sequences there were.
func explore<State, Call>(
  _ start: State, _ calls: [Call], upTo length: Int, _ make: (inout State, Call) -> String?
) -> Int {
  var tried = 0
  func goOn(_ state: State, _ path: [Call]) {
    guard path.count < length else { return }
    for call in calls {
      var next = state
      guard let wrong = make(&next, call) else { continue }
      tried += 1
      if wrong == "" { goOn(next, path + [call]) } else { Issue.record("\(path + [call]): \(wrong)") }
    }
  }
  goOn(start, [])
  return tried
}

/// The bytes with each of their bits flipped, one at a time.
func forEachFlippedBit(_ bytes: [UInt8], _ body: (_ bit: Int, [UInt8]) throws -> Void) rethrows {
  var bytes = bytes
  for bit in 0..<(bytes.count * 8) {
    bytes[bit / 8] ^= 1 << UInt8(bit % 8)
    try body(bit, bytes)
    bytes[bit / 8] ^= 1 << UInt8(bit % 8)
  }
}

/// Nothing that is cut short is read, wherever the cut is.
func expectRefusalOfEveryCut<Refusal: Error>(
  _ bytes: [UInt8], as refusal: Refusal.Type, sourceLocation: SourceLocation = #_sourceLocation,
  _ read: ([UInt8]) throws -> some Any
) {
  for length in 0..<bytes.count {
    #expect(throws: refusal, "cut to \(length) bytes", sourceLocation: sourceLocation) {
      try read(Array(bytes[..<length]))
    }
  }
}
