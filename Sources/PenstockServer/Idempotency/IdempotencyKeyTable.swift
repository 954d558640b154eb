package import PenstockLog

/// 128 bits of a SHA-256: of an idempotency key and its scope, or of the content sent with it.
package struct Hash128: Sendable, Hashable {
  package let high: UInt64
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// - Parameter bytes: at least 16; the first 16 are used.
  package init(_ bytes: some Sequence<UInt8>) {
    var halves: (UInt64, UInt64) = (0, 0)
    for (index, byte) in bytes.prefix(16).enumerated() {
      if index < 8 { halves.0 = halves.0 << 8 | UInt64(byte) } else { halves.1 = halves.1 << 8 | UInt64(byte) }
    }
    (high, low) = halves
  }

  package var bytes: [UInt8] {
    withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { Array($0) }
  }
}

/// The append that one idempotency key identifies. 52 bytes in the journal; 36 of them are stored with the append.
package struct KeyedAppend: Sendable, Hashable {
  package var key: Hash128
  /// The hash of the records: the same key with other content is rejected.
  package var content: Hash128
  /// The number of records.
  package var count: UInt32
  /// The offset of the first record; nil when the log no longer remembers it.
  package var first: Offset?

  package init(key: Hash128, content: Hash128, count: UInt32, first: Offset?) {
    self.key = key
    self.content = content
    self.count = count
    self.first = first
  }

  /// The bytes stored in the log with the records, as the source position of their producer.
  package var source: [UInt8] {
    key.bytes + content.bytes + withUnsafeBytes(of: count.bigEndian) { Array($0) }
  }

  package init?(source: [UInt8], first: Offset?) {
    guard source.count == 36 else { return nil }
    key = Hash128(source[0..<16])
    content = Hash128(source[16..<32])
    count = source[32...].reduce(0) { $0 << 8 | UInt32($1) }
    self.first = first
  }

  package func journalEntry(at seconds: Int64) -> [UInt8] {
    source + withUnsafeBytes(of: (first?.rawValue ?? .max).bigEndian) { Array($0) }
      + withUnsafeBytes(of: seconds.bigEndian) { Array($0) }
  }

  package static func read(journalEntry bytes: [UInt8]) -> (append: KeyedAppend, seconds: Int64)? {
    guard bytes.count == 52 else { return nil }
    let first = bytes[36..<44].reduce(0) { $0 << 8 | UInt64($1) }
    guard let append = KeyedAppend(source: Array(bytes[..<36]), first: first == .max ? nil : Offset(first)) else {
      return nil
    }
    return (append, Int64(bitPattern: bytes[44...].reduce(0) { $0 << 8 | UInt64($1) }))
  }
}

/// Which idempotency keys are known, and which have a request in progress. A pure value.
///
/// - The first request with a key *claims* it. The claim is *settled* with what was appended, or *released* when
///   nothing was.
/// - At most `capacity` settled keys are known, and none older than `window`. The oldest are forgotten first.
/// - Age is a total order that every start restores: the second in which a key was settled, then the offset of its
///   records. Seconds never decrease: while the clock is earlier than the newest key's second, new keys get that
///   second.
/// - A start changes neither: ``restore(_:at:)`` and ``arrange(at:)`` restore the position of each key, and forgotten
///   keys stay forgotten.
package struct IdempotencyKeyTable: Sendable {
  package enum Answer: Sendable, Hashable {
    /// The key is new: the caller appends, then settles or releases it.
    case claimed
    /// Another request with this key and this content is in progress.
    case underWay
    case known(KeyedAppend)
    /// The key was used with other content.
    case otherContent
  }

  private struct Known: Sendable {
    var append: KeyedAppend
    var seconds: Int64
    var age: KeyAge { KeyAge(key: append.key, seconds: seconds, first: append.first?.rawValue ?? .max) }
  }

  private struct KeyAge: Sendable {
    let key: Hash128
    let seconds: Int64
    let first: UInt64

    func isOlder(than other: KeyAge) -> Bool { (seconds, first) < (other.seconds, other.first) }
  }

  package let capacity: Int
  /// How long a key is known, in seconds.
  package let window: Int64
  private var settled: [Hash128: Known] = [:]
  /// Oldest first; entries before `oldest` are forgotten.
  private var order: [KeyAge] = []
  private var oldest = 0
  private var claims: [Hash128: Hash128] = [:]
  /// When the newest key was settled; nil before the first.
  package private(set) var newestSeconds: Int64?
  /// How often the ages of two keys were compared. Tests bound it.
  private(set) var comparisons = 0

  package init(capacity: Int, window: Int64) {
    self.capacity = max(1, capacity)
    self.window = window
  }

  package var count: Int { settled.count }
  package func isUnknown(_ key: Hash128) -> Bool { settled[key] == nil }
  /// Whether the key identifies exactly this append, not an earlier or a later one.
  package func knows(_ append: KeyedAppend) -> Bool {
    guard let known = settled[append.key] else { return false }
    return append.first == nil || known.append.first == append.first
  }

  package mutating func claim(_ key: Hash128, content: Hash128, at seconds: Int64) -> Answer {
    forget(before: seconds)
    if let known = settled[key]?.append { return known.content == content ? .known(known) : .otherContent }
    if let claimed = claims[key] { return claimed == content ? .underWay : .otherContent }
    claims[key] = content
    return .claimed
  }

  package mutating func release(_ key: Hash128) { claims[key] = nil }

  /// Records the append. A key that is already known does not change.
  ///
  /// - Returns: the second that the key's age counts from.
  @discardableResult
  package mutating func settle(_ append: KeyedAppend, at seconds: Int64) -> Int64 {
    claims[append.key] = nil
    if let known = settled[append.key] { return known.seconds }
    let known = Known(append: append, seconds: max(seconds, newestSeconds ?? seconds))
    newestSeconds = known.seconds
    settled[append.key] = known
    // Only concurrent appends may be settled in another order than they have in the log.
    var index = order.count
    while index > oldest {
      comparisons += 1
      guard known.age.isOlder(than: order[index - 1]) else { break }
      index -= 1
    }
    order.insert(known.age, at: index)
    forget(before: seconds)
    return known.seconds
  }

  /// Adds an append that was read back at a start, in any order; call ``arrange(at:)`` at the end. Of two appends with
  /// one key the later one counts.
  package mutating func restore(_ append: KeyedAppend, at seconds: Int64) {
    let restored = Known(append: append, seconds: seconds)
    if let known = settled[append.key], !known.age.isOlder(than: restored.age) { return }
    settled[append.key] = restored
    order.append(restored.age)
    newestSeconds = max(seconds, newestSeconds ?? seconds)
  }

  /// Sorts the restored keys, and forgets those beyond the window or the capacity.
  package mutating func arrange(at seconds: Int64) {
    var ages = order[oldest...].filter { age in
      settled[age.key].map { $0.seconds == age.seconds && $0.age.first == age.first } ?? false
    }
    var count = 0
    ages.sort {
      count += 1
      return $0.isOlder(than: $1)
    }
    comparisons += count
    (order, oldest) = (ages, 0)
    forget(before: seconds)
  }

  private mutating func forget(before seconds: Int64) {
    let (limit, isBeforeAll) = seconds.subtractingReportingOverflow(window)
    while oldest < order.count, settled.count > capacity || (!isBeforeAll && order[oldest].seconds < limit) {
      settled[order[oldest].key] = nil
      oldest += 1
    }
    // Rarely, so that the amortized cost is O(1).
    if oldest > 1024, oldest > order.count / 2 {
      order.removeFirst(oldest)
      oldest = 0
    }
  }
}
