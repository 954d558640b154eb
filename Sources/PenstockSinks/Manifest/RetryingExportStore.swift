public import PenstockDelivery

/// An ``ExportStore`` that retries temporary errors, such as 503, 500, 429 and lost connections, as a delivery does.
///
/// It repeats a failed call completely, so a result is never combined from two responses. A repeated create finds its
/// own object, and returns false, as for any existing object.
public struct RetryingExportStore: ExportStore {
  /// The store that requests go to.
  public let store: any ExportStore
  private let retry: RetryPolicy
  private let clock: any DeliveryClock
  private let random: @Sendable () -> UInt64
  private let onRetry: @Sendable (ExportStoreError) -> Void

  /// - Parameters:
  ///   - store: The underlying store. Its owner closes it.
  ///   - retry: The waits between retries, and the limit for uninterrupted failures. Without `RetryPolicy.giveUpAfter`
  ///     there is no limit.
  ///   - clock: Measures the waits.
  ///   - random: Returns 64 random bits for the jitter of the waits.
  ///   - onRetry: Called with each failure that is followed by a retry.
  public init(
    _ store: any ExportStore, retry: RetryPolicy, clock: any DeliveryClock = SystemDeliveryClock(),
    random: @escaping @Sendable () -> UInt64 = DeliveryEnvironment.systemRandom,
    onRetry: @escaping @Sendable (ExportStoreError) -> Void = { _ in }
  ) {
    self.store = store
    self.retry = retry
    self.clock = clock
    self.random = random
    self.onRetry = onRetry
  }

  public var description: String { store.description }

  public func list(prefix: String) async throws(ExportStoreError) -> [ExportObject] {
    try await retrying { () async throws(ExportStoreError) in try await store.list(prefix: prefix) }
  }

  public func firstKey(prefix: String, after key: String) async throws(ExportStoreError) -> String? {
    try await retrying { () async throws(ExportStoreError) in try await store.firstKey(prefix: prefix, after: key) }
  }

  public func read(_ key: String, limit: Int) async throws(ExportStoreError) -> [UInt8]? {
    try await retrying { () async throws(ExportStoreError) in try await store.read(key, limit: limit) }
  }

  public func facts(of key: String) async throws(ExportStoreError) -> ExportFacts? {
    try await retrying { () async throws(ExportStoreError) in try await store.facts(of: key) }
  }

  public func create(_ key: String, _ bytes: [UInt8]) async throws(ExportStoreError) -> Bool {
    try await retrying { () async throws(ExportStoreError) in try await store.create(key, bytes) }
  }

  private func retrying<Value>(
    _ call: () async throws(ExportStoreError) -> Value
  ) async throws(ExportStoreError) -> Value {
    var backoff = Backoff(policy: retry)
    while true {
      do throws(ExportStoreError) { return try await call() } catch {
        guard error.isTemporary else { throw error }
        let now = clock.now()
        let next = now + backoff.failed(at: now, retryAfter: error.after, roll: random())
        guard !backoff.isTooLate(next) else { throw error }
        onRetry(error)
        // When cancelled, throw the original error.
        do throws(CancellationError) { try await clock.sleep(until: next) } catch _ { throw error }
      }
    }
  }
}
