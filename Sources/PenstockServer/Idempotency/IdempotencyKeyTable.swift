package import PenstockLog

/// 128 bits of a SHA-256: of an idempotency key and its scope, or of what was sent under it.
package struct Hash128: Sendable, Hashable {
  package let high: UInt64
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// - Parameter bytes: at least 16, of which the first 16 count.
  package init(_ bytes: some Sequence<UInt8>) {
    var words: (UInt64, UInt64) = (0, 0)
    for (index, byte) in bytes.prefix(16).enumerated() {
      if index < 8 { words.0 = words.0 << 8 | UInt64(byte) } else { words.1 = words.1 << 8 | UInt64(byte) }
    }
    (high, low) = words
  }

  package var bytes: [UInt8] {
    withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { Array($0) }
  }
}

/// What was sent under one idempotency key, and where it is. 52 bytes in the journal, 36 of them with an append.
package struct KeyedAppend: Sendable, Hashable {
  package var key: Hash128
  /// Of the records: another body under the same key is refused.
  package var content: Hash128
  /// How many records.
  package var count: UInt32
  /// The first one's offset; nil where the log no longer remembers it.
  package var first: Offset?

  package init(key: Hash128, content: Hash128, count: UInt32, first: Offset?) {
    self.key = key
    self.content = content
    self.count = count
    self.first = first
  }

  /// What goes into the log with the records, as their producer's source position.
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

/// Which idempotency keys are known, and which are being worked on. A pure value.
///
/// - A key is *claimed* by the first request that names it, and then *settled* with what was appended, or *released* when
///   nothing was.
/// - At most `capacity` settled keys are known, and none older than `window`; the oldest are forgotten first.
/// - Age is a total order that every start finds again: the second in which a key was settled, then the offset of its
///   records. Seconds never fall: while the clock is behind the newest key's second, keys get that second.
/// - A start changes neither: ``restore(_:at:)`` and ``arrange(at:)`` put each key where it was, and what was forgotten
///   stays forgotten.
package struct IdempotencyKeyTable: Sendable {
  package enum Answer: Sendable, Hashable {
    /// Nobody has it: append, then settle or release.
    case claimed
    /// A request with it, and with this content, is under way.
    case underWay
    case known(KeyedAppend)
    /// It came before with another content.
    case otherContent
  }

  private struct Known: Sendable {
    var append: KeyedAppend
    var seconds: Int64
    var place: Place { Place(key: append.key, seconds: seconds, first: append.first?.rawValue ?? .max) }
  }

  private struct Place: Sendable {
    let key: Hash128
    let seconds: Int64
    let first: UInt64

    func isOlder(than other: Place) -> Bool { (seconds, first) < (other.seconds, other.first) }
  }

  package let capacity: Int
  /// In seconds.
  package let window: Int64
  private var settled: [Hash128: Known] = [:]
  /// The oldest first; those before `oldest` are forgotten.
  private var order: [Place] = []
  private var oldest = 0
  private var claims: [Hash128: Hash128] = [:]
  /// When the newest key was settled; nil before the first.
  package private(set) var newestSeconds: Int64?
  /// How often two keys' ages were compared. Tests bound it.
  private(set) var comparisons = 0

  package init(capacity: Int, window: Int64) {
    self.capacity = max(1, capacity)
    self.window = window
  }

  package var count: Int { settled.count }
  package func isUnknown(_ key: Hash128) -> Bool { settled[key] == nil }
  /// Whether this append, not an earlier or a later one, is what its key stands for.
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

  /// A key that is known already stays as it is.
  ///
  /// - Returns: the second that the key's age counts from.
  @discardableResult
  package mutating func settle(_ append: KeyedAppend, at seconds: Int64) -> Int64 {
    claims[append.key] = nil
    if let known = settled[append.key] { return known.seconds }
    let known = Known(append: append, seconds: max(seconds, newestSeconds ?? seconds))
    newestSeconds = known.seconds
    settled[append.key] = known
    // Appends that go on at once may be settled in another order than they are in the log, and no others.
    var place = order.count
    while place > oldest {
      comparisons += 1
      guard known.place.isOlder(than: order[place - 1]) else { break }
      place -= 1
    }
    order.insert(known.place, at: place)
    forget(before: seconds)
    return known.seconds
  }

  /// For what is read back at a start, in any order; ``arrange(at:)`` follows the last. Of two appends under one key the
  /// later counts.
  package mutating func restore(_ append: KeyedAppend, at seconds: Int64) {
    let restored = Known(append: append, seconds: seconds)
    if let known = settled[append.key], !known.place.isOlder(than: restored.place) { return }
    settled[append.key] = restored
    order.append(restored.place)
    newestSeconds = max(seconds, newestSeconds ?? seconds)
  }

  /// Orders what was restored, and forgets what is too old or too much.
  package mutating func arrange(at seconds: Int64) {
    var places = order[oldest...].filter { place in
      settled[place.key].map { $0.seconds == place.seconds && $0.place.first == place.first } ?? false
    }
    var count = 0
    places.sort {
      count += 1
      return $0.isOlder(than: $1)
    }
    comparisons += count
    (order, oldest) = (places, 0)
    forget(before: seconds)
  }

  private mutating func forget(before seconds: Int64) {
    let (limit, isBeforeAll) = seconds.subtractingReportingOverflow(window)
    while oldest < order.count, settled.count > capacity || (!isBeforeAll && order[oldest].seconds < limit) {
      settled[order[oldest].key] = nil
      oldest += 1
    }
    // Now and then, so that it costs nothing on the whole.
    if oldest > 1024, oldest > order.count / 2 {
      order.removeFirst(oldest)
      oldest = 0
    }
  }
}
