/// The small durable values of a log, in two table files that processes share: what one process may do with them.
///
/// ``SlotPlaces`` decides which slot is written, and says what a process may do under which lock. This type performs
/// it. A group costs one write for each changed value and one sync for each table that it touches.
///
/// A value that outgrows a small place moves to a large one and stays there, so that later writes need no space.
///
/// After a failed write or sync of a table nothing is known of what the disk has of it. All later writes of its values
/// are refused in this process; the next opening reads the disk. A write that finds no space is no such failure: the
/// slot with the newest value is untouched.
///
/// Every method blocks the calling thread. The owner uses it from one thread at a time.
final class SlotTable {
  typealias Size = SlotPlaces.Size
  typealias Place = SlotPlaces.Place

  let files: SlotFiles
  private let clock: any MonotonicClock
  private let position: @Sendable (SlotName) -> UInt64
  var places = SlotPlaces()
  var damaged: [Place: SlotName?] = [:]
  /// How many allocations all processes had made when `places` was read.
  var allocations: UInt64 = 0
  private(set) var held: Set<SlotName> = []
  /// How many held names have each position.
  private var locked: [UInt64: Int] = [:]
  /// The first failure of each table.
  var failures: [Size: LogError] = [:]
  /// Names whose newest write failed in a way that may have left the old value or the new one, with the failure.
  var uncertain: [SlotName: LogError] = [:]
  /// Whether a place that counts as free may hold a value, because its write failed.
  var mustRead = false

  /// Opens the tables of a log, or makes empty ones. What is read is durable.
  ///
  /// Throws `.locked` while another process allocates for more than ten seconds, `.futureFormat` and `.io`.
  init(
    _ fileSystem: any FileSystem, _ paths: LogPaths, clock: any MonotonicClock = SystemMonotonicClock(),
    position: @escaping @Sendable (SlotName) -> UInt64 = { $0.lockPosition }
  ) throws(LogError) {
    files = try SlotFiles(fileSystem, paths)
    self.clock = clock
    self.position = position
    try whileAllocating { () throws(LogError) in try read() }
  }

  // MARK: Holding

  /// Takes the exclusive right to write these names, until they are released or the process ends. Returns for each the
  /// value that is durable now, or nil for a name without one. Two syncs in all.
  ///
  /// Refused: `.held` while a process, this one included, holds the name; `.failed` where its place is damaged.
  func hold(_ names: [SlotName]) -> [Result<SlotValue?, SlotRefusal>] {
    let locks = names.map { name in Result { () throws(SlotRefusal) in try lock(name) } }
    do throws(LogError) {
      try refuseAfterFailure()
      if try isUpToDate() {
        // An earlier holder may have been killed between its write and its sync.
        try settle()
      } else {
        try whileAllocating { () throws(LogError) in try read() }
      }
    } catch {
      for case (let name, .success) in zip(names, locks) { release(name) }
      return locks.map { $0.flatMap { _ in .failure(.failed(error)) } }
    }
    return zip(names, locks).map { name, lock in
      Result { () throws(SlotRefusal) -> SlotValue? in
        try lock.get()
        do throws(LogError) { return try value(of: name) } catch {
          release(name)
          throw SlotRefusal.failed(error)
        }
      }
    }
  }

  func release(_ name: SlotName) {
    guard held.remove(name) != nil else { return }
    let position = position(name)
    // The next holder reads what there is.
    uncertain[name] = nil
    locked[position, default: 1] -= 1
    guard locked[position] == 0 else { return }
    locked[position] = nil
    files.unlock(position)
  }

  func lock(_ name: SlotName) throws(SlotRefusal) {
    guard !held.contains(name) else { throw .held }
    let position = position(name)
    if locked[position] == nil {
      let isTaken: Bool
      do throws(LogError) { isTaken = try files.lock(position) } catch { throw .failed(error) }
      guard isTaken else { throw .held }
    }
    locked[position, default: 0] += 1
    held.insert(name)
  }

  private func value(of name: SlotName) throws(LogError) -> SlotValue? {
    if let place = damaged.first(where: { $0.value == name })?.key { throw files.damage(place) }
    guard let place = places.place(of: name) else {
      // A cursor that cannot be read must not begin again.
      if let place = damaged.first(where: { $0.value == nil })?.key { throw files.damage(place) }
      return nil
    }
    guard case .whole(let content, let value) = try files.read(place), places.saw(content, of: name) else {
      throw files.damage(place)
    }
    return SlotValue(revision: content.value?.revision ?? 0, bytes: value)
  }

  // MARK: Reading

  /// Needs the allocation's lock.
  func read() throws(LogError) {
    try refuseAfterFailure()
    try settle()
    allocations = try files.allocations()
    var contents: [Place: SlotPlaces.Content?] = [:]
    damaged = [:]
    for size in Size.allCases {
      try files.forEachPlace(size) { (place, reading) throws(LogError) in
        switch reading {
        case .empty: contents[place] = .some(nil)
        case .whole(let content, _): contents[place] = content
        case .damaged(let name): damaged[place] = .some(name)
        case .future: break  // The reader has thrown.
        }
      }
    }
    places = SlotPlaces(contents, damaged: Set(damaged.keys))
    mustRead = false
  }

  /// Whether the places of all names are known. Exact under the allocation's lock, or for a name that was just locked.
  func isUpToDate() throws(LogError) -> Bool {
    guard !mustRead else { return false }
    return try files.allocations() == allocations
  }

  /// Makes durable what any process has written, and drops what only memory holds.
  private func settle() throws(LogError) {
    for size in Size.allCases {
      do throws(LogError) { try files.synchronizeThenDropCache(size) } catch {
        failures[size] = error
        throw error
      }
    }
  }

  private func refuseAfterFailure() throws(LogError) {
    if let failure = failures.values.first { throw Self.refusal(after: failure) }
  }

  static func refusal(after failure: LogError) -> LogError {
    LogError(.poisoned, "an earlier write failed; open the log again", location: failure.location, cause: failure.cause)
  }

  /// Runs a body that no other process' allocation overlaps.
  func whileAllocating<Value>(_ body: () throws(LogError) -> Value) throws(LogError) -> Value {
    var left = SlotFiles.attempts
    while try !files.lock(SlotFiles.allocation) {
      left -= 1
      guard left > 0 else { throw files.allocationIsLocked }
      clock.sleep(nanoseconds: SlotFiles.pauseNanoseconds)
    }
    defer { files.unlock(SlotFiles.allocation) }
    return try body()
  }
}
