/// The durable state of a replay besides its cursor: its window, fixed when it began, the records it had to skip, and
/// whether it is finished. It outlives the cursor, so that a finished replay reports that instead of beginning again.
public struct ReplayManifest: Hashable, Sendable {
  /// 1 to 40 letters, digits, '.', '_' or '-', not beginning with a dot.
  public let id: String
  /// The requested window; a later call under the same id must request the same.
  public let from: Position
  /// The end of the requested window.
  public let to: Position
  /// What to do with records without a readable time, where ``from`` or ``to`` is an event time.
  public let untimed: EventWindow.Untimed
  /// The window when the replay began: the records `first ..< end`. ``events`` may exclude some of them.
  public let first: Offset
  /// One past the last record of the window.
  public let end: Offset
  /// The sink's description of itself.
  public let destination: String
  /// When the replay began, by the time of day.
  public let createdAt: Timestamp
  /// The rate limits, until a run sets others.
  public var rate: Rate
  /// Lost records of the window that the replay skipped, because its operator allowed that.
  public private(set) var skippedRecords: Int
  /// Where the last of them ends: everything below is counted.
  public private(set) var skippedUpTo: Offset
  /// When the last record was delivered; nil while some are left.
  public private(set) var finishedAt: Timestamp?

  /// 40 bytes: with its prefix, a cursor's name.
  public static let maxIDBytes = 40
  static let maxDestinationBytes = 1024

  /// The manifest of a replay that has delivered nothing; of the destination, 1,024 bytes are kept.
  public init(
    id: String, from: Position, to: Position, untimed: EventWindow.Untimed = .skip, first: Offset, end: Offset,
    destination: String, createdAt: Timestamp, rate: Rate = Rate()
  ) {
    self.id = id
    self.from = from
    self.to = to
    self.untimed = untimed
    self.first = first
    self.end = end
    self.destination = Self.shortened(destination)
    self.createdAt = createdAt
    self.rate = rate
    skippedRecords = 0
    skippedUpTo = first
    finishedAt = nil
  }

  /// Limits, each a second; nil is no limit.
  public struct Rate: Hashable, Sendable {
    /// Records per second.
    public var records: Double?
    /// Bytes per second, before compression.
    public var bytes: Double?
    /// Requests per second.
    public var requests: Double?

    /// The given limits; nil is no limit.
    public init(records: Double? = nil, bytes: Double? = nil, requests: Double? = nil) {
      self.records = records
      self.bytes = bytes
      self.requests = requests
    }
  }

  /// `first ..< end`; empty where the end is before the beginning.
  public var window: Range<Offset> { first..<max(first, end) }
  /// The condition on each record of the window; nil where all belong to it.
  public var events: EventWindow? { EventWindow(from: from, to: to, untimed: untimed) }
  /// Whether everything is delivered.
  public var isFinished: Bool { finishedAt != nil }
  /// The name of its cursor.
  public var cursorName: String { Self.cursorName(of: id) }

  /// The prefix of replays' cursors; other cursors cannot have it.
  static let namePrefix = "replay."
  /// The name of the cursor of a replay with this id.
  public static func cursorName(of id: String) -> String { namePrefix + id }
  /// Whether a cursor of that name can only be a replay's.
  public static func isReplay(cursor name: String) -> Bool { name.hasPrefix(namePrefix) }

  /// The part of a destination's description that is kept.
  package static func shortened(_ text: String) -> String {
    var kept = text.utf8.prefix(maxDestinationBytes)
    while String(kept) == nil { kept.removeLast() }
    return String(kept) ?? ""
  }

  /// Counts a gap. Equal gaps count once: the count is durable before the cursor passes the gap, and after a crash in
  /// between the gap is reported again.
  public mutating func skip(_ gap: Range<Offset>) {
    let (low, high) = (max(gap.lowerBound, skippedUpTo), min(gap.upperBound, end))
    guard low < high else { return }
    skippedRecords += high - low
    skippedUpTo = high
  }

  /// Notes that everything is delivered; keeps the time of an earlier call.
  public mutating func finish(at time: Timestamp) { finishedAt = finishedAt ?? time }
}

extension ReplayManifest {
  private static let version: UInt16 = 2

