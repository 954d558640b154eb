// Recovery decides by this table and nothing else. F is the first position of the newest segment at which no valid block
// stands.
//
//   row            bytes from F on   valid blocks after F      evidence beyond F   bytes at F   strict   → verdict
//   clean          all zero          (none)                    no                  zeros        any      clean
//   lost tail      all zero          (none)                    yes                 zeros        any      damaged
//   witnessed      not all zero      any                       yes                 any          any      damaged
//   contradicted   not all zero      some synced               no                  any          any      damaged
//   unreadable     not all zero      none, or all unsynced     no                  unreadable   any      damaged
//   altered        not all zero      none, or all unsynced     no                  altered      any      damaged
//   torn           not all zero      some, all unsynced        no                  maybe torn   no       cut, kept
//   undecidable    not all zero      none                      no                  maybe torn   no       cut, kept
//   refused        not all zero      none, or all unsynced     no                  maybe torn   yes      refuse
//
// "Synced": some block after F has durableUpTo > F. "Unsynced": all of them have durableUpTo ≤ F. "Kept": in quarantine.
//
// Evidence is anything durable that was written only after the bytes at F had been synced: the commit point, the end noted by an
// orderly close, a cursor's commit or intent, a following segment. "All zero" excludes blocks after F by itself. The index of
// the blocks before F, or a part of it, counts as zeros: no record ever stood there. "Altered": no power cut leaves such
// bytes (`TornWrite`), and it is known which records are lost.

/// What recovery saw at the end of the newest segment.
package struct TailFacts: Hashable, Sendable {
  package enum LaterBlocks: Hashable, Sendable, CaseIterable {
    case none
    /// All were built before the bytes at F had been synced.
    case allUnsynced
    /// At least one was built after.
    case someSynced
  }
  /// The bytes at F.
  package enum Flaw: Hashable, Sendable, CaseIterable {
    /// A power cut may have left them.
    case maybeTorn
    /// They were written whole and changed later.
    case altered
    /// The disk cannot read them.
    case unreadable
  }
  package var isAllZero: Bool
  package var laterBlocks: LaterBlocks
  package var hasEvidence: Bool
  package var isStrict: Bool
  package var flaw: Flaw

  package init(
    isAllZero: Bool, laterBlocks: LaterBlocks, hasEvidence: Bool, isStrict: Bool, flaw: Flaw = .maybeTorn
  ) {
    self.isAllZero = isAllZero
    self.laterBlocks = laterBlocks
    self.hasEvidence = hasEvidence
    self.isStrict = isStrict
    self.flaw = flaw
  }

  /// Whether such facts can be: zeros hold no blocks and no flaw.
  package var isPossible: Bool { !isAllZero || (laterBlocks == .none && flaw == .maybeTorn) }

  /// Nothing outside the bytes at F says whether they were acknowledged.
  fileprivate var isUnknown: Bool { !isAllZero && !hasEvidence && laterBlocks != .someSynced }
}

/// What is to be done with it.
package enum TailVerdict: Hashable, Sendable {
  /// Nothing to do.
  case clean
  /// Bytes that most likely were never acknowledged, but nothing proves it: keep a copy, then cut them off.
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
    Row(name: "clean", verdict: .clean) { $0.isAllZero && !$0.hasEvidence },
    Row(name: "lost tail", verdict: .damaged) { $0.isAllZero && $0.hasEvidence },
    Row(name: "witnessed", verdict: .damaged) { !$0.isAllZero && $0.hasEvidence },
    Row(name: "contradicted", verdict: .damaged) {
      !$0.isAllZero && !$0.hasEvidence && $0.laterBlocks == .someSynced
    },
    Row(name: "unreadable", verdict: .damaged) { $0.isUnknown && $0.flaw == .unreadable },
    Row(name: "altered", verdict: .damaged) { $0.isUnknown && $0.flaw == .altered },
    Row(name: "torn", verdict: .cutKeepingBytes) {
      $0.isUnknown && $0.flaw == .maybeTorn && $0.laterBlocks == .allUnsynced && !$0.isStrict
    },
    Row(name: "undecidable", verdict: .cutKeepingBytes) {
      $0.isUnknown && $0.flaw == .maybeTorn && $0.laterBlocks == .none && !$0.isStrict
    },
    Row(name: "refused", verdict: .refuse) { $0.isUnknown && $0.flaw == .maybeTorn && $0.isStrict },
  ]

  /// The row that matches.
  package static func row(for facts: TailFacts) -> Row {
    guard let row = table.first(where: { $0.matches(facts) }) else {
      preconditionFailure("no row of the recovery table matches \(facts)")
    }
    return row
  }
}
