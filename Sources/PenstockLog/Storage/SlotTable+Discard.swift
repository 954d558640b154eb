extension SlotTable {
  /// Erases a damaged place of which not even the name can be read. What was there is gone.
  /// A cursor of it begins again. Returns false when there is no such place.
  func eraseNameless(_ label: String) throws(LogError) -> Bool {
    try whileAllocating { () throws(LogError) -> Bool in
      try read()
      let nameless = damaged.filter { $0.value == nil && $0.key.label == label }.keys.sorted()
      if nameless.isEmpty { return false }
      try raiseAllocations()
      try erase(nameless)
      return true
    }
  }

  /// Nothing is known of the generations of such places, so none of their bytes may stay. Needs the allocation's lock.
  private func erase(_ broken: [Place]) throws(LogError) {
    for place in broken { try files.writeZeros(place.size, place.index..<place.index + 1) }
    // This also makes the zeros durable.
    try read()
  }

  /// Removes a value without a holder, also a damaged one: both its slots are overwritten. Then runs `body`, while the
  /// name is still locked. Returns false when there is none of that name. Throws `.cursorHeld` while it is held.
  func discard(_ name: SlotName, then body: () throws(LogError) -> Void = {}) throws(LogError) -> Bool {
    do throws(SlotRefusal) { try lock(name) } catch {
      if case .failed(let failure) = error { throw failure }
      throw LogError(.cursorHeld, "another process holds \(name)", location: .init(path: files.locksPath))
    }
    defer { release(name) }
    let isThere = try whileAllocating { () throws(LogError) -> Bool in
      try read()
      let broken = damaged.filter { $0.value == name }.keys.sorted()
      guard !broken.isEmpty || places.revision(of: name) != nil else { return false }
      try raiseAllocations()
      if !broken.isEmpty { try erase(broken) }
      if let revision = places.revision(of: name) {
        var group = SlotGroup()
        group.add(.remove(name, after: revision), at: 0, in: .small)
        for (_, result) in try allocate(group) {
          if case .failure(.failed(let failure)) = result { throw failure }
        }
      }
      return true
    }
    if isThere { try body() }
    return isThere
  }
}
