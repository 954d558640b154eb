/// The name of one delivery: equal for every attempt, across retries, restarts and configuration changes.
///
/// Text of at most 256 bytes. The library's sinks derive it from what is delivered, so one id has one content;
/// ``Cursor/next(upTo:)`` uses `first-end`.
public struct DeliveryID: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The id's text.
  public let rawValue: String
  /// The id with this text.
  public init(_ rawValue: String) { self.rawValue = rawValue }
  public var description: String { rawValue }
  public init(from decoder: any Decoder) throws {
    rawValue = try decoder.singleValueContainer().decode(String.self)
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}

/// The durable description of a batch in flight: everything needed to send the identical bytes again under the
/// identical name.
///
/// The intent is on stable storage before the first byte of its delivery leaves the process.
public struct Intent: Hashable, Sendable, Codable {
  /// Identifies the batch at its destination.
  public let id: DeliveryID
  /// The records of the batch, `first ..< end`; never empty.
  public let first: Offset
  /// One past the last record.
  public let end: Offset
  /// SHA-256 of the rendered, uncompressed body: 32 bytes. A rendering with another digest must not be sent.
  public let contentDigest: [UInt8]
  /// The sink's versioned description of everything that shapes the bytes and the name (field selection, encoding,
  /// key); at most ``maxPlanBytes``. Opaque to the log.
  public let plan: [UInt8]
  /// When the intent was made; for retention and operators, not for the delivery.
  public let createdAt: Timestamp
  /// How many events the batch has, where each is sent by itself: 1 … ``SettledEvents/maxEvents``. Nil where the batch
  /// is sent as a whole.
  public let singleEvents: Int?

  /// 256 bytes: a cursor's slot must hold four intents.
  static let maxIDBytes = 256
  /// 2,048 bytes.
  public static let maxPlanBytes = 2048

  /// An intent with these values; nothing is written.
  public init(
    id: DeliveryID, first: Offset, end: Offset, contentDigest: [UInt8], plan: [UInt8], createdAt: Timestamp,
    singleEvents: Int? = nil
  ) {
    self.id = id
    self.first = first
    self.end = end
    self.contentDigest = contentDigest
    self.plan = plan
    self.createdAt = createdAt
    self.singleEvents = singleEvents
  }
}
