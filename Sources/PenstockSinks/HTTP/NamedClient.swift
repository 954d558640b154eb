import Synchronization

/// A client that resolves names by itself, made when it is first used, and again after it was idle.
final class NamedClient: Sendable {
  private let make: @Sendable () -> PooledClient
  private let newest = Mutex<WeakClient>(WeakClient())

  private struct WeakClient {
    weak var client: PooledClient?
  }

  init(_ make: @escaping @Sendable () -> PooledClient) { self.make = make }

  var client: PooledClient {
    newest.withLock { newest in
      if let client = newest.client, client.isMember { return client }
      let client = make()
      newest.client = client
      return client
    }
  }

  func close() async { await newest.withLock({ $0.client })?.close() }
}