  /// Little endian: u16 version 2 · 16 bytes log UUID · id · from · to · untimed · u64 first · u64 end · destination ·
  /// i64 created at · three rates · u64 skipped records · u64 skipped up to · u8 is finished · i64 finished at. Texts
  /// (`untimed` is one) are a u16 length and bytes. A position is u8 kind (0 beginning, 1 end, 2 offset, 3 append time,
  /// 4 event time) and i64. A rate (records, bytes, requests a second) is the u64 bits of a double, 0 for none.
  func encoded(logID: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    func put(_ text: String) {
      bytes.append(littleEndian: UInt16(text.utf8.count))
      bytes.append(contentsOf: text.utf8)
    }
    bytes.append(littleEndian: Self.version)
    bytes.append(contentsOf: logID)
    put(id)
    for place in [from, to] {
      let (kind, value) = place.encoded
      bytes.append(kind)
      bytes.append(littleEndian: value)
    }
    put(untimed.rawValue)
    bytes.append(littleEndian: first.rawValue)
    bytes.append(littleEndian: end.rawValue)
    put(destination)
    bytes.append(littleEndian: createdAt.nanoseconds)
    for rate in [rate.records, rate.bytes, rate.requests] { bytes.append(littleEndian: rate?.bitPattern ?? 0) }
    bytes.append(littleEndian: UInt64(skippedRecords))
    bytes.append(littleEndian: skippedUpTo.rawValue)
    bytes.append(isFinished ? 1 : 0)
    bytes.append(littleEndian: finishedAt?.nanoseconds ?? 0)
    return bytes
  }

  init(decoding bytes: [UInt8], logID: [UInt8]) throws(LogError) {
    var reader = ByteReader(bytes, of: "the replay")
    func text() throws(LogError) -> String {
      String(decoding: try reader.take(Int(try reader.take(UInt16.self))), as: UTF8.self)
    }
    func offset() throws(LogError) -> Offset { Offset(try reader.take(UInt64.self)) }
    let version = try reader.take(UInt16.self)
    guard version == Self.version else {
      throw LogError(
        .futureFormat, "the replay has version \(version), this penstock knows \(Self.version); use a newer one")
    }
    guard try reader.take(16) == logID else { throw LogError(.damaged, "the replay belongs to another log") }
    id = try text()
    from = try Position(kind: try reader.take(UInt8.self), value: try reader.take(UInt64.self))
    to = try Position(kind: try reader.take(UInt8.self), value: try reader.take(UInt64.self))
    let untimed = try text()
    guard let known = EventWindow.Untimed(rawValue: untimed) else {
      throw LogError(.futureFormat, "the replay has an unknown rule for events without a time: \(untimed)")
    }
    self.untimed = known
    first = try offset()
    end = try offset()
    destination = try text()
    createdAt = Timestamp(nanoseconds: try reader.take(Int64.self))
    func rate() throws(LogError) -> Double? {
      let bits = try reader.take(UInt64.self)
      return bits == 0 ? nil : Double(bitPattern: bits)
    }
    self.rate = Rate(records: try rate(), bytes: try rate(), requests: try rate())
    skippedRecords = Int(clamping: try reader.take(UInt64.self))
    skippedUpTo = try offset()
    let isFinished = try reader.take(UInt8.self) == 1
    let time = Timestamp(nanoseconds: try reader.take(Int64.self))
    finishedAt = isFinished ? time : nil
    guard first <= end else { throw LogError(.damaged, "the replay \(id) contradicts itself: its window") }
  }
}

extension Position {
  fileprivate var encoded: (kind: UInt8, value: UInt64) {
    switch self {
    case .beginning: (0, 0)
    case .end: (1, 0)
    case .offset(let offset): (2, offset.rawValue)
    case .time(let time): (3, UInt64(bitPattern: time.nanoseconds))
    case .eventTime(let time): (4, UInt64(bitPattern: time.nanoseconds))
    }
  }

  fileprivate init(kind: UInt8, value: UInt64) throws(LogError) {
    switch kind {
    case 0: self = .beginning
    case 1: self = .end
    case 2: self = .offset(Offset(value))
    case 3: self = .time(Timestamp(nanoseconds: Int64(bitPattern: value)))
    case 4: self = .eventTime(Timestamp(nanoseconds: Int64(bitPattern: value)))
    default: throw LogError(.futureFormat, "the replay's window begins or ends at a position of unknown kind \(kind)")
    }
  }
}
