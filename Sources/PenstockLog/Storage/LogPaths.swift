/// The names of all files in a log's directory.
package struct LogPaths: Hashable, Sendable {
  let root: String

  package init(_ root: String) {
    var root = root
    while root.count > 1, root.hasSuffix("/") { root.removeLast() }
    self.root = root
  }

  package var lock: String { root + "/LOCK" }
  package var meta: String { root + "/META" }
  var commitPoint: String { root + "/COMMIT" }
  var data: String { root + "/data" }
  var next: String { root + "/data/next.tmp" }
  var unfinishedNext: String { root + "/data/next.tmp.part" }
  var cursors: String { root + "/cursors" }
  /// The producers' snapshots; the log writes the two in turn.
  func producers(_ slot: UInt64) -> String { root + (slot == 0 ? "/PRODUCERS.a" : "/PRODUCERS.b") }
  var unfinishedProducers: String { root + "/PRODUCERS.tmp" }
  var quarantine: String { root + "/quarantine" }

  package func segment(_ name: SegmentName) -> String { data + "/" + name.text }
  /// The file to which sealing writes a segment's sealed form before it replaces the segment.
  func sealing(_ name: SegmentName) -> String { segment(name) + ".sealing" }
  /// Whether a name in the data directory is that of an unfinished sealed form.
  static func isSealing(_ name: String) -> Bool {
    name.hasSuffix(".sealing") && SegmentName(String(name.dropLast(8))) != nil
  }
  /// The table files of small values, and the file of their locks.
  func slots(_ size: SlotPlaces.Size) -> String { cursors + (size == .small ? "/small.slots" : "/large.slots") }
  var slotLocks: String { cursors + "/slots.lock" }
  func quarantined(_ name: String) -> String { quarantine + "/" + name }

  /// The directory of a path.
  package static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

extension LogError {
  /// A failed file system verb, with the action that the log tried.
  package init(_ failure: FileSystemError, while doing: String) {
    let code: Code = failure.code == .noSpace ? .noSpace : .io
    self.init(code, "could not \(doing)", location: Location(path: failure.path), cause: failure)
  }
}
