package import PenstockTestKit

// What a run did, and what it broke.
extension Simulation {
  package struct Result: Sendable {
    package init() {}
    /// Openings after a crash whose result was compared with the history.
    package var recoveries = 0
    package var records = 0
    package var deliveries = 0
    package var sealed = 0
    package var segments = 0
    package var trims = 0
    /// Deliveries that found their own bytes at a peer that creates only.
    package var found = 0
    /// Openings that were repeated with nothing done in between, and gave the same bytes.
    package var repetitions = 0
    /// Reads that failed in a recovery or in a step, and disks with sectors that could not be read.
    package var failedReads = 0
    package var badSectors = 0
    /// Disks that lied, and of them those after which records were reported lost.
    package var lies = 0
    package var liesReported = 0
    /// Equal scripts, equal hash, in every process.
    package var hash: UInt64 = 0
    package var violations: [Violation] = []
    /// What was done, where it was asked for.
    package var steps: [String] = []
    /// I/Os of the newest process, up to its crash.
    package var ios = 0
    /// Crashes of recoveries; and recoveries that cut something, with another one after them.
    package var crashesInRecovery = 0
    package var cuts = 0
    /// Runs of retention that passed a cursor.
    package var passes = 0
    /// Syncs for several blocks, and those of them whose blocks lie in two segments.
    package var joinedSyncs = 0
    package var rollsBetween = 0
    /// Openings after a process whose router had read, or that had moved several cursors in one write.
    package var routedRecoveries = 0
    package var groupedRecoveries = 0
    /// Records that routers read, and writes that moved several cursors of deliveries.
    package var routedReads = 0
    package var groupedMoves = 0

    /// All counts but the newest process's, in the order of `keys`. For one that counts on from where another stopped.
    package var counts: [Int] {
      get { Self.keys.map { self[keyPath: $0] } }
      set { for (key, count) in zip(Self.keys, newValue) { self[keyPath: key] = count } }
    }

    private static var keys: [WritableKeyPath<Result, Int>] {
      [
        \.recoveries, \.records, \.deliveries, \.sealed, \.segments, \.trims, \.found, \.repetitions, \.failedReads,
        \.badSectors, \.lies, \.liesReported, \.crashesInRecovery, \.cuts, \.passes, \.joinedSyncs, \.rollsBetween,
        \.routedRecoveries, \.groupedRecoveries, \.routedReads, \.groupedMoves,
      ]
    }

    /// Adds what another run counted.
    package mutating func add(_ other: Result) { counts = zip(counts, other.counts).map { $0 + $1 } }
  }
}
