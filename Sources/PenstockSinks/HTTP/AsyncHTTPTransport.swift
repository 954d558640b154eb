import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOSSL
public import PenstockDelivery
import Synchronization

/// An ``HTTPTransport`` with async-http-client: pooled connections, TLS, and HTTP/2 if a server offers it.
public final class AsyncHTTPTransport: HTTPTransport {
  /// How a request finds its address.
  private enum Route {
    /// The client resolves names.
    case byName(NamedClient)
    case pinned(PinnedHosts)
  }

  /// Waits for a duration; replaced in tests.
  package typealias Pause = @Sendable (Duration) async throws -> Void

  private let route: Route
  private let pause: Pause
  private let isClosed = Atomic(false)

  /// Connects to any address, and trusts the system's certificate authorities.
  ///
  /// - Parameter connectTimeout: The limit for the TCP connection and the TLS handshake together.
  public init(connectTimeout: Duration = .seconds(10)) {
    var settings = TransportSettings()
    settings.connectTimeout = connectTimeout
    pause = Self.realPause
    route = .byName(NamedClient { [settings] in PooledClient(settings, tls: nil) })
  }

  /// Reads the files of ``TransportSettings/tls``, which blocks the caller's thread.
  ///
  /// - Throws: `SinkError` for a file that cannot be read or is invalid.
  public convenience init(_ settings: TransportSettings) throws(SinkError) {
    try self.init(settings, resolver: SystemHostResolver())
  }

  package static let realPause: Pause = { try await Task.sleep(for: $0) }

  package convenience init(
    _ settings: TransportSettings, resolver: any HostResolver, pause: @escaping Pause = realPause,
    budget: ConnectionBudget = .shared
  ) throws(SinkError) {
    self.init(try Self.route(settings, resolver, budget), pause)
  }

  private init(_ route: Route, _ pause: @escaping Pause) {
    self.route = route
    self.pause = pause
  }

  private static func route(
    _ settings: TransportSettings, _ resolver: any HostResolver, _ budget: ConnectionBudget
  ) throws(SinkError) -> Route {
    let tls = settings.tls == TLSSettings() ? nil : try settings.tls.configuration()
    guard let policy = settings.addresses else {
      return .byName(NamedClient { PooledClient(settings, tls: tls, budget: budget) })
    }
    return .pinned(
      PinnedHosts(policy: policy, resolver: resolver) { host, address in
        PooledClient(settings, tls: tls, pin: (host: host, address: address), budget: budget)
      })
  }

  public func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse {
    guard !isClosed.load(ordering: .acquiring) else { throw TransportError(.cancelled, "the sink is closed") }
    switch route {
    case .byName(let named):
      return try await send(request, until: .now + request.timeout, address: nil) { named.client }
    case .pinned(let hosts): return try await send(request, hosts)
    }
  }

  public func close() async {
    guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    switch route {
    case .byName(let named): await named.close()
    case .pinned(let hosts): for client in hosts.removeAll() { await client.close() }
    }
  }

  /// Tries the addresses one after the other, as long as nothing was sent.
  private func send(
    _ request: TransportRequest, _ hosts: PinnedHosts
  ) async throws(TransportError) -> TransportResponse {
    let deadline = ContinuousClock.now + request.timeout
    let host = try Self.host(of: request.url)
    var failure = TransportError(.timeout, "looking up \(host)")
    for address in try await Self.addresses(of: host, hosts, deadline) where ContinuousClock.now < deadline {
      do throws(TransportError) {
        return try await send(request, until: deadline, address: address) { hosts.client(host, address) }
      } catch {
        failure = error
        if !error.isBeforeSending { break }
      }
    }
    if failure.isBeforeSending { hosts.forget(host) }
    throw failure
  }

  /// Sends the request once there is a connection for it.
  private func send(
    _ request: TransportRequest, until deadline: ContinuousClock.Instant, address: IPAddress?,
    over client: () -> PooledClient
  ) async throws(TransportError) -> TransportResponse {
    while true {
      let client = client()
      switch await Self.connection(of: client, until: deadline) {
      case .taken:
        defer { client.giveBack() }
        return try await Self.send(request, over: client, until: deadline, address: address, pause)
      case .retired: continue
      case nil where Task.isCancelled: throw TransportError(.cancelled)
      case nil: throw TransportError(.tooManyConnections)
      }
    }
  }

