import Synchronization

/// The checked addresses of host names, and a client for the address in use.
///
/// A connection goes to a checked address, never to a name: between a check and a connection by name, the name server
/// could return a different address. Names are resolved again after `lifetime`, because `getaddrinfo` does not return a
/// TTL. As long as the address in use is in the result, its connections stay open.
final class PinnedHosts: Sendable {
  private struct Entry {
    /// The one in use comes first.
    var addresses: [IPAddress]
    var freshUntil: ContinuousClock.Instant
    var client: (address: IPAddress, client: Reference)?
  }

  /// The connection budget keeps the client, as long as it is in use.
  private struct Reference {
    weak var client: PooledClient?
  }

  static let lifetime: Duration = .seconds(30)

  private let policy: AddressPolicy
  private let resolver: any HostResolver
  private let makeClient: @Sendable (_ host: String, _ address: IPAddress) -> PooledClient
  private let entries = Mutex<[String: Entry]>([:])

  init(
    policy: AddressPolicy, resolver: any HostResolver,
    makeClient: @escaping @Sendable (_ host: String, _ address: IPAddress) -> PooledClient
  ) {
    self.policy = policy
    self.resolver = resolver
    self.makeClient = makeClient
  }

  /// The cached addresses, unless they are expired.
  func freshAddresses(of host: String, now: ContinuousClock.Instant) -> [IPAddress]? {
    entries.withLock { entries in entries[host].flatMap { $0.freshUntil > now ? $0.addresses : nil } }
  }

  /// Resolves `host`. Returns the permitted addresses, the one in use first.
  func lookUp(_ host: String, now: ContinuousClock.Instant) async throws(TransportError) -> [IPAddress] {
    let known = entries.withLock { $0[host] }
    let found: [IPAddress]
    do throws(TransportError) {
      found = try await resolver.addresses(of: host)
    } catch {
      // A failing name server must not stop deliveries to an address that was valid a moment ago.
      if let known, error.kind == .unknownHost { return known.addresses }
      throw error
    }
    let permitted = try permitted(found, host)
    return entries.withLock { entries in
      let used = entries[host]?.client.flatMap { permitted.contains($0.address) ? $0 : nil }
      if used == nil { entries[host]?.client?.client.client?.retire() }
      let addresses = used.map { Self.order(permitted, first: $0.address) } ?? permitted
      entries[host] = Entry(addresses: addresses, freshUntil: now + Self.lifetime, client: used)
      return addresses
    }
  }

  private static func order(_ addresses: [IPAddress], first: IPAddress) -> [IPAddress] {
    [first] + addresses.filter { $0 != first }
  }

  /// The permitted addresses. Throws the first objection if there are none.
  private func permitted(_ found: [IPAddress], _ host: String) throws(TransportError) -> [IPAddress] {
    let permitted = found.filter { policy.objection(to: $0) == nil }
    guard permitted.isEmpty else { return permitted }
    let objection = found.lazy.compactMap { self.policy.objection(to: $0) }.first
    throw TransportError(.forbiddenAddress, objection?.message(host: host) ?? host)
  }

  /// The client for an address. A previous client shuts down after its last request, or after its idle time.
  func client(_ host: String, _ address: IPAddress) -> PooledClient {
    entries.withLock { entries in
      if let used = entries[host]?.client, used.address == address, let client = used.client.client, client.isMember {
        return client
      }
      let client = makeClient(host, address)
      entries[host]?.client?.client.client?.retire()
      if let addresses = entries[host]?.addresses {
        entries[host]?.addresses = Self.order(addresses, first: address)
        entries[host]?.client = (address, Reference(client: client))
      }
      return client
    }
  }

  /// Expires the cached addresses, because none is reachable.
  func forget(_ host: String) { entries.withLock { $0[host]?.freshUntil = .now } }

  /// Removes and returns all clients.
  func removeAll() -> [PooledClient] {
    entries.withLock { entries in
      defer { entries = [:] }
      return entries.values.compactMap { $0.client?.client.client }
    }
  }
}
