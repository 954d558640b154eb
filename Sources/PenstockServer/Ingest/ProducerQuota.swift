/// Bounds the producer names of one API key. A pure value; the caller passes the time.
///
/// The log remembers a bounded number of producers and forgets the least recently used. Without a bound for each key, a
/// client that uses a new name for every request would displace all others.
package struct ProducerQuota: Sendable {
  /// The largest number of names for one key within ``window``.
  package static let names = 256
  /// In seconds. A name that was unused for this long makes room for another.
  package static let window: Int64 = 3600

  private var used: [String: [String: Int64]] = [:]

  package init() {}

  /// Nil when the key may use the name now; otherwise the seconds until it may.
  ///
  /// Complexity: O(1) for a name in use, O(``names``) for a new one.
  package mutating func wait(_ key: String, _ name: String, at now: Int64) -> Int64? {
    var names = used[key] ?? [:]
    if names[name] == nil, names.count >= Self.names, let oldest = names.min(by: { $0.value < $1.value }) {
      let wait = oldest.value + Self.window - now
      if wait > 0 { return wait }
      names[oldest.key] = nil
    }
    names[name] = now
    used[key] = names
    return nil
  }
}