  /// Nil when there is none in time, and when the task is cancelled.
  private static func connection(
    of client: PooledClient, until deadline: ContinuousClock.Instant
  ) async -> ConnectionLedger.Answer? {
    if let answer = client.takeNow() { return answer }
    // Not the limit's own result: at the limit, a connection may be taken all the same.
    let answer = Mutex<ConnectionLedger.Answer?>(nil)
    _ = await withLimit(deadline - .now, realPause) {
      let taken = await client.take()
      answer.withLock { $0 = taken }
    }
    return answer.withLock { $0 }
  }

  private static func host(of url: String) throws(TransportError) -> String {
    do throws(SinkError) {
      return try DestinationURL(url).hostName
    } catch {
      throw TransportError(.invalidRequest, error.description)
    }
  }

  private static func addresses(
    of host: String, _ hosts: PinnedHosts, _ deadline: ContinuousClock.Instant
  ) async throws(TransportError) -> [IPAddress] {
    if let known = hosts.freshAddresses(of: host, now: .now) { return known }
    let found = await withLimit(deadline - .now, realPause) { () async -> Result<[IPAddress], TransportError> in
      do throws(TransportError) {
        return .success(try await hosts.lookUp(host, now: .now))
      } catch {
        return .failure(error)
      }
    }
    if Task.isCancelled { throw TransportError(.cancelled) }
    guard let found else { throw TransportError(.timeout, "looking up \(host)") }
    return try found.get()
  }

  static func send(
    _ request: TransportRequest, over pooled: PooledClient, until deadline: ContinuousClock.Instant,
    address: IPAddress?, _ pause: @escaping Pause = realPause
  ) async throws(TransportError) -> TransportResponse {
    do {
      let left = (deadline - .now).wholeNanoseconds
      let response = try await pooled.client.execute(translated(request), deadline: .now() + .nanoseconds(left))
      var bodyTime = deadline - .now
      if let limit = request.successBodyTime, (200..<300).contains(response.status.code) {
        bodyTime = min(bodyTime, limit)
      }
      return TransportResponse(
        status: Int(response.status.code),
        headers: response.headers.map { (name: $0.name, value: $0.value) },
        body: await prefix(
          of: response.body, isEmpty: response.headers["content-length"] == ["0"], limit: request.responseLimit,
          within: bodyTime, pause),
        connection: TransportConnection(
          httpVersion: "\(response.version)", tlsVersion: request.isSecure ? pooled.tlsVersion : nil,
          address: address?.description))
    } catch {
      throw TransportError(describing: error, host: (try? host(of: request.url)) ?? "the server")
    }
  }

  private static func translated(_ request: TransportRequest) -> HTTPClientRequest {
    var translated = HTTPClientRequest(url: request.url)
    translated.method = HTTPMethod(rawValue: request.method)
    for (name, value) in request.headers { translated.headers.add(name: name, value: value) }
    if request.body.count > BodyPieces.mostAtOnce {
      translated.body = .stream(BodyPieces(bytes: request.body), length: .known(Int64(request.body.count)))
    } else if !request.body.isEmpty {
      translated.body = .bytes(ByteBuffer(bytes: request.body))
    }
    return translated
  }

  /// The first `limit` bytes of the body. The status is known already, so an incomplete or slow body is not an error.
  private static func prefix(
    of body: HTTPClientResponse.Body, isEmpty: Bool, limit: Int, within time: Duration, _ pause: @escaping Pause
  ) async -> [UInt8] {
    let read = Mutex<[UInt8]>([])
    let readAll: @Sendable () async -> Void = {
      do {
        for try await chunk in body {
          let isFull = read.withLock { bytes in
            bytes.append(contentsOf: chunk.readableBytesView.prefix(limit - bytes.count))
            return bytes.count == limit
          }
          if isFull { break }
        }
      } catch {}
    }
    // An empty body ends with the head, and the tasks of a limit cost more than that.
    if isEmpty { await readAll() } else { _ = await withLimit(time, pause, readAll) }
    return read.withLock { $0 }
  }

  /// Returns the result of `work`, or nil after `time`. `work` must return soon after its cancellation.
  private static func withLimit<Result: Sendable>(
    _ time: Duration, _ pause: @escaping Pause, _ work: @Sendable @escaping () async -> Result
  ) async -> Result? {
    await withTaskGroup(of: Result?.self) { group in
      group.addTask { await work() }
      group.addTask {
        try? await pause(time)
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first
    }
  }
}
