/// Which place of a table file holds which value: the allocation of slots, without any input or output. A pure value.
///
/// A table has places; a place has two slots, which are written in turn. What the newest whole slot of a place says,
/// counts:
///
///   free     empty, or marked as free                    a new value may go there
///   live     a value; its revision is the highest        the next revision goes into the other slot of this place,
///            that any place has for its name             or into a free place of the other table
///   outdated a value with a lower revision than the      marked as free with the next group, then free
///            live place of its name has
///
/// Legal moves: ``stage(_:)`` says what to write for a group of changes, ``commit()`` after its sync makes that the
/// state. After a failed sync this value is of no use; read the tables again.
///
/// Invariants, over crashes at every write and sync:
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
  }

  /// What the newest whole slot of a place holds.
  struct Content: Hashable, Sendable {
    var generation: UInt64
    /// Nil: the place is marked as free.
    var value: (name: String, revision: UInt64)? { name.map { ($0, revision) } }
    private let name: String?
    private let revision: UInt64

    init(generation: UInt64, name: String?, revision: UInt64 = 0) {
      self.generation = generation
      self.name = name
      self.revision = name == nil ? 0 : revision
    }
  }

  /// One change of a group. A group has at most one for each name.
  enum Change: Hashable, Sendable {
    /// A value that needs a slot of this size; it follows this revision, or nil for a new name.
    case put(String, Size, after: UInt64?)
    case remove(String, after: UInt64)

    var name: String {
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
    /// The table has no free place: make it longer, and stage again.
    case full(Size)
    /// A removal while a place still has an older value of that name: write an empty group first, which marks it.
    case marksFirst
  }

  private struct Live: Hashable, Sendable {
    var place: Place
    var revision: UInt64
  }

  private var live: [String: Live] = [:]
  /// The newest generation of each place.
  private var generations: [Place: UInt64] = [:]
  private var free: Set<Place> = []
  /// Places whose value is outdated, until they are marked as free, with its name.
  private var outdated: [Place: String] = [:]
  /// The writes of the group that is being written.
  private var staged: [Write] = []

  /// From what the places hold; nil for a place without a whole slot.
  init(_ contents: [Place: Content?] = [:]) {
    for (place, content) in contents {
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

  var names: [String] { live.keys.sorted() }
  func revision(of name: String) -> UInt64? { live[name]?.revision }
  func place(of name: String) -> Place? { live[name]?.place }
  /// Whether the next group also marks outdated places as free.
  var owesMarks: Bool { !outdated.isEmpty }

  /// Adds places to a table, whose slots are zeros on stable storage.
  mutating func grow(_ size: Size, by count: Int) {
    let first = generations.keys.count { $0.size == size }
    for index in first..<(first + count) {
      generations[Place(size: size, index: index)] = 0
      free.insert(Place(size: size, index: index))
    }
  }

  /// Decides what to write for a group. A refused change writes nothing, and the others are not affected. All writes
  /// are to be made and synced, and then ``commit()`` called, before the next group.
  mutating func stage(_ changes: [Change]) -> (writes: [Write], results: [Result<UInt64, Refusal>]) {
    precondition(staged.isEmpty, "one group at a time")
    precondition(Set(changes.map(\.name)).count == changes.count, "one change for each name")
    staged = outdated.keys.sorted().map { Write(place: $0, content: Content(generation: next($0), name: nil)) }
    let results = changes.map { change in
      Result { () throws(Refusal) in try stage(change) }
    }
    return (staged, results)
  }

  private mutating func stage(_ change: Change) throws(Refusal) -> UInt64 {
    let present = live[change.name]
    switch change {
    case .remove(let name, let revision):
      guard let present, present.revision == revision else { throw .conflict(present: present?.revision) }
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
        let isTaken = Set(staged.map(\.place))
        let found = free.filter { $0.size == size && !isTaken.contains($0) }.min()
        guard let found else { throw .full(size) }
        place = found
      }
      let following = (revision ?? 0) + 1
      staged.append(Write(place: place, content: Content(generation: next(place), name: name, revision: following)))
      return following
    }
  }

  /// The group is on stable storage.
  mutating func commit() {
    for write in staged {
      generations[write.place] = write.content.generation
      outdated[write.place] = nil
      guard let (name, revision) = write.content.value else {
        if let old = live.first(where: { $0.value.place == write.place }) { live[old.key] = nil }
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
