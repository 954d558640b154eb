/// Which place of a table file holds which value: the allocation of slots, without any input or output. A pure value:
/// what one process knows of the tables.
///
/// A table has places; a place has two slots, which are written in turn. What the newest whole slot of a place says,
/// counts:
///
///   free     empty, or marked as free                    a new value may go there
///   live     a value; its revision is the highest        the next revision goes into the other slot of this place,
///            that any place has for its name             or into a free place of the other table
///   outdated a value with a lower revision than the      marked as free with the next allocation, then free
///            live place of its name has
///
/// Several processes share the tables. What each may do:
///
///   hold      lock the name; if another process has allocated since this one read the tables, read them again; read
///             the name's place, after a sync (`saw`)
///   move      write the next revision of a held name into its own place: needs no other lock
///   allocate  lock the allocation; if another process has allocated, read the tables again, after a sync; raise the
///             number of allocations; write, sync; unlock. For a new name, a change of place, a removal, marks, growth
///
/// So the places of all names are known exactly while no other process allocates. The revision and the generation of a
/// name that another process holds may be out of date here: only its holder writes its place, and it becomes free only
/// by an allocation.
///
/// Legal moves: ``stage(_:allocating:)`` says what to write for a group of changes, ``commit(where:)`` after its sync
/// makes that the state. A write that found no space is left out of the commit. Over a name's own place the next write
/// goes to the same slot; after one to a new place, or after any other failure, read the tables again before the name
/// moves.
///
/// Invariants, over crashes and deaths of processes at every write and sync:
/// 1. A name has at most one live place.
/// 2. A write never touches a slot that holds the newest synced value of any name.
/// 3. The generations of a place only rise.
/// 4. A removed name does not come back: its outdated places are marked as free, and that is synced, before the name is
///    removed.
struct SlotPlaces: Hashable, Sendable {
  /// The size of a slot.
  enum Size: Int, Hashable, Sendable, CaseIterable {
    case small, large
  }

  struct Place: Hashable, Sendable {
    let size: Size
    let index: Int
    /// What an operator reads.
    var label: String { "place \(index) of \(size).slots" }
  }

  /// What the newest whole slot of a place holds.
  struct Content: Hashable, Sendable {
    var generation: UInt64
    /// Nil: the place is marked as free.
    var value: (name: SlotName, revision: UInt64)? { name.map { ($0, revision) } }
    private let name: SlotName?
    private let revision: UInt64

    init(generation: UInt64, name: SlotName?, revision: UInt64 = 0) {
      self.generation = generation
      self.name = name
      self.revision = name == nil ? 0 : revision
    }
  }

  /// One change of a group, of a name that this process holds. A group has at most one for each name.
  enum Change: Hashable, Sendable {
    /// A value that needs a slot of this size; it follows this revision, or nil for a new name.
    case put(SlotName, Size, after: UInt64?)
    case remove(SlotName, after: UInt64)

    var name: SlotName {
      switch self {
      case .put(let name, _, _), .remove(let name, _): name
      }
    }
  }

  /// One slot to write.
  struct Write: Hashable, Sendable {
    let place: Place
    let content: Content
    /// Which of the place's two slots.
    var slot: Int { Int(content.generation % 2) }
  }

  enum Refusal: Error, Hashable, Sendable {
    /// The slot is at another revision than the change expects; nil: there is no such slot.
    case conflict(present: UInt64?)
    /// The change needs a place, or gives one up: lock the allocation, and stage again.
    case needsAllocation
    /// The table has no free place: make it longer, and stage again.
    case full(Size)
    /// A removal while a place still has an older value of that name: write an empty group first, which marks it.
    case marksFirst
  }

  private struct Live: Hashable, Sendable {
    var place: Place
    var revision: UInt64
  }

  private var live: [SlotName: Live] = [:]
  /// The newest generation of each place.
  private var generations: [Place: UInt64] = [:]
  private var free: Set<Place> = []
  /// Places whose value is outdated, until they are marked as free, with its name.
  private var outdated: [Place: SlotName] = [:]
  /// How many places each table has, damaged ones included.
  private var counts: [Size: Int] = [:]
  /// The writes of the group that is being written.
  private var staged: [Write] = []

  /// From what the places hold; nil for a place without a whole slot. Damaged places are never used.
  init(_ contents: [Place: Content?] = [:], damaged: Set<Place> = []) {
    for size in Size.allCases { counts[size] = damaged.count { $0.size == size } }
    for (place, content) in contents {
      counts[place.size, default: 0] += 1
      generations[place] = content?.generation ?? 0
      guard let (name, revision) = content?.value else {
        free.insert(place)
        continue
      }
      guard let other = live[name] else {
        live[name] = Live(place: place, revision: revision)
        continue
      }
      outdated[other.revision < revision ? other.place : place] = name
      if other.revision < revision { live[name] = Live(place: place, revision: revision) }
    }
  }

