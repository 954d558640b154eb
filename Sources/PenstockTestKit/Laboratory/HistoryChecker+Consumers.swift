import PenstockLog

// Who reads with a cursor and does something for each record.
extension HistoryChecker {
  struct ConsumerMemory: Sendable, Hashable {
    var processed: Set<Offset> = []
    var keys: [String: Offset] = [:]
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
    let done = consumers[consumer]?.processed ?? []
    guard let missed = (base.rawValue..<max(base.rawValue, end.rawValue)).first(where: { !done.contains(Offset($0)) })
    else { return }
    report(.deliveryIsExact, "\(consumer) has passed record \(missed) and not processed it")
  }
}
