public import PenstockDelivery

/// An ``ExportStore`` that asks again where asking again may help: after 503, 500, 429 and connections that broke, as a
/// delivery does after a failed attempt.
///
/// A call that failed is made again as a whole, so what it gives is never put together from two answers. A create that
/// is made again finds its own object, and answers as for any that is there.
public struct RetryingExportStore: ExportStore {
  public let store: any ExportStore
  private let retry: RetryPolicy
  private let clock: any DeliveryClock
  private let random: @Sendable () -> UInt64
  private let onRetry: @Sendable (ExportStoreError) -> Void

  /// - Parameters:
  ///   - store: What is asked. Closing it stays its maker's business.
  ///   - retry: How long each wait is, and for how long failures in a row may last; without
  ///     `RetryPolicy.giveUpAfter` it is asked for ever.
  ///   - clock: Measures waits.
  ///   - random: 64 random bits for the jitter of waits.
  ///   - onRetry: Told of each failure that is followed by another try.
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
    try await again { () async throws(ExportStoreError) in try await store.list(prefix: prefix) }
  }

  public func firstKey(prefix: String, after key: String) async throws(ExportStoreError) -> String? {
    try await again { () async throws(ExportStoreError) in try await store.firstKey(prefix: prefix, after: key) }
  }

  public func read(_ key: String, limit: Int) async throws(ExportStoreError) -> [UInt8]? {
    try await again { () async throws(ExportStoreError) in try await store.read(key, limit: limit) }
  }

  public func facts(of key: String) async throws(ExportStoreError) -> ExportFacts? {
    try await again { () async throws(ExportStoreError) in try await store.facts(of: key) }
  }

  public func create(_ key: String, _ bytes: [UInt8]) async throws(ExportStoreError) -> Bool {
    try await again { () async throws(ExportStoreError) in try await store.create(key, bytes) }
  }

  private func again<Value>(
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
        // Cancelled: what went wrong is all there is to tell.
        do throws(CancellationError) { try await clock.sleep(until: next) } catch _ { throw error }
      }
    }
  }
}
