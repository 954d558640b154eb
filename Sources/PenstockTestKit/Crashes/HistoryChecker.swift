public import PenstockLog

/// Holds a history against the ``Invariant``s, event by event. A value: copy it to follow two outcomes of one crash.
///
/// ```swift
/// var checker = HistoryChecker()
/// checker.note(.appending(id: 1, records: [History.digest(record)]))
/// checker.note(.acknowledged(id: 1, offsets: receipt.offsets))
/// checker.note(.crashed)
/// checker.note(.recovered(found))
/// for violation in checker.violations { print(violation) }
/// ```
///
/// O(1) for each record and each move, O(history) for the first event after a copy; memory for each record that the log
/// still has, and for each delivery. Meant for appends of durability `.disk`.
public struct HistoryChecker: Sendable {
  /// The most that ``History/Event/resources(bytes:files:)`` may say.
  public struct Limits: Sendable, Hashable {
    /// The most bytes and files of the log.
    public var bytes, files: Int
    /// Makes limits; there are none by default.
    public init(bytes: Int = .max, files: Int = .max) {
      self.bytes = bytes
      self.files = files
    }
  }

  /// What is known of an offset.
  enum Standing: UInt8, Sendable { case unknown, acknowledged, read, lost }

  struct Pending: Sendable, Hashable {
    var id: UInt64
    var records: [UInt64]
    var producer: History.ProducerStep?
  }

  /// Appends that have not returned, found by their id and by their first record. Of several, the oldest.
  struct PendingAppends: Sendable, Hashable {
    private var byID: [UInt64: Pending] = [:]
    private var byFirst: [UInt64: [UInt64]] = [:]

    /// By id, which callers give out in order.
    var inOrder: [Pending] { byID.values.sorted { $0.id < $1.id } }

    mutating func add(_ append: Pending) {
      _ = remove(append.id)
      byID[append.id] = append
      if let first = append.records.first { byFirst[first, default: []].append(append.id) }
    }

    mutating func remove(_ id: UInt64) -> Pending? {
      guard let append = byID.removeValue(forKey: id) else { return nil }
      if let first = append.records.first {
        byFirst[first]?.removeAll { $0 == id }
        if byFirst[first]?.isEmpty ?? false { byFirst[first] = nil }
      }
      return append
    }

    mutating func remove(beginningWith first: UInt64) -> Pending? { byFirst[first]?.first.flatMap { remove($0) } }

    mutating func removeAll() { self = PendingAppends() }
  }

  struct ProducerMemory: Sendable, Hashable {
    var last: UInt64 = 0
    var offsets: [UInt64: Range<Offset>] = [:]
  }

  struct CursorMemory: Sendable, Hashable {
    /// Where it may be found.
    var possible: [CursorState?] = [nil]
    var isWatched = false
    var contents: [DeliveryID: History.Delivered] = [:]
    var received: Set<DeliveryID> = []
    var deadLettered: Set<Offset> = []
  }

  /// What was found, in order.
  public private(set) var violations: [Violation] = []
  /// How many events were noted.
  public private(set) var events = 0

  let limits: Limits
  /// Of the offsets from `origin` on, which is at `base` or some way below.
  var digests: [UInt64] = []
  var standings: [Standing] = []
  var origin = Offset.zero
  /// Where the log begins.
  var base = Offset.zero
  /// Where the log may begin.
  var starts: [Offset] = [.zero]
  var pending = PendingAppends()
  var producers: [String: ProducerMemory] = [:]
  var cursors: [String: CursorMemory] = [:]
  var consumers: [String: ConsumerMemory] = [:]
  /// Records the disk was allowed to lose; nil: none.
  var damage: [Range<Offset>]?
  var image: UInt64?

  /// Makes a checker of an empty log.
  public init(limits: Limits = Limits()) { self.limits = limits }

  /// One past the last record that is known to be in the log.
  public var end: Offset { max(base, origin + digests.count) }

  /// The digest of a record; nil when the checker does not know it, or the log does not have it any more.
  package func digest(at offset: Offset) -> UInt64? {
    standing(offset) == .unknown || standing(offset) == .lost ? nil : digests[offset - origin]
  }

  /// Adds the next event, and reports what it breaks in ``violations``.
  public mutating func note(_ event: History.Event) {
    events += 1
    switch event {
    case .appending(let id, let records, let producer):
      pending.add(Pending(id: id, records: records, producer: producer))
    case .acknowledged(let id, let offsets): acknowledge(id, offsets)
    case .refused(let id): _ = pending.remove(id)
    case .read(let first, let records): read(first, records)
    case .trimming(let places): starts += places
    case .trimmed(let first): begin(at: first)
    case .damaged(let range): damage = (damage ?? []) + [range ?? .zero..<Offset(.max)]
    case .crashed: image = nil
    case .recovered(let found): recover(found)
    case .recoveredAgain(let again):
      if let image, image != again { report(.recoveryIsIdempotent, "recovering again changed the segments") }
    case .cursorMoving(let name, let states): cursors[name, default: CursorMemory()].possible += states
    case .cursorMoved(let name, let state): cursorMoved(name, state)
    case .cursorFound(let name, let state): cursorFound(name, state)
    case .destination(let cursor): cursors[cursor, default: CursorMemory()].isWatched = true
    case .sending(let cursor, let delivered): sending(cursor, delivered)
    case .received(let cursor, let delivered): received(cursor, delivered)
    case .deadLettered(let cursor, let offset): cursors[cursor, default: CursorMemory()].deadLettered.insert(offset)
    case .processed(let consumer, let offset, let key): processed(consumer, offset, key: key)
    case .passed(let consumer, let end): passed(consumer, upTo: end)
    case .resources(let bytes, let files):
      if bytes > limits.bytes { report(.resourcesAreBounded, "\(bytes) bytes are used, \(limits.bytes) are allowed") }
      if files > limits.files { report(.resourcesAreBounded, "\(files) files, \(limits.files) are allowed") }
    case .failed(let message): report(.honestWorkSucceeds, message)
    }
  }

  package mutating func report(_ invariant: Invariant, _ message: String) {
    violations.append(Violation(invariant, message, event: events))
  }
}

extension HistoryChecker {
  /// The last append of a producer that the checker knows of; 0 for none.
  func lastSequence(of producer: String) -> UInt64 { producers[producer]?.last ?? 0 }

  /// The newest appends of a producer, at most `count`, with where they stand.
  package func newestAppends(of producer: String, _ count: Int) -> [ProducerTable.Append] {
    let memory = producers[producer] ?? ProducerMemory()
    return (0...memory.last).suffix(count).compactMap { sequence in
      memory.offsets[sequence].map { ProducerTable.Append(sequence: sequence, offsets: $0) }
    }
  }

  /// Hashes everything that decides what the checker will report of later events.
  package func hash(into hasher: inout Hasher) {
    hasher.combine(base)
    hasher.combine(digests.dropFirst(base - origin))
    hasher.combine(standings.dropFirst(base - origin))
    hasher.combine(Set(starts))
    for append in pending.inOrder {
      hasher.combine(append.records)
      hasher.combine(append.producer)
    }
    hasher.combine(producers)
    for (name, cursor) in cursors.sorted(by: { $0.key < $1.key }) {
      hasher.combine(name)
      hasher.combine(Set(cursor.possible))
      hasher.combine(cursor.contents)
    }
  }
}
