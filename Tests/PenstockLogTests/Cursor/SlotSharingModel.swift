@testable import PenstockLog

/// Two processes on one pair of tables: what is on the disk, what memory shows, what each process knows, and what
/// callers were promised. Each step is one that the other process, a death or a power cut can come before.
struct SlotSharingModel: Hashable {
  typealias Places = SlotPlaces

  /// A slot as stable storage has it, and as every process reads it. Nil: zeros, or torn.
  struct Slot: Hashable {
    var durable: Places.Content?
    var cached: Places.Content?
  }

  /// A group that is being written: the first `done` writes were made.
  struct Group: Hashable {
    var writes: [Places.Write]
    var done = 0
    /// What each name is at, if its write lasts.
    var expected: [SlotName: UInt64?]
  }

  struct Process: Hashable {
    var places: Places
    /// How many allocations there were when it read the tables.
    var seen: Int
    var held: Set<SlotName> = []
    var group: Group?
  }

  enum Step: Hashable {
    case open(Int), hold(Int, SlotName), release(Int, SlotName), begin(Int, [Places.Change]), write(Int), finish(Int)
    /// The process dies. With `torn`, in the middle of its next write.
    case die(Int, torn: Bool)
    /// Of each slot that is not synced, by the digits to the base 3: the old content, the new one, or none.
    case powerCut(Int)
  }

  static let names: [SlotName] = ["a", "b"]

  private(set) var slots: [Places.Place: [Slot]] = [:]
  private(set) var processes: [Process?] = [nil, nil]
  private(set) var allocations = 0
  private(set) var allocator: Int?
  private(set) var promised: [SlotName: UInt64] = [:]
  /// What a name may be at instead of what was promised, because a process died in between; nil: removed.
  private(set) var possible: [SlotName: Set<UInt64?>] = [:]
  private(set) var violations: [String] = []

  init(places count: Int) {
    for size in Places.Size.allCases {
      for index in 0..<count { slots[Places.Place(size: size, index: index)] = [Slot(), Slot()] }
    }
  }

  // MARK: What is possible

  var unsynced: Int { slots.values.joined().count { $0.durable != $0.cached } }

  var steps: [Step] {
    var steps: [Step] = []
    for index in processes.indices {
      guard let process = processes[index] else {
        if allocator == nil { steps.append(.open(index)) }
        continue
      }
      steps.append(.die(index, torn: false))
      if let group = process.group {
        steps += group.done < group.writes.count ? [.write(index), .die(index, torn: true)] : [.finish(index)]
        continue
      }
      for name in Self.names {
        if process.held.contains(name) {
          steps.append(.release(index, name))
        } else if !isHeld(name), process.seen == allocations || allocator == nil {
          steps.append(.hold(index, name))
        }
      }
      let groups = changes(of: process)
      steps += groups.filter { allocator == nil || !needsAllocation($0, process) }.map { .begin(index, $0) }
    }
    if unsynced > 0 {
      steps += (0..<(0..<unsynced).reduce(1) { count, _ in count * 3 }).map { .powerCut($0) }
    }
    return steps
  }

  private func isHeld(_ name: SlotName) -> Bool { processes.contains { $0?.held.contains(name) ?? false } }

  private func needsAllocation(_ changes: [Places.Change], _ process: Process) -> Bool {
    var places = process.places
    return places.stage(changes, allocating: false).results.contains(.failure(.needsAllocation))
  }

  private func changes(of process: Process) -> [[Places.Change]] {
    let single = process.held.sorted().map { name -> [Places.Change] in
      let revision = process.places.revision(of: name)
      return Places.Size.allCases.map { .put(name, $0, after: revision) }
        + (revision.map { [.remove(name, after: $0)] } ?? [])
    }
    let pairs = single.count == 2 ? single[0].flatMap { one in single[1].map { [one, $0] } } : []
    return single.joined().map { [$0] } + pairs
  }

  // MARK: Steps

  mutating func make(_ step: Step) {
    switch step {
    case .open(let index):
      synchronize(Places.Size.allCases)
      processes[index] = Process(places: readTables(), seen: allocations)
    case .hold(let index, let name): hold(index, name)
    case .release(let index, let name): processes[index]?.held.remove(name)
    case .begin(let index, let changes): begin(index, changes)
    case .write(let index): write(index)
    case .finish(let index): finish(index)
    case .die(let index, let torn): die(index, torn)
    case .powerCut(let choice): powerCut(choice)
    }
  }

  private mutating func synchronize(_ sizes: some Sequence<Places.Size>) {
    for place in slots.keys where sizes.contains(place.size) {
      slots[place] = slots[place]?.map { Slot(durable: $0.cached, cached: $0.cached) }
    }
  }

  private func newest(_ place: Places.Place, _ content: KeyPath<Slot, Places.Content?>) -> Places.Content? {
    (slots[place] ?? []).compactMap { $0[keyPath: content] }.max { $0.generation < $1.generation }
  }

