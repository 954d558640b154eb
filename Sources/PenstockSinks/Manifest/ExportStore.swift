import PenstockDelivery

/// A place with exported objects, as a verification and the manifest need it: a bucket, or a directory.
///
/// Everything is strongly consistent: what was created is listed and read at once.
public protocol ExportStore: Sendable {
  /// What it is, for people.
  var description: String { get }

  /// Every object whose key begins so, in the order of keys' bytes. Complexity: O(objects).
  func list(prefix: String) async throws(ExportStoreError) -> [ExportObject]

  /// The first key that begins so and sorts behind `key`; nil when there is none.
  func firstKey(prefix: String, after key: String) async throws(ExportStoreError) -> String?

  /// The first `limit` bytes of an object, nil when there is none. Throws rather than give fewer than there are.
  func read(_ key: String, limit: Int) async throws(ExportStoreError) -> [UInt8]?

  /// What the store keeps beside an object's bytes; nil when there is no such object.
  func facts(of key: String) async throws(ExportStoreError) -> ExportFacts?

  /// Creates an object, whole and durable; false when there is one of that name, which is left alone.
  func create(_ key: String, _ bytes: [UInt8]) async throws(ExportStoreError) -> Bool
}

public struct ExportObject: Sendable, Hashable {
  public var key: String
  /// In bytes, as stored.
  public var size: Int

  public init(key: String, size: Int) {
    self.key = key
    self.size = size
  }
}

/// What stands beside an object's bytes.
public struct ExportFacts: Sendable, Hashable {
  public var size: Int
  /// The metadata, by the names behind `x-amz-meta-penstock-`; nil where a store has none, as a directory.
  public var metadata: [String: String]?

  public init(size: Int, metadata: [String: String]? = nil) {
    self.size = size
    self.metadata = metadata
  }
}

/// Why a store could not be asked.
public struct ExportStoreError: Error, Sendable, Hashable, CustomStringConvertible {
  public let message: String
  /// Whether asking again may help.
  public let isTemporary: Bool
  let after: Duration?

  public init(_ message: String, isTemporary: Bool, after: Duration? = nil) {
    self.message = message
    self.isTemporary = isTemporary
    self.after = after
  }

  public var description: String { message }

  var outcome: DeliveryOutcome { isTemporary ? .retry(reason: message, after: after) : .refused(reason: message) }
}
