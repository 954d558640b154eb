import PenstockDelivery

/// A store of exported objects: a bucket or a directory. The manifest and the verification use it.
///
/// A store is strongly consistent: a created object is listed and readable at once. No method blocks the caller's
/// thread.
public protocol ExportStore: Sendable {
  /// The store's type and location, for messages.
  var description: String { get }

  /// Every object whose key has this prefix, sorted by the bytes of the keys. Complexity: O(objects).
  func list(prefix: String) async throws(ExportStoreError) -> [ExportObject]

  /// The first key with this prefix that sorts after `key`; nil if there is none.
  func firstKey(prefix: String, after key: String) async throws(ExportStoreError) -> String?

  /// The first `limit` bytes of an object; nil if it does not exist. Throws instead of returning an incomplete result.
  func read(_ key: String, limit: Int) async throws(ExportStoreError) -> [UInt8]?

  /// The size and metadata of an object; nil if it does not exist.
  func facts(of key: String) async throws(ExportStoreError) -> ExportFacts?

  /// Creates a complete, durable object. Returns false if an object with this key exists, and does not change it.
  func create(_ key: String, _ bytes: [UInt8]) async throws(ExportStoreError) -> Bool
}

/// The name and the size of an object.
public struct ExportObject: Sendable, Hashable {
  /// The object's name.
  public var key: String
  /// In bytes, as stored.
  public var size: Int

  /// An object with these values.
  public init(key: String, size: Int) {
    self.key = key
    self.size = size
  }
}

/// The size and metadata of an object.
public struct ExportFacts: Sendable, Hashable {
  /// In bytes, as stored.
  public var size: Int
  /// The metadata, by name without `x-amz-meta-penstock-`; nil for a store without metadata, such as a directory.
  public var metadata: [String: String]?

  /// Facts with these values.
  public init(size: Int, metadata: [String: String]? = nil) {
    self.size = size
    self.metadata = metadata
  }
}

/// Why a request to a store failed.
public struct ExportStoreError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The explanation, for operators.
  public let message: String
  /// Whether a retry may succeed.
  public let isTemporary: Bool
  let after: Duration?

  /// An error; `after` is the time that the store asked to wait.
  public init(_ message: String, isTemporary: Bool, after: Duration? = nil) {
    self.message = message
    self.isTemporary = isTemporary
    self.after = after
  }

  public var description: String { message }

  var outcome: DeliveryOutcome { isTemporary ? .retry(reason: message, after: after) : .refused(reason: message) }
}
