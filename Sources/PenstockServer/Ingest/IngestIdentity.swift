import PenstockLog
import PenstockSupport

/// How a request says that it may come twice.
package enum IngestIdentity: Sendable, Hashable {
  case none
  /// The hash of an idempotency key and its scope.
  case key(Hash128)
  /// - Parameter resumesAfter: how far the client says it got, for where the log no longer knows.
  case producer(String, sequence: UInt64, resumesAfter: UInt64?)

  package struct Complaint: Error, Sendable, Hashable {
    package let message: String
  }

  /// - Parameter appID: the app of the client's key, if it has one: its idempotency keys and producers are its own, and tell
  ///   nothing about those of others.
  package init(
    key: String?, producer: String?, sequence: String?, resumesAfter: String? = nil, appID: String?
  ) throws(Complaint) {
    if let key {
      guard producer == nil, sequence == nil, resumesAfter == nil else {
        throw Complaint(message: "Idempotency-Key and Penstock-Producer say the same in two ways; send one of them")
      }
      guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) else {
        throw Complaint(message: "Idempotency-Key has 1 to 255 printable characters")
      }
      // The lengths keep scope and key apart.
      let scope = Array("\(appID?.utf8.count ?? -1):\(appID ?? ""):".utf8)
      self = .key(Hash128(Digest.sha256(scope + Array(key.utf8))))
      return
    }
    guard producer != nil || sequence != nil || resumesAfter != nil else {
      self = .none
      return
    }
    guard let producer, let sequence else {
      throw Complaint(message: "Penstock-Producer and Penstock-Sequence go together")
    }
    guard let number = Self.number(sequence), number > 0 else {
      throw Complaint(message: "Penstock-Sequence is a number from 1 on")
    }
    let resumed = resumesAfter.map(Self.number)
    if case .some(.none) = resumed {
      throw Complaint(message: "Penstock-Resume-After is a number, the newest that was acknowledged, or 0")
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
          "Penstock-Producer is 1 to 40 letters, digits, '.', '_' or '-', beginning with neither '.' nor 'penstock.'")
    }
    guard let appID else { return name }
    // 128 bits of both, and as much of the name as a producer's name has room for, to be read by people.
    let both = Array("\(appID.utf8.count):\(appID):\(name)".utf8)
    return "penstock.app." + Digest.hex(Array(Digest.sha256(both)[..<16])) + "." + name.prefix(18)
  }
}
