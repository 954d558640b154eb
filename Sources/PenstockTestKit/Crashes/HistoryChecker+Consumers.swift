import PenstockLog

// Who reads with a cursor and does something for each record.
extension HistoryChecker {
  struct ConsumerMemory: Sendable, Hashable {
    var processed: Set<Offset> = []
    var keys: [String: Offset] = [:]
    /// Everything below was processed, or was gone before it could be asked for.
    var proven = Offset.zero
  }

  mutating func processed(_ consumer: String, _ offset: Offset, key: String?) {
    if let key {
      if let known = consumers[consumer]?.keys[key] {
        if known != offset {
          report(.deliveryIsExact, "\(consumer): key \(key) is of record \(known) and of \(offset)")
        }
        return
      }
      consumers[consumer, default: ConsumerMemory()].keys[key] = offset
    }
    let isNew = consumers[consumer, default: ConsumerMemory()].processed.insert(offset).inserted
    if !isNew {
      let how = key.map { "under another key, \($0)" } ?? "twice"
      report(.deliveryIsExact, "\(consumer) has processed record \(offset) \(how)")
    }
  }

  mutating func passed(_ consumer: String, upTo end: Offset) {
    // From where the last look ended: what was processed stays so.
    var next = max(base, consumers[consumer]?.proven ?? .zero)
    while next < end, consumers[consumer]?.processed.contains(next) ?? false { next = next + 1 }
    consumers[consumer, default: ConsumerMemory()].proven = next
    if next < end { report(.deliveryIsExact, "\(consumer) has passed record \(next) and not processed it") }
  }
}
