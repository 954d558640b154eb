public import PenstockLog

/// One attempt at one batch, for operators.
public struct Attempt: Sendable, Hashable {
  /// What came of the attempt.
  public enum Outcome: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// Not answered yet, or the process died before the answer.
    case underWay = 0
    case delivered, retry, rejected, refused, disabled, conflict

    public var description: String {
      switch self {
      case .underWay: "under way"
      case .delivered: "delivered"
      case .retry: "retry"
      case .rejected: "rejected"
      case .refused: "refused"
      case .disabled: "disabled"
      case .conflict: "conflict"
      }
    }
  }

  /// The number of the attempt at this destination, from 1, over restarts.
  public let number: UInt64
  /// When it began, by the time of day.
  public let time: Timestamp
  /// The records of the batch.
  public let range: Range<Offset>
  /// The batch's id, the same in each of its attempts.
  public let deliveryID: DeliveryID
  /// The number of the attempt at this batch, from 1, over restarts, counted from the attempts still in the list.
  public let attempt: Int
  /// What came of it, as far as that is known.
  public internal(set) var outcome: Outcome
  /// Time until the answer, in nanoseconds; 0 while there is none.
  public internal(set) var nanoseconds: UInt64
  /// Bytes sent.
  public let bodyBytes: Int
  /// The receipt, or the reason: a status and the destination's answer, as the sink reports it. At most 256 bytes.
  public internal(set) var words: String
}

extension Attempt {
  /// Bytes of a slot in the file, including its checksum.
  static let slotBytes = 512
  private static let magic: UInt32 = 0x3154_5450

  mutating func answered(_ outcome: DeliveryOutcome, after duration: Duration) {
    let (seconds, attoseconds) = duration.components
    nanoseconds = UInt64(clamping: seconds) &* 1_000_000_000 &+ UInt64(clamping: attoseconds / 1_000_000_000)
    switch outcome {
    case .delivered(let receipt): (self.outcome, words) = (.delivered, receipt)
    case .retry(let reason, _): (self.outcome, words) = (.retry, reason)
    case .rejected(let reason): (self.outcome, words) = (.rejected, reason)
    case .refused(let reason): (self.outcome, words) = (.refused, reason)
    case .disabled(let reason): (self.outcome, words) = (.disabled, reason)
    case .conflict(let reason): (self.outcome, words) = (.conflict, reason)
    }
    words = Self.shortened(words, to: 256)
  }

  static func shortened(_ text: String, to bytes: Int) -> String {
    var kept = text.utf8.prefix(bytes)
    while String(kept) == nil { kept.removeLast() }
    return String(kept) ?? ""
  }

  /// Little endian: u32 magic · u32 checksum of what follows · u64 number · i64 time · u64 first · u64 end · u32
  /// attempt · u8 outcome · u64 nanoseconds · u64 body bytes · u16 length, id · u16 length, words. Zeros fill the slot.
  func encoded() -> [UInt8] {
    var content: [UInt8] = []
    content.append(littleEndian: number)
    content.append(littleEndian: time.nanoseconds)
    content.append(littleEndian: range.lowerBound.rawValue)
    content.append(littleEndian: range.upperBound.rawValue)
    content.append(littleEndian: UInt32(clamping: attempt))
    content.append(outcome.rawValue)
    content.append(littleEndian: nanoseconds)
    content.append(littleEndian: UInt64(clamping: bodyBytes))
    for text in [Self.shortened(deliveryID.rawValue, to: 128), words] {
      content.append(littleEndian: UInt16(text.utf8.count))
      content.append(contentsOf: text.utf8)
    }
    content += [UInt8](repeating: 0, count: Self.slotBytes - 8 - content.count)
    var slot: [UInt8] = []
    slot.append(littleEndian: Self.magic)
    slot.append(littleEndian: Self.checksum(content))
    return slot + content
  }

  /// Nil for anything that is not a whole slot. No delivery depends on it.
  init?(slot: [UInt8]) {
    var reader = ByteReader(slot, of: "an attempt")
    do throws(LogError) {
      guard slot.count == Self.slotBytes, try reader.take(UInt32.self) == Self.magic,
        try reader.take(UInt32.self) == Self.checksum(Array(slot[8...]))
      else { return nil }
      number = try reader.take(UInt64.self)
      time = Timestamp(nanoseconds: try reader.take(Int64.self))
      let (first, end) = (try reader.take(UInt64.self), try reader.take(UInt64.self))
      guard first <= end else { return nil }
      range = Offset(first)..<Offset(end)
      attempt = Int(try reader.take(UInt32.self))
      guard let outcome = Outcome(rawValue: try reader.take(UInt8.self)) else { return nil }
      self.outcome = outcome
      nanoseconds = try reader.take(UInt64.self)
      bodyBytes = Int(clamping: try reader.take(UInt64.self))
      deliveryID = DeliveryID(String(decoding: try reader.take(Int(try reader.take(UInt16.self))), as: UTF8.self))
      words = String(decoding: try reader.take(Int(try reader.take(UInt16.self))), as: UTF8.self)
    } catch { return nil }
  }

  private static func checksum(_ content: [UInt8]) -> UInt32 {
    var checksum = Checksum(seed: magic)
    content.withUnsafeBytes { checksum.update($0) }
    return checksum.value
  }
}
