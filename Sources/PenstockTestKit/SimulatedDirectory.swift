/// One directory of a simulated disk: its durable entries, its present ones, and the operations in between.
struct SimulatedDirectory: Sendable {
  enum Entry: Sendable, Equatable {
    case file(Int)
    case directory(Int)
  }

  /// A creation adds, a removal removes, a rename does both at once.
  private struct Change: Sendable {
    var removes: String?
    var adds: String?
    var entry: Entry
  }

  private var durable: [String: Entry] = [:]
  private(set) var entries: [String: Entry] = [:]
  private var pending: [Change] = []

  var unsyncedItemCount: Int { pending.count }

  /// Everything that is, or after a crash may be, in the directory. In no order.
  var reachable: [Entry] { Array(durable.values) + pending.map(\.entry) + Array(entries.values) }

  mutating func add(_ name: String, _ entry: Entry) { make(Change(removes: nil, adds: name, entry: entry)) }

  mutating func remove(_ name: String) {
    guard let entry = entries[name] else { return }
    make(Change(removes: name, adds: nil, entry: entry))
  }

  mutating func rename(_ name: String, to newName: String) {
    guard let entry = entries[name] else { return }
    make(Change(removes: name, adds: newName, entry: entry))
  }

  private mutating func make(_ change: Change) {
    Self.apply(change, to: &entries)
    pending.append(change)
  }

  private static func apply(_ change: Change, to entries: inout [String: Entry]) {
    if let name = change.removes { entries[name] = nil }
    if let name = change.adds { entries[name] = change.entry }
  }

  /// Not `durable = entries`: what a failed sync has lost, a later one does not bring back.
  mutating func synchronize() { synchronize(first: pending.count) }

  /// Makes a prefix of the operations durable.
  mutating func synchronize(first count: Int) {
    for change in pending[..<count] { Self.apply(change, to: &durable) }
    pending.removeFirst(count)
  }

  /// Throws away what a failed sync did not write.
  mutating func dropUnsynced() {
    entries = durable
    pending = []
  }

  func afterPowerCut(_ chooser: inout CrashChooser) -> SimulatedDirectory {
    chooser.begin()
    var directory = self
    var ended = false
    for change in pending {
      let survives = chooser.survives()
      if !survives && chooser.keepsDirectoryOrder { ended = true }
      if survives && !ended { Self.apply(change, to: &directory.durable) }
    }
    directory.entries = directory.durable
    directory.pending = []
    return directory
  }

  /// Every set of entries that a power cut can leave, with any of the operations, each once; nil where there are more
  /// than `limit`.
  func powerCuts(atMost limit: Int) -> [SimulatedDirectory]? {
    guard pending.count < 16, 1 << pending.count <= limit else { return nil }
    var found: [SimulatedDirectory] = []
    for mask in 0..<(1 << pending.count) {
      var chooser = CrashChooser(answers: pending.indices.map { mask >> $0 & 1 == 1 })
      let directory = afterPowerCut(&chooser)
      if !found.contains(where: { $0.entries == directory.entries }) { found.append(directory) }
    }
    return found
  }

  /// Puts an entry there durably, past every sync.
  mutating func install(_ name: String, _ entry: Entry) {
    durable[name] = entry
    entries[name] = entry
  }
}
