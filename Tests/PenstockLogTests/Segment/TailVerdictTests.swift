@testable import PenstockLog
import Testing

@Suite struct TailVerdictTests {
  private static let all: [TailInputs] = [true, false].flatMap { isAllZero in
    TailInputs.LaterBlocks.allCases.flatMap { laterBlocks in
      TailInputs.Flaw.allCases.flatMap { flaw in
        [true, false].flatMap { hasEvidence in
          [true, false].map { isStrict in
            TailInputs(
              isAllZero: isAllZero, laterBlocks: laterBlocks, hasEvidence: hasEvidence, isStrict: isStrict, flaw: flaw)
          }
        }
      }
    }
  }

  @Test func `exactly one row matches any possible facts`() {
    #expect(Self.all.count == 72)
    let possible = Self.all.filter(\.isPossible)
    #expect(possible.count == 40)
    for facts in possible {
      let rows = TailVerdict.table.filter { $0.matches(facts) }.map(\.name)
      #expect(rows.count == 1, "\(facts): \(rows)")
    }
  }

  /// The table of `docs/guarantees.md`, written a second time.
  private static func expected(_ facts: TailInputs) -> (name: String, verdict: TailVerdict) {
    if facts.isAllZero { return facts.hasEvidence ? ("lost tail", .damaged) : ("clean", .clean) }
    if facts.hasEvidence { return ("evidenced", .damaged) }
    if facts.laterBlocks == .someSynced { return ("contradicted", .damaged) }
    switch facts.flaw {
    case .unreadable: return ("unreadable", .damaged)
    case .altered: return ("altered", .damaged)
    case .maybeTorn: break
    }
    if facts.isStrict { return ("refused", .refuse) }
    return (facts.laterBlocks == .allUnsynced ? "torn" : "undecidable", .cutKeepingBytes)
  }

  @Test func `the verdicts are these and no others`() {
    var seen: Set<String> = []
    for facts in Self.all.filter(\.isPossible) {
      let row = TailVerdict.row(for: facts)
      let (name, verdict) = Self.expected(facts)
      #expect(row.name == name && row.verdict == verdict, "\(facts)")
      seen.insert(row.name)
    }
    #expect(seen == Set(TailVerdict.table.map(\.name)))
  }

  @Test func `zeros hold no blocks and no flaw`() {
    for facts in Self.all {
      #expect(facts.isPossible == !(facts.isAllZero && (facts.laterBlocks != .none || facts.flaw != .maybeTorn)))
    }
  }

  @Test func `a witness reaches past a place by segment, by position or by offset`() {
    func reaches(_ segment: UInt64, _ position: UInt64, _ offset: UInt64) -> Bool {
      var witnesses = DurabilityEvidence()
      witnesses.ends = [CommitPoint.End(segment: segment, position: position, offset: Offset(offset))]
      return witnesses.reach(past: 12_288, Offset(10), in: 3)
    }
    #expect(!reaches(3, 12_288, 10))
    #expect(!reaches(2, 999_999, 10))
    #expect(reaches(3, 12_289, 10))
    #expect(reaches(4, 0, 10))
    #expect(reaches(1, 0, 11))
    var cursors = DurabilityEvidence()
    cursors.offsets = [Offset(3), Offset(10)]
    #expect(!cursors.reach(past: 12_288, Offset(10), in: 3))
    cursors.offsets.append(Offset(11))
    #expect(cursors.reach(past: 12_288, Offset(10), in: 3))
    #expect(cursors.highestOffset == Offset(11) && cursors.highestSegment == 0)
    #expect(!DurabilityEvidence().reach(past: 0, .zero, in: 0))
  }
}
