// Recovery decides by this table and nothing else. F is the first position of the newest segment without a valid block.
//
//   row            bytes from F on   valid blocks after F      evidence beyond F   bytes at F   strict   → verdict
//   clean          all zero          (none)                    no                  zeros        any      clean
//   lost tail      all zero          (none)                    yes                 zeros        any      damaged
//   evidenced      not all zero      any                       yes                 any          any      damaged
//   contradicted   not all zero      some synced               no                  any          any      damaged
//   unreadable     not all zero      none, or all unsynced     no                  unreadable   any      damaged
//   altered        not all zero      none, or all unsynced     no                  altered      any      damaged
//   torn           not all zero      some, all unsynced        no                  maybe torn   no       cut, kept
//   undecidable    not all zero      none                      no                  maybe torn   no       cut, kept
//   refused        not all zero      none, or all unsynced     no                  maybe torn   yes      refuse
//
// "Synced": some block after F has durableUpTo > F. "Unsynced": all of them have durableUpTo ≤ F. "Kept": in
// quarantine.
//
// Evidence is anything durable that was written only after the bytes at F had been synced. It is the commit point, the
// end stored by an orderly close, a cursor's commit or intent, a producers' snapshot, or a following segment.
// "All zero" excludes blocks after F by itself. The index of the blocks before F, or a part of it, counts as zeros:
// there was never a record. "Altered": no power cut leaves such bytes (`TornWrite`), and the lost records are known.

/// What recovery found at the end of the newest segment.
struct TailInputs: Hashable, Sendable {
  enum LaterBlocks: Hashable, Sendable, CaseIterable {
    case none
    /// All were built before the bytes at F had been synced.
    case allUnsynced
    /// At least one was built after.
    case someSynced
  }
  /// The bytes at F.
  enum Flaw: Hashable, Sendable, CaseIterable {
    /// A power cut may have left them.
    case maybeTorn
    /// They were written whole and changed later.
    case altered
    /// The disk cannot read them.
    case unreadable
  }
  var isAllZero: Bool
  var laterBlocks: LaterBlocks
  var hasEvidence: Bool
  var isStrict: Bool
  var flaw: Flaw

  init(
    isAllZero: Bool, laterBlocks: LaterBlocks, hasEvidence: Bool, isStrict: Bool, flaw: Flaw = .maybeTorn
  ) {
    self.isAllZero = isAllZero
    self.laterBlocks = laterBlocks
    self.hasEvidence = hasEvidence
    self.isStrict = isStrict
    self.flaw = flaw
  }

  /// Whether these inputs are possible: zeros hold no blocks and no flaw.
  var isPossible: Bool { !isAllZero || (laterBlocks == .none && flaw == .maybeTorn) }

  /// Nothing outside the bytes at F shows whether they were acknowledged.
  fileprivate var isUnknown: Bool { !isAllZero && !hasEvidence && laterBlocks != .someSynced }
}

/// What recovery does with the end of the newest segment.
enum TailVerdict: Hashable, Sendable {
  /// No action.
  case clean
  /// Bytes that were most likely never acknowledged, without proof: keep a copy, then cut them.
  case cutKeepingBytes
  /// Acknowledged records are lost: keep the bytes and a copy, serve the rest, continue in a new segment.
  case damaged
  /// The operator chose strict recovery: do not guess.
  case refuse

  struct Row: Sendable {
    let name: String
    let verdict: TailVerdict
    let matches: @Sendable (TailInputs) -> Bool
  }

  /// The table above, row by row. Exactly one row matches any possible inputs; a test tries them all.
  static let table: [Row] = [
    Row(name: "clean", verdict: .clean) { $0.isAllZero && !$0.hasEvidence },
    Row(name: "lost tail", verdict: .damaged) { $0.isAllZero && $0.hasEvidence },
    Row(name: "evidenced", verdict: .damaged) { !$0.isAllZero && $0.hasEvidence },
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
  static func row(for inputs: TailInputs) -> Row {
    guard let row = table.first(where: { $0.matches(inputs) }) else {
      preconditionFailure("no row of the recovery table matches \(inputs)")
    }
    return row
  }
}
