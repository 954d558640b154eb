import PenstockLog
import PenstockSupport

/// How a request identifies itself, so that the service recognises a repetition.
package enum IngestIdentity: Sendable, Hashable {
  case none
  /// The hash of an idempotency key and its scope.
  case key(Hash128)
  /// - Parameter resumesAfter: the newest sequence the client knows to be acknowledged, used when the log has forgotten
  ///   the producer.
  case producer(String, sequence: UInt64, resumesAfter: UInt64?)

  package struct Complaint: Error, Sendable, Hashable {
    package let message: String
  }

  /// - Parameter appID: the app of the API key, if it has one. Each app has its own idempotency keys and producers.
  ///
  /// - Throws: ``Complaint`` when the headers are invalid or exclude each other.
  package init(
    key: String?, producer: String?, sequence: String?, resumesAfter: String? = nil, appID: String?
  ) throws(Complaint) {
    if let key {
      guard producer == nil, sequence == nil, resumesAfter == nil else {
        throw Complaint(message: "Idempotency-Key and Penstock-Producer exclude each other; send one of them")
      }
      guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) else {
        throw Complaint(message: "Idempotency-Key must have 1 to 255 printable ASCII characters")
      }
      // The length prefix separates scope and key unambiguously.
      let scope = Array("\(appID?.utf8.count ?? -1):\(appID ?? ""):".utf8)
      self = .key(Hash128(Digest.sha256(scope + Array(key.utf8))))
      return
    }
    guard producer != nil || sequence != nil || resumesAfter != nil else {
      self = .none
      return
    }
    guard let producer, let sequence else {
      throw Complaint(message: "Penstock-Producer and Penstock-Sequence must be sent together")
    }
    guard let number = Self.number(sequence), number > 0 else {
      throw Complaint(message: "Penstock-Sequence must be a whole number, 1 or more")
    }
    let resumed = resumesAfter.map(Self.number)
    if case .some(.none) = resumed {
      throw Complaint(
        message: "Penstock-Resume-After must be the newest acknowledged sequence, a whole number, or 0")
    }
    self = .producer(try Self.producerName(producer, appID: appID), sequence: number, resumesAfter: resumed ?? nil)
  }

  private static func number(_ text: String) -> UInt64? {
    UInt64(text).flatMap { String($0) == text ? $0 : nil }
  }

  /// The producer's name in the log.
  package static func producerName(_ name: String, appID: String?) throws(Complaint) -> String {
    guard CursorStore.isName(name), name.utf8.count <= 40, !name.hasPrefix("penstock.") else {
      throw Complaint(
        message:
          "Penstock-Producer must be 1 to 40 letters, digits, '.', '_' or '-', and not begin with '.' or 'penstock.'")
    }
    guard let appID else { return name }
    // A hash of 128 bits makes the name unique. As much of the client's name as fits is added for operators.
    let both = Array("\(appID.utf8.count):\(appID):\(name)".utf8)
    return "penstock.app." + Digest.hex(Array(Digest.sha256(both)[..<16])) + "." + name.prefix(18)
  }
}
