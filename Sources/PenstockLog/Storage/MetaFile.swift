internal import Synchronization

/// META of a log that is open for writing, shared by the writer and by retention: each changes its own fields.
package final class MetaFile: Sendable {
  private struct Kept {
    let slots: SlotFile
    var meta: LogMeta
  }
  /// Held while the slot is written: changes happen one after the other.
  private let kept: Mutex<Kept>

  package init(_ slots: sending SlotFile, _ meta: LogMeta) { kept = Mutex(Kept(slots: slots, meta: meta)) }

  package var value: LogMeta { kept.withLock { $0.meta } }

  /// Makes a change durable. Blocks for one sync; never needs room.
  package func update(_ change: (inout LogMeta) -> Void) throws(LogError) {
    try kept.withLock { kept throws(LogError) in
      var meta = kept.meta
      change(&meta)
      try kept.slots.write(meta.encoded())
      kept.meta = meta
    }
  }
}
