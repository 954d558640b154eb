/// What is known, from outside the newest segment, to have been acknowledged.
///
/// Each witness was made durable, or even written, only after the records it speaks of had been synced; so a witness that
/// reaches past the last valid block proves that acknowledged records are lost.
package struct Witnesses: Hashable, Sendable {
  /// From the beacon and from the last orderly close.
  package var ends: [Beacon.End] = []
  /// From cursors: commits, and the ends of open intents.
  package var offsets: [Offset] = []

  package init() {}

  /// Reads them all. A cursor that cannot be read says nothing here; opening it will say why.
  package static func gather(
    _ fileSystem: any FileSystem, _ paths: LogPaths, meta: LogMeta
  ) throws(LogError) -> Witnesses {
    var found = Witnesses()
    if let end = meta.cleanEnd { found.ends.append(end) }
    if let beacon = try readBeacon(fileSystem, paths, logID: meta.logID) { found.ends.append(beacon.durable) }
    for name in try CursorStore.names(fileSystem, paths) {
      guard let cursor = try? CursorStore.record(fileSystem, paths, name: name), cursor.logID == meta.logID,
        cursor.name == name
      else { continue }
      found.offsets.append(cursor.state.nextFirst)
    }
    return found
  }

  /// The beacon, if there is one and it is whole. Tries again a few times, because a writer may be at it.
  package static func readBeacon(
    _ fileSystem: any FileSystem, _ paths: LogPaths, logID: [UInt8]
  ) throws(LogError) -> Beacon? {
    do throws(FileSystemError) {
      guard try fileSystem.exists(paths.beacon) else { return nil }
      let file = OpenFile(fileSystem, try fileSystem.open(paths.beacon, .readOnly))
      for _ in 0..<8 {
        let bytes = try fileSystem.readAll(file.handle, count: Beacon.size, at: 0)
        if let beacon = Beacon(decoding: bytes, logID: logID) { return beacon }
      }
      return nil
    } catch {
      // It is dispensable: without one the end noted at the last close, the cursors and the blocks tell.
      if error.code == .inputOutput { return nil }
      throw LogError(error, while: "read the beacon")
    }
  }

  /// Whether some witness reaches past a place in a segment.
  package func reach(past position: UInt64, _ offset: Offset, in segment: UInt64) -> Bool {
    ends.contains { $0.segment > segment || ($0.segment == segment && $0.position > position) || $0.offset > offset }
      || offsets.contains { $0 > offset }
  }

  /// The highest offset any witness has seen.
  package var highestOffset: Offset { max(ends.map(\.offset).max() ?? .zero, offsets.max() ?? .zero) }
  package var highestSegment: UInt64 { ends.map(\.segment).max() ?? 0 }
}
