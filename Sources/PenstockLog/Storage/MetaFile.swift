internal import Synchronization

/// META of a log that is open for writing. The writer and retention share it; each changes its own fields.
final class MetaFile: Sendable {
  private struct Contents {
    let slots: SlotFile
    var meta: LogMeta
  }
  /// Held while the slot is written, so that changes happen one after the other.
  private let contents: Mutex<Contents>

  init(_ slots: sending SlotFile, _ meta: LogMeta) { contents = Mutex(Contents(slots: slots, meta: meta)) }

  var value: LogMeta { contents.withLock { $0.meta } }

  /// Makes a change durable. Blocks the calling thread for one sync; never needs disk space.
  func update(_ change: (inout LogMeta) -> Void) throws(LogError) {
    try contents.withLock { contents throws(LogError) in
      var meta = contents.meta
      change(&meta)
      try contents.slots.write(meta.encoded())
      contents.meta = meta
    }
  }
}
