extension SlotTable {
  /// Makes a group of moves durable. Returns for each its new revision, or why it was refused; the others are not
  /// affected. A group has at most one move for each name, and this process holds all of them.
  func write(_ moves: [SlotMove]) -> [Result<UInt64, SlotRefusal>] {
    precondition(moves.allSatisfy { held.contains($0.name) }, "only a holder moves a value")
    var results: [Int: Result<UInt64, SlotRefusal>] = [:]
    var group = SlotGroup()
    for (index, move) in moves.enumerated() {
      if let failure = failure(of: move.name) {
        results[index] = .failure(.failed(Self.refusal(after: failure)))
      } else {
        group.add(move, at: index, in: size(for: move))
      }
    }
    for (index, result) in perform(group) { results[index] = result }
    return moves.indices.compactMap { results[$0] }
  }

  private static func isHarmless(_ error: LogError) -> Bool { (error.cause as? FileSystemError)?.isHarmless ?? false }

  private func failure(of name: SlotName) -> LogError? {
    uncertain[name] ?? places.place(of: name).flatMap { failures[$0.size] }
  }

  private func size(for move: SlotMove) -> Size {
    guard let value = move.value else { return .small }
    guard let needed = SlotImage.size(forValueOf: value.count) else {
      preconditionFailure("a value of \(value.count) bytes does not fit a slot")
    }
    let present = places.place(of: move.name)?.size ?? .small
    return needed.rawValue < present.rawValue ? present : needed
  }

  private func perform(_ group: SlotGroup) -> [(index: Int, result: Result<UInt64, SlotRefusal>)] {
    var staged = places.stage(group.changes, allocating: false)
    var failure: LogError?
    if staged.results.contains(.failure(.needsAllocation)) {
      places.commit { _ in false }
      do throws(LogError) {
        return try whileAllocating { () throws(LogError) -> [(index: Int, result: Result<UInt64, SlotRefusal>)] in
          if try !isUpToDate() { try read() }
          return try allocate(group)
        }
      } catch {
        failure = error
      }
      staged = places.stage(group.changes, allocating: false)
    }
    return group.results(staged.results, failed: write(staged.writes, of: group), otherwise: failure)
  }

  /// Needs the allocation's lock, and tables that were read since the last allocation. Throws before anything is
  /// written.
  func allocate(_ group: SlotGroup) throws(LogError) -> [(index: Int, result: Result<UInt64, SlotRefusal>)] {
    try raiseAllocations()
    var staged = places.stage(group.changes, allocating: true)
    if staged.results.contains(.failure(.marksFirst)) {
      places.commit { _ in false }
      _ = write(places.stage([], allocating: true).writes, of: SlotGroup())
      staged = places.stage(group.changes, allocating: true)
    }
    var failure: LogError?
    for size in Size.allCases {
      let wanted = staged.results.count { $0 == .failure(.full(size)) }
      guard wanted > 0 else { continue }
      places.commit { _ in false }
      do throws(LogError) { try grow(size, by: wanted) } catch { failure = error }
      staged = places.stage(group.changes, allocating: true)
    }
    return group.results(staged.results, failed: write(staged.writes, of: group), otherwise: failure)
  }

  /// Before the first write of an allocation: a process that reads the tables later than this reads them again.
  func raiseAllocations() throws(LogError) {
    allocations &+= 1
    try files.setAllocations(allocations)
  }

  /// By an eighth, so that adding many values is few syncs; on a full disk by as many places as are wanted.
  private func grow(_ size: Size, by wanted: Int) throws(LogError) {
    if let failure = failures[size] { throw Self.refusal(after: failure) }
    let first = places.count(size)
    var more = max(wanted, size == .small ? 4 : 2, first / 8)
    while true {
      do throws(LogError) {
        try files.writeZeros(size, first..<first + more)
        try files.synchronize(size)
        return places.grow(size, by: more)
      } catch {
        guard Self.isHarmless(error) else {
          failures[size] = error
          throw error
        }
        guard more > wanted else { throw error }
        more = wanted
      }
    }
  }

  /// Writes and syncs what was staged, and commits what is durable. Returns the names whose writes failed.
  private func write(_ writes: [SlotPlaces.Write], of group: SlotGroup) -> [SlotName: LogError] {
    var failed: [Place: LogError] = [:]
    var names: [SlotName: LogError] = [:]
    for write in writes where failures[write.place.size] == nil {
      do throws(LogError) {
        try files.write(write, value: write.content.value.flatMap { group.values[$0.name] } ?? [])
      } catch {
        if Self.isHarmless(error) { failed[write.place] = error } else { failures[write.place.size] = error }
      }
    }
    for size in Set(writes.map(\.place.size)).sorted(by: { $0.rawValue < $1.rawValue }) where failures[size] == nil {
      guard writes.contains(where: { $0.place.size == size && failed[$0.place] == nil }) else { continue }
      do throws(LogError) { try files.synchronize(size) } catch { failures[size] = error }
    }
    for write in writes {
      let isLost = failures[write.place.size] != nil
      guard let failure = failures[write.place.size] ?? failed[write.place] else { continue }
      failed[write.place] = failure
      // A mark ends the value that lives there; one of an outdated place is of no name.
      guard let name = write.content.value?.name ?? places.name(livingAt: write.place) else { continue }
      names[name] = failure
      // Over its own place the next write goes to the same slot. A new place may hold the value all the same.
      let isNewPlace = write.content.value != nil && places.place(of: name) != write.place
      if isLost || isNewPlace { uncertain[name] = failure }
      if isNewPlace { mustRead = true }
    }
    places.commit { failed[$0] == nil }
    return names
  }
}
