import PenstockLog
import Testing

@Suite struct TailVerdictTests {
  private static let all: [TailFacts] = [true, false].flatMap { isAllZero in
    TailFacts.LaterBlocks.allCases.flatMap { laterBlocks in
      [true, false].flatMap { isWitnessed in
        [true, false].map { isStrict in
          TailFacts(isAllZero: isAllZero, laterBlocks: laterBlocks, isWitnessed: isWitnessed, isStrict: isStrict)
        }
      }
    }
  }

  @Test func `exactly one row matches any possible facts`() {
    #expect(Self.all.count == 24)
    let possible = Self.all.filter(\.isPossible)
    #expect(possible.count == 16)
    for facts in possible {
      let rows = TailVerdict.table.filter { $0.matches(facts) }.map(\.name)
      #expect(rows.count == 1, "\(facts): \(rows)")
    }
  }

  @Test func `the verdicts are these and no others`() {
    typealias Row = (Bool, TailFacts.LaterBlocks, witnessed: Bool, strict: Bool, name: String, TailVerdict)
    let expected: [Row] = [
      // all zero
      (true, .none, false, false, "clean", .clean),
      (true, .none, false, true, "clean", .clean),
      (true, .none, true, false, "lost tail", .damaged),
      (true, .none, true, true, "lost tail", .damaged),
      // something, and nothing behind it
      (false, .none, false, false, "undecidable", .cutKeepingBytes),
      (false, .none, false, true, "refused", .refuse),
      (false, .none, true, false, "witnessed", .damaged),
      (false, .none, true, true, "witnessed", .damaged),
      // something, and behind it blocks of the same unsynced window
      (false, .allUnsynced, false, false, "torn", .cut),
      (false, .allUnsynced, false, true, "torn", .cut),
      (false, .allUnsynced, true, false, "witnessed", .damaged),
      (false, .allUnsynced, true, true, "witnessed", .damaged),
      // something, and behind it a block that was built after it was synced
      (false, .someSynced, false, false, "contradicted", .damaged),
      (false, .someSynced, false, true, "contradicted", .damaged),
      (false, .someSynced, true, false, "witnessed", .damaged),
      (false, .someSynced, true, true, "witnessed", .damaged),
    ]
    let facts = expected.map { TailFacts(isAllZero: $0.0, laterBlocks: $0.1, isWitnessed: $0.2, isStrict: $0.3) }
    #expect(Set(facts).count == 16)
    for (isAllZero, laterBlocks, isWitnessed, isStrict, name, verdict) in expected {
      let facts = TailFacts(
        isAllZero: isAllZero, laterBlocks: laterBlocks, isWitnessed: isWitnessed, isStrict: isStrict)
      let row = TailVerdict.row(for: facts)
      #expect(row.name == name, "\(facts)")
      #expect(row.verdict == verdict, "\(facts)")
    }
  }

  @Test func `zeros hold no blocks`() {
    for facts in Self.all { #expect(facts.isPossible == !(facts.isAllZero && facts.laterBlocks != .none)) }
  }

  @Test func `a witness reaches past a place by segment, by position or by offset`() {
    func reaches(_ segment: UInt64, _ position: UInt64, _ offset: UInt64) -> Bool {
      var witnesses = Witnesses()
      witnesses.ends = [Beacon.End(segment: segment, position: position, offset: Offset(offset))]
      return witnesses.reach(past: 12_288, Offset(10), in: 3)
    }
    #expect(!reaches(3, 12_288, 10))
    #expect(!reaches(2, 999_999, 10))
    #expect(reaches(3, 12_289, 10))
    #expect(reaches(4, 0, 10))
    #expect(reaches(1, 0, 11))
    var cursors = Witnesses()
    cursors.offsets = [Offset(3), Offset(10)]
    #expect(!cursors.reach(past: 12_288, Offset(10), in: 3))
    cursors.offsets.append(Offset(11))
    #expect(cursors.reach(past: 12_288, Offset(10), in: 3))
    #expect(cursors.highestOffset == Offset(11) && cursors.highestSegment == 0)
    #expect(!Witnesses().reach(past: 0, .zero, in: 0))
  }
}
