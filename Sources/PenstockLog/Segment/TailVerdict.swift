// Recovery decides by this table and nothing else. F is the first position of the newest segment at which no valid block
// stands.
//
//   row            bytes from F on      valid blocks after F               a witness beyond F    strict   → verdict
//   clean          all zero             (none)                             no                    any        clean
//   lost tail      all zero             (none)                             yes                   any        damaged
//   witnessed      not all zero         any                                yes                   any        damaged
//   contradicted   not all zero         some with durableUpTo > F          no                    any        damaged
//   torn           not all zero         some, all with durableUpTo ≤ F     no                    any        cut
//   undecidable    not all zero         none                               no                    no         cut, keep the bytes
//   refused        not all zero         none                               no                    yes        refuse
//
// A witness is anything durable that was written only after the bytes at F had been synced: the beacon, the end noted by an
// orderly close, a cursor's commit or intent, a following segment. "All zero" excludes blocks after F by itself. The index of
// the blocks before F, or a part of it, counts as zeros: no record ever stood there.

/// What recovery saw at the end of the newest segment.
package struct TailFacts: Hashable, Sendable {
  package enum LaterBlocks: Hashable, Sendable, CaseIterable {
    case none
    /// All were built before the bytes at F had been synced.
    case allUnsynced
    /// At least one was built after.
    case someSynced
  }
  package var isAllZero: Bool
  package var laterBlocks: LaterBlocks
  package var isWitnessed: Bool
  package var isStrict: Bool

  package init(isAllZero: Bool, laterBlocks: LaterBlocks, isWitnessed: Bool, isStrict: Bool) {
    self.isAllZero = isAllZero
    self.laterBlocks = laterBlocks
    self.isWitnessed = isWitnessed
    self.isStrict = isStrict
  }

  /// Whether such facts can be: zeros hold no blocks.
  package var isPossible: Bool { !isAllZero || laterBlocks == .none }
}

/// What is to be done with it.
package enum TailVerdict: Hashable, Sendable {
  /// Nothing to do.
  case clean
  /// Bytes that were never acknowledged: zero them.
  case cut
  /// Most likely the same, but nothing proves it: keep a copy, then zero them.
  case cutKeepingBytes
  /// Acknowledged records are gone: leave everything as it is, keep a copy, serve the rest, go on in a new segment.
  case damaged
  /// The operator asked not to guess.
  case refuse

  package struct Row: Sendable {
    package let name: String
    package let verdict: TailVerdict
    package let matches: @Sendable (TailFacts) -> Bool
  }

  /// The table above, row by row. Exactly one row matches any possible facts; a test tries them all.
  package static let table: [Row] = [
    Row(name: "clean", verdict: .clean) { $0.isAllZero && !$0.isWitnessed },
    Row(name: "lost tail", verdict: .damaged) { $0.isAllZero && $0.isWitnessed },
    Row(name: "witnessed", verdict: .damaged) { !$0.isAllZero && $0.isWitnessed },
    Row(name: "contradicted", verdict: .damaged) {
      !$0.isAllZero && !$0.isWitnessed && $0.laterBlocks == .someSynced
    },
    Row(name: "torn", verdict: .cut) { !$0.isAllZero && !$0.isWitnessed && $0.laterBlocks == .allUnsynced },
    Row(name: "undecidable", verdict: .cutKeepingBytes) {
      !$0.isAllZero && !$0.isWitnessed && $0.laterBlocks == .none && !$0.isStrict
    },
    Row(name: "refused", verdict: .refuse) {
      !$0.isAllZero && !$0.isWitnessed && $0.laterBlocks == .none && $0.isStrict
    },
  ]

  /// The row that matches.
  package static func row(for facts: TailFacts) -> Row {
    guard let row = table.first(where: { $0.matches(facts) }) else {
      preconditionFailure("no row of the recovery table matches \(facts)")
    }
    return row
  }
}
