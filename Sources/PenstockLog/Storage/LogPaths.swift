/// The names of everything in a log's directory.
package struct LogPaths: Hashable, Sendable {
  package let root: String

  package init(_ root: String) {
    var root = root
    while root.count > 1, root.hasSuffix("/") { root.removeLast() }
    self.root = root
  }

  package var lock: String { root + "/LOCK" }
  package var meta: String { root + "/META" }
  package var commitPoint: String { root + "/COMMIT" }
  package var data: String { root + "/data" }
  package var next: String { root + "/data/next.tmp" }
  package var unfinishedNext: String { root + "/data/next.tmp.part" }
  package var cursors: String { root + "/cursors" }
  /// The producers' snapshots, written in turn.
  package func producers(_ slot: UInt64) -> String { root + (slot == 0 ? "/PRODUCERS.a" : "/PRODUCERS.b") }
  package var unfinishedProducers: String { root + "/PRODUCERS.tmp" }
  package var quarantine: String { root + "/quarantine" }

  package func segment(_ name: SegmentName) -> String { data + "/" + name.text }
  /// Where a segment's sealed form is written before it takes the segment's name.
  package func sealing(_ name: SegmentName) -> String { segment(name) + ".sealing" }
  /// Whether a name in the data directory is that of a sealed form not yet in place.
  package static func isSealing(_ name: String) -> Bool {
    name.hasSuffix(".sealing") && SegmentName(String(name.dropLast(8))) != nil
  }
  package func cursor(_ name: String) -> String { cursors + "/" + name + ".cur" }
  package func quarantined(_ name: String) -> String { quarantine + "/" + name }

  /// The directory a path lies in.
  package static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

extension LogError {
  /// A failed file system verb, told as what the log was about to do.
  package init(_ failure: FileSystemError, while doing: String) {
    let code: Code = failure.code == .noSpace ? .noSpace : .io
    self.init(code, "could not \(doing)", location: Location(path: failure.path), cause: failure)
  }
}
