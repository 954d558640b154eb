public import PenstockLog

/// A record that its destination rejects, or that cannot be rendered, and why.
public struct DeadLetter: Sendable, Hashable {
  /// The id of the log the record comes from.
  public var logID: String
  /// The cursor, which names the destination.
  public var cursor: String
  /// The record's offset in that log.
  public var offset: Offset
  /// When that log took the record.
  public var appendTime: Timestamp
  /// When the letter was written.
  public var deadLetteredAt: Timestamp
  /// The delivery that was rejected. A record that was never rendered has an id made from its own bytes.
  public var deliveryID: DeliveryID
  /// Whether the record could not be rendered, and so was never sent alone.
  public var isUnrenderable: Bool
  /// How often the record was sent alone, as far as the ``AttemptLog`` goes back.
  public var attempts: Int
  /// The sink's description of the destination.
  public var destination: String
  /// What the destination, or the sink, answered.
  public var reason: String
  /// The record's bytes, unchanged.
  public var record: [UInt8]

  /// A letter with these contents; nothing is written.
  public init(
    logID: String, cursor: String, offset: Offset, appendTime: Timestamp, deadLetteredAt: Timestamp,
    deliveryID: DeliveryID,
    isUnrenderable: Bool, attempts: Int, destination: String, reason: String, record: [UInt8]
  ) {
    self.logID = logID
    self.cursor = cursor
    self.offset = offset
    self.appendTime = appendTime
    self.deadLetteredAt = deadLetteredAt
    self.deliveryID = deliveryID
    self.isUnrenderable = isUnrenderable
    self.attempts = attempts
    self.destination = destination
    self.reason = reason
    self.record = record
  }
}

/// Stores dead letters.
public protocol DeadLetterStore: Sendable {
  /// Writes a letter and returns its number; on stable storage when it returns. Writes nothing when the newest letter
  /// of its cursor has the same offset and bytes, and returns the number of that one. Throws when there is no space;
  /// then nothing was written.
  func writeDeadLetter(_ letter: DeadLetter) async throws(LogError) -> Offset

  /// Called once before the first letter. A failure here is reported only when it also fails the first letter.
  func prepare() async throws(LogError)

  /// Called when no letter is expected soon. May release what the next letter takes again.
  func releaseUntilNextLetter() async throws(LogError)

  /// Releases resources. The delivery calls it when it ends.
  func close() async throws(LogError)
}

extension DeadLetterStore {
  /// Does nothing: the store needs no preparation.
  public func prepare() async throws(LogError) {}
  /// Does nothing: the store holds nothing that others lack.
  public func releaseUntilNextLetter() async throws(LogError) {}
  /// Does nothing: the store has nothing to close.
  public func close() async throws(LogError) {}
}

// Text before bytes, so that `zstd -dc | less` shows the reason without any tool:
//
//   penstock dead letter 1
//   log 00112233445566778899aabbccddeeff
//   …
//   reason 422: unknown event
//   <empty line>
//   the record's bytes, unchanged, to the end
//
// Readers ignore lines with other names, which later versions may add.
extension DeadLetter {
  private static let title = "penstock dead letter "
  static let version = 1

  package func encoded() -> [UInt8] {
    var text = "\(Self.title)\(Self.version)\n"
    let lines: [(String, String)] = [
      ("log", logID), ("cursor", cursor), ("offset", "\(offset.rawValue)"), ("appended", "\(appendTime.nanoseconds)"),
      ("deadLettered", "\(deadLetteredAt.nanoseconds)"), ("delivery", deliveryID.rawValue),
      ("kind", isUnrenderable ? "unrenderable" : "rejected"), ("attempts", "\(attempts)"),
      ("destination", Self.escaped(destination)), ("reason", Self.escaped(reason)),
    ]
    for (name, value) in lines { text += "\(name) \(value)\n" }
    return Array(text.utf8) + [UInt8(ascii: "\n")] + record
  }

  package init(decoding bytes: [UInt8]) throws(LogError) {
    let lineFeed = UInt8(ascii: "\n")
    var fields: [Substring: Substring] = [:]
    var rest = bytes[...]
    var first: String?
    while let end = rest.firstIndex(of: lineFeed) {
      let line = String(decoding: rest[..<end], as: UTF8.self)
      rest = rest[(end + 1)...]
      if line.isEmpty { break }
      guard first != nil else {
        first = line
        continue
      }
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      fields[parts[0]] = parts.count > 1 ? parts[1] : ""
    }
    guard let first, first.hasPrefix(Self.title), let version = Int(first.dropFirst(Self.title.count)) else {
      throw LogError(.damaged, "the record is not a dead letter")
    }
    guard version == Self.version else {
      throw LogError(.futureFormat, "the dead letter has version \(version), this penstock knows \(Self.version)")
    }
    func text(_ name: Substring) throws(LogError) -> String {
      guard let value = fields[name] else { throw LogError(.damaged, "the dead letter lacks its \(name)") }
      return String(value)
    }
    func number<Number: FixedWidthInteger>(_ name: Substring) throws(LogError) -> Number {
      guard let value = Number(try text(name)) else {
        throw LogError(.damaged, "the dead letter's \(name) is not a number")
      }
      return value
    }
    self.init(
      logID: try text("log"), cursor: try text("cursor"), offset: Offset(try number("offset")),
      appendTime: Timestamp(nanoseconds: try number("appended")),
      deadLetteredAt: Timestamp(nanoseconds: try number("deadLettered")), deliveryID: DeliveryID(try text("delivery")),
      isUnrenderable: try text("kind") == "unrenderable", attempts: try number("attempts"),
      destination: Self.unescaped(try text("destination")), reason: Self.unescaped(try text("reason")),
      record: Array(rest))
  }

  /// One line: a backslash, a line feed and a carriage return are written as `\\`, `\n`, `\r`.
  private static func escaped(_ text: String) -> String {
    var line = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": line += "\\\\"
      case "\n": line += "\\n"
      case "\r": line += "\\r"
      default: line.unicodeScalars.append(scalar)
      }
    }
    return line
  }

  private static func unescaped(_ line: String) -> String {
    var text = ""
    var isEscape = false
    for scalar in line.unicodeScalars {
      if isEscape {
        text.unicodeScalars.append(scalar == "n" ? "\n" : scalar == "r" ? "\r" : scalar)
        isEscape = false
      } else if scalar == "\\" {
        isEscape = true
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
