/// Which of the things that were not yet synced a machine finds after a power loss.
///
/// An *item* is one unsynced 512-byte sector write, one unsynced change of a file's size, or one unsynced creation,
/// rename, removal or `makeDirectory`. What was synced always survives.
public enum CrashPolicy: Sendable, Equatable {
  /// Only what was synced.
  case nothingUnsynced
  /// Everything, as if the power had failed just after the kernel wrote it all out.
  case everything
  /// Each item by a coin; how loaded the coin is, is drawn per file and per directory, so that "almost all" and "almost
  /// nothing" happen too. Equal seeds give equal outcomes.
  case seeded(UInt64, CrashOptions = [])
  /// Item *i* survives when bit *i* is set, for exhaustive enumeration of ``SimulatedFileSystem/unsyncedItemCount``
  /// items. Items past the 64th do not survive.
  case subset(UInt64, CrashOptions = [])
}

/// Faults at a power loss that go beyond what `FileSystem` promises to its caller.
public struct CrashOptions: OptionSet, Sendable, Equatable {
  /// The bits.
  public let rawValue: Int
  /// The options with these bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// A sector in flight may hold zeros, or a part of its new bytes and a part of its durable ones (only with
  /// `.seeded`).
  public static let tornSectors = CrashOptions(rawValue: 1)
  /// Any subset of a directory's operations survives. Without it, a prefix of them does, in the order they were made.
  public static let unorderedDirectories = CrashOptions(rawValue: 2)
}

/// What a faulty I/O leaves.
public enum FaultEffect: Sendable, Equatable {
  /// Nothing happens. After a failed sync everything unsynced stays so, and a later sync can still save it.
  case nothing
  /// A part of it happens, chosen by the seed: any subset of a write's sectors; a prefix, in the order they were made,
  /// of what a sync was to make durable. For other verbs a coin decides between `nothing` and `complete`.
  case partial
  /// All of it happens, and the caller gets an error.
  case complete
  /// Only for a failed sync: the kernel marks the pages clean. Reads show the new bytes, a later sync succeeds, and the
  /// disk never sees them (ext4 and xfs).
  case pagesLost
  /// Only for a failed sync: the kernel throws the pages away; reads show the bytes of the last sync (btrfs).
  case pagesReverted
}

/// Chooses which items survive one crash. It is asked once for each item, in a fixed order.
struct CrashChooser {
  private let policy: CrashPolicy
  private var random: SplitMix64
  private var load = 128
  private var index: UInt64 = 0
  /// Given one after the other, instead of a policy's.
  private var answers: ArraySlice<Bool>?
  /// Of every answer given, so that two outcomes of one crash are two traces, even without a look at the files.
  private(set) var digest = TraceHash()

  init(_ policy: CrashPolicy) {
    self.policy = policy
    if case .seeded(let seed, _) = policy { random = SplitMix64(seed: seed) } else { random = SplitMix64(seed: 0) }
  }

  /// The answers are given in advance.
  init(answers: [Bool]) {
    self.init(.subset(0, .unorderedDirectories))
    self.answers = answers[...]
  }

  private var options: CrashOptions {
    switch policy {
    case .seeded(_, let options), .subset(_, let options): options
    case .nothingUnsynced, .everything: []
    }
  }

  var keepsDirectoryOrder: Bool { !options.contains(.unorderedDirectories) }

  /// True or false when one answer holds for every item, which saves asking.
  var unanimous: Bool? {
    switch policy {
    case .nothingUnsynced: false
    case .everything: true
    case .seeded, .subset: nil
    }
  }

  /// Called before the items of each file and each directory.
  mutating func begin() {
    if case .seeded = policy { load = [8, 64, 128, 192, 248][random.below(5)] }
  }

  mutating func survives() -> Bool {
    if answers != nil { return answers?.popFirst() ?? false }
    let answer: Bool
    switch policy {
    case .nothingUnsynced: answer = false
    case .everything: answer = true
    case .seeded: answer = random.chance(load)
    case .subset(let mask, _):
      answer = index < 64 && (mask >> index) & 1 == 1
      index += 1
    }
    digest.mix(answer ? 1 : 2)
    return answer
  }

  /// Whether a sector write that left the bytes as they were survives. It makes no difference that `survives` of the
  /// other items does not make, so an enumeration spends no bit on it.
  mutating func survivesUnaltered() -> Bool {
    if case .subset = policy { return false }
    return survives()
  }

  /// What a sector holds that neither kept its old nor got its new content: zeros, or the new bytes up to or from some
  /// word on and the old ones in the rest. Nil for a sector that is not torn.
  mutating func torn(new: UnsafeRawBufferPointer, old: () -> [UInt8]) -> [UInt8]? {
    guard case .seeded = policy, options.contains(.tornSectors), random.chance(24) else { return nil }
    guard random.chance(128) else { return [UInt8](repeating: 0, count: new.count) }
    let (new, old) = (Array(new), old())
    let cut = 8 * (1 + random.below(max(1, new.count / 8 - 1)))
    let (first, second) = random.chance(128) ? (new, old) : (old, new)
    return Array(first[..<cut]) + Array(second[cut...])
  }
}