  private func readTables(_ content: KeyPath<Slot, Places.Content?> = \.cached) -> Places {
    Places(slots.keys.reduce(into: [:]) { $0[$1] = .some(newest($1, content)) })
  }

  private mutating func refresh(_ index: Int) {
    guard processes[index]?.seen != allocations else { return }
    synchronize(Places.Size.allCases)
    let places = readTables()
    processes[index]?.places = places
    processes[index]?.seen = allocations
  }

  private mutating func hold(_ index: Int, _ name: SlotName) {
    if processes[index]?.seen != allocations {
      refresh(index)
    } else {
      synchronize(Places.Size.allCases)
      if let place = processes[index]?.places.place(of: name) {
        let isKnown = newest(place, \.cached).map { processes[index]?.places.saw($0, of: name) ?? false }
        if isKnown != true { violations.append("\(name) is not where process \(index) expects it") }
      }
    }
    processes[index]?.held.insert(name)
    settle(name, at: processes[index]?.places.revision(of: name), "a holder found")
  }

  /// What was found is durable, and counts from now on.
  private mutating func settle(_ name: SlotName, at found: UInt64?, _ note: String) {
    if found != promised[name], !possible[name, default: []].contains(found) {
      violations.append("\(note) \(name) at \(found ?? 0), promised \(promised[name] ?? 0)")
    }
    promised[name] = found
    possible[name] = nil
  }

  private mutating func begin(_ index: Int, _ changes: [Places.Change]) {
    guard var process = processes[index] else { return }
    var staged = process.places.stage(changes, allocating: false)
    if staged.results.contains(.failure(.needsAllocation)) {
      refresh(index)
      guard let fresh = processes[index] else { return }
      process = fresh
      staged = process.places.stage(changes, allocating: true)
      if staged.results.contains(.failure(.marksFirst)) {
        process = fresh
        staged = process.places.stage([], allocating: true)
      }
      guard !staged.writes.isEmpty else { return }
      allocations += 1
      process.seen = allocations
      allocator = index
    }
    var expected: [SlotName: UInt64?] = [:]
    for (change, result) in zip(changes, staged.results) {
      guard case .success(let revision) = result else { continue }
      if case .put = change { expected[change.name] = .some(revision) } else { expected[change.name] = .some(nil) }
    }
    process.group = Group(writes: staged.writes, expected: expected)
    processes[index] = process
  }

  private mutating func write(_ index: Int) {
    guard let group = processes[index]?.group else { return }
    let write = group.writes[group.done]
    check(write, by: index)
    slots[write.place]?[write.slot].cached = write.content
    processes[index]?.group?.done += 1
  }

  private mutating func check(_ write: Places.Write, by index: Int) {
    let present = slots[write.place] ?? []
    if !present.allSatisfy({ ($0.cached?.generation ?? 0) < write.content.generation }) {
      violations.append("process \(index): a generation fell at \(write)")
    }
    if let durable = present[write.slot].durable, durable == newest(write.place, \.durable),
      let (name, revision) = durable.value, readTables(\.durable).revision(of: name) == revision
    {
      violations.append("process \(index): \(write) overwrites the newest durable value of \(name)")
    }
    if let (name, revision) = newest(write.place, \.cached)?.value, readTables().revision(of: name) == revision,
      processes[index]?.held.contains(name) != true
    {
      violations.append("process \(index): \(write) takes the place of \(name), which it does not hold")
    }
  }

  private mutating func finish(_ index: Int) {
    guard let group = processes[index]?.group else { return }
    synchronize(group.writes.map(\.place.size))
    processes[index]?.places.commit()
    processes[index]?.group = nil
    if allocator == index { allocator = nil }
    for (name, revision) in group.expected {
      promised[name] = revision
      possible[name] = nil
    }
    let found = readTables(\.durable)
    for (name, _) in group.expected where found.revision(of: name) != promised[name] {
      violations.append("\(name) is at \(found.revision(of: name) ?? 0) after a sync of \(promised[name] ?? 0)")
    }
  }

  private mutating func die(_ index: Int, _ torn: Bool) {
    if let group = processes[index]?.group {
      if torn { slots[group.writes[group.done].place]?[group.writes[group.done].slot].cached = nil }
      for (name, revision) in group.expected { possible[name, default: []].insert(revision) }
    }
    if allocator == index { allocator = nil }
    processes[index] = nil
  }

  private mutating func powerCut(_ choice: Int) {
    for index in processes.indices where processes[index] != nil { die(index, false) }
    var choice = choice
    for place in slots.keys.sorted() {
      for slot in 0..<2 where slots[place]?[slot].durable != slots[place]?[slot].cached {
        let found = [slots[place]?[slot].durable, slots[place]?[slot].cached, nil][choice % 3]
        slots[place]?[slot] = Slot(durable: found, cached: found)
        choice /= 3
      }
    }
    let found = readTables()
    for name in Self.names { settle(name, at: found.revision(of: name), "a power cut left") }
  }
}