  var names: [SlotName] { live.keys.sorted() }
  func revision(of name: SlotName) -> UInt64? { live[name]?.revision }
  func place(of name: SlotName) -> Place? { live[name]?.place }
  func name(livingAt place: Place) -> SlotName? { live.first { $0.value.place == place }?.key }
  /// Whether the next allocation also marks outdated places as free.
  var owesMarks: Bool { !outdated.isEmpty }
  func count(_ size: Size) -> Int { counts[size] ?? 0 }

  /// Adds places to a table, whose slots are zeros on stable storage. Needs the allocation's lock.
  mutating func grow(_ size: Size, by count: Int) {
    let first = self.count(size)
    for index in first..<(first + count) {
      generations[Place(size: size, index: index)] = 0
      free.insert(Place(size: size, index: index))
    }
    counts[size] = first + count
  }

  /// The place of a name that was just locked was read again: an earlier holder may have moved it on. False when the
  /// place holds something else, which no process does.
  mutating func saw(_ content: Content, of name: SlotName) -> Bool {
    guard let present = live[name], let (found, revision) = content.value, found == name, revision >= present.revision,
      content.generation >= generations[present.place, default: 0]
    else { return false }
    live[name] = Live(place: present.place, revision: revision)
    generations[present.place] = content.generation
    return true
  }

  /// Decides what to write for a group. A refused change writes nothing, and the others are not affected. All writes
  /// are to be made and synced, and then ``commit(where:)`` called, before the next group.
  mutating func stage(
    _ changes: [Change], allocating: Bool
  ) -> (writes: [Write], results: [Result<UInt64, Refusal>]) {
    precondition(staged.isEmpty, "one group at a time")
    precondition(Set(changes.map(\.name)).count == changes.count, "one change for each name")
    if allocating {
      staged = outdated.keys.sorted().map { Write(place: $0, content: Content(generation: next($0), name: nil)) }
    }
    var unused: [Size: [Place]] = [:]
    let results = changes.map { change in
      Result { () throws(Refusal) in try stage(change, allocating: allocating, &unused) }
    }
    return (staged, results)
  }

  private mutating func stage(
    _ change: Change, allocating: Bool, _ unused: inout [Size: [Place]]
  ) throws(Refusal) -> UInt64 {
    let present = live[change.name]
    switch change {
    case .remove(let name, let revision):
      guard let present, present.revision == revision else { throw .conflict(present: present?.revision) }
      guard allocating else { throw .needsAllocation }
      // In one group, a crash could keep this mark alone, and the older value would be back.
      guard !outdated.values.contains(name) else { throw .marksFirst }
      staged.append(Write(place: present.place, content: Content(generation: next(present.place), name: nil)))
      return revision
    case .put(let name, let size, let revision):
      guard present?.revision == revision else { throw .conflict(present: present?.revision) }
      let place: Place
      if let present, present.place.size == size {
        place = present.place
      } else {
        guard allocating else { throw .needsAllocation }
        // The lowest first, so that a table stays dense; sorted once for a group.
        var left = unused[size] ?? free.filter { $0.size == size }.sorted(by: >)
        guard let found = left.popLast() else { throw .full(size) }
        unused[size] = left
        place = found
      }
      let following = (revision ?? 0) + 1
      staged.append(Write(place: place, content: Content(generation: next(place), name: name, revision: following)))
      return following
    }
  }

  /// The group is on stable storage, but for the places that `isWritten` leaves out: their slots hold no new value.
  mutating func commit(where isWritten: (Place) -> Bool = { _ in true }) {
    for write in staged where isWritten(write.place) {
      generations[write.place] = write.content.generation
      outdated[write.place] = nil
      guard let (name, revision) = write.content.value else {
        if let old = name(livingAt: write.place) { live[old] = nil }
        free.insert(write.place)
        continue
      }
      free.remove(write.place)
      if let old = live[name], old.place != write.place { outdated[old.place] = name }
      live[name] = Live(place: write.place, revision: revision)
    }
    staged = []
  }

  private func next(_ place: Place) -> UInt64 { generations[place, default: 0] + 1 }
}

extension SlotPlaces.Place: Comparable {
  static func < (a: Self, b: Self) -> Bool {
    a.size == b.size ? a.index < b.index : a.size.rawValue < b.size.rawValue
  }
}
