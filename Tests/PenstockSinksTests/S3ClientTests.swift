import PenstockDelivery
import PenstockLog
import Synchronization
import Testing

@testable import PenstockSinks

/// What the client puts right by itself: clocks and credentials.
struct S3ClientTests {
  private let batch = makeBatch([#"{"a":1}"#])

  private static func configuration() -> S3Configuration {
    .acme { ($0.endpoint, $0.region, $0.layout.manifest) = (nil, "us-east-1", false) }
  }

  private func deliver(by transport: ScriptedTransport) async throws -> DeliveryOutcome {
    let sink = try S3Sink(Self.configuration(), transport: transport, clock: FixedClock())
    return await sink.deliver(try makeDelivery(sink, batch))
  }

  private static let skewed = "<Error><Code>RequestTimeTooSkewed</Code><Message>m</Message></Error>"
  private static let ahead = [(name: "Date", value: "Sun, 01 Mar 2026 01:00:00 GMT")]

  @Test func `a clock that is wrong is corrected by the store's date, once, and stays corrected`() async throws {
    let transport = ScriptedTransport(.answer(403, Self.ahead, Self.skewed), .answer(200), .answer(200))
    let sink = try S3Sink(Self.configuration(), transport: transport, clock: FixedClock())
    let delivery = try makeDelivery(sink, batch)
    #expect(await sink.deliver(delivery).isDelivered)
    #expect(await sink.deliver(delivery).isDelivered)
    #expect(
      transport.requests.map { $0.header("x-amz-date") }
        == ["20260228T235958Z", "20260301T010000Z", "20260301T010000Z"])
    #expect(transport.requests[1].header("authorization")?.contains("/20260301/") == true)
  }

  @Test func `a HEAD says nothing of clocks but its date`() async throws {
    let transport = ScriptedTransport(.answer(412), .answer(403, Self.ahead), .answer(404))
    #expect(try await deliver(by: transport).isRetry)
    #expect(transport.requests.last?.header("x-amz-date") == "20260301T010000Z")
  }

  @Test func `a store that keeps complaining, or gives no date, is believed after one correction`() async throws {
    let complaint = ScriptedTransport.Step.answer(403, Self.ahead, Self.skewed)
    for steps in [[complaint, complaint], [.answer(403, [], Self.skewed)]] {
      let transport = ScriptedTransport(steps)
      let outcome = try await deliver(by: transport)
      #expect(outcome.isRefused && outcome.words.contains("clock is wrong"), "\(outcome)")
      #expect(transport.stepsLeft == 0)
    }
  }

  @Test(arguments: ["Sat, 28 Feb 2026 23:59:20 GMT", "soon"])
  func `a date that hardly differs is no reason to sign again`(date: String) async throws {
    let transport = ScriptedTransport(.answer(403, [(name: "Date", value: date)], Self.skewed))
    #expect(try await deliver(by: transport).isRefused)
  }

  @Test(
    arguments: [
      (nil, S3Configuration.Addressing.virtualHost, "https://acme.s3.us-east-1.amazonaws.com/?list-type=2"),
      (nil, .path, "https://s3.us-east-1.amazonaws.com/acme?list-type=2"),
      ("http://127.0.0.1:9000", .automatic, "http://127.0.0.1:9000/acme?list-type=2"),
    ] as [(String?, S3Configuration.Addressing, String)])
  func `the bucket itself is asked for as its store wants it`(
    endpoint: String?, addressing: S3Configuration.Addressing, url: String
  ) throws {
    var configuration = Self.configuration()
    (configuration.endpoint, configuration.addressing) = (endpoint, addressing)
    let list = S3Request(method: "GET", query: [(name: "list-type", value: "2")])
    #expect(Self.signed(list, at: try S3Address(configuration)).url == url)
  }

  private static func signed(_ request: S3Request, at address: S3Address) -> TransportRequest {
    address.signed(
      request, region: "us-east-1", credentials: S3Credentials(accessKeyID: "id", secretAccessKey: Secret("s")),
      timeout: .seconds(1), at: .fixed)
  }

  // MARK: Credentials that end

  private final class Clock: WallClock {
    let time = Mutex(Timestamp.fixed)
    func now() -> Timestamp { time.withLock { $0 } }
    func advance(seconds: Int64) {
      time.withLock { $0 = Timestamp(nanoseconds: $0.nanoseconds + seconds * 1_000_000_000) }
    }
  }

  private final class Asked: Sendable {
    let count = Atomic(0)
    let fails = Atomic(false)
  }

  private let clock = Clock()
  private let asked = Asked()

  private func cached(lasting seconds: Int64?) -> CachedCredentials {
    CachedCredentials(clock: clock) {
      let number = asked.count.add(1, ordering: .relaxed).newValue
      // Lets the others in, who must find somebody asking.
      for _ in 0..<20 { await Task.yield() }
      if asked.fails.load(ordering: .relaxed) { return .failure(S3CredentialError("no", isTemporary: true)) }
      let end = seconds.map { Timestamp(nanoseconds: clock.now().nanoseconds + $0 * 1_000_000_000) }
      return .success(
        ResolvedCredentials(
          credentials: S3Credentials(accessKeyID: "key\(number)", secretAccessKey: Secret("s")), expiration: end,
          source: "test"))
    }
  }

  @Test func `credentials are kept until five minutes before they end, and asked for once at a time`() async throws {
    let credentials = cached(lasting: 3600)
    let found = await withTaskGroup { group in
      for _ in 0..<8 { group.addTask { try? await credentials.current().accessKeyID } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(found == Array(repeating: "key1", count: 8))
    clock.advance(seconds: 3299)
    #expect(try await credentials.current().accessKeyID == "key1")
    clock.advance(seconds: 1)
    #expect(try await credentials.current().accessKeyID == "key2")
    #expect(asked.count.load(ordering: .relaxed) == 2)
  }

  @Test func `when they cannot be replaced, the old ones serve to their end; it asks each half minute`() async throws {
    let credentials = cached(lasting: 600)
    _ = try await credentials.current()
    asked.fails.store(true, ordering: .relaxed)
    clock.advance(seconds: 400)
    for _ in 0..<3 { #expect(try await credentials.current().accessKeyID == "key1") }
    #expect(asked.count.load(ordering: .relaxed) == 2)
    clock.advance(seconds: 31)
    #expect(try await credentials.current().accessKeyID == "key1")
    #expect(asked.count.load(ordering: .relaxed) == 3)
    clock.advance(seconds: 200)
    await #expect(throws: S3CredentialError.self) { try await credentials.current() }
    asked.fails.store(false, ordering: .relaxed)
    #expect(try await credentials.current().accessKeyID == "key5")
  }

  @Test func `credentials that do not end are asked for once, and again when a store refuses them`() async throws {
    let credentials = cached(lasting: nil)
    let first = try await credentials.current()
    clock.advance(seconds: 1_000_000)
    #expect(try await credentials.current() == first)
    #expect(await credentials.replace(first, isCertain: true))
    #expect(try await credentials.current().accessKeyID == "key2")
    // A second request that was refused with the first ones finds others there already.
    #expect(await credentials.replace(first, isCertain: true))
    #expect(asked.count.load(ordering: .relaxed) == 2)
  }

  /// Takes one key and refuses every other as Amazon S3 does: a HEAD without a word.
  private final class Guarded: HTTPTransport {
    let bucket = BucketInMemory()
    let taken = Mutex("first")
    let refusal: (head: Int, code: String)
    init(_ refusal: (head: Int, code: String)) { self.refusal = refusal }

    func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse {
      let key = taken.withLock { $0 }
      if request.header("authorization")?.contains("Credential=\(key)/") == true {
        return try await bucket.send(request)
      }
      guard request.method != "HEAD" else { return TransportResponse(status: refusal.head) }
      let body = "<Error><Code>\(refusal.code)</Code><Message>no</Message></Error>"
      return TransportResponse(status: refusal.head, body: Array(body.utf8))
    }
    func close() async {}
  }

  @Test(
    arguments: [(400, "ExpiredToken"), (403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch")], ["HEAD", "GET"])
  func `credentials that were replaced are picked up by the next request, a HEAD included`(
    refusal: (head: Int, code: String), method: String
  ) async throws {
    let file = Mutex("first")
    let store = Guarded(refusal)
    let chain = S3CredentialChain(
      profile: nil, transport: store, clock: FixedClock(), environment: ["HOME": "/h"],
      readFile: { path in
        path == "/h/.aws/credentials"
          ? "[default]\naws_access_key_id = \(file.withLock { $0 })\naws_secret_access_key = s" : nil
      })
    var configuration = Self.configuration()
    configuration.endpoint = BucketInMemory.endpoint
    let client = try S3Client(
      configuration, transport: store, clock: FixedClock(), credentials: CachedCredentials(chain, clock: FixedClock()))
    let request = S3Request(method: method, key: "k")
    #expect(try await client.send(request).response.status == 404)
    // Both sides change to another key.
    file.withLock { $0 = "second" }
    store.taken.withLock { $0 = "second" }
    #expect(try await client.send(request).response.status == 404)
  }

  @Test func `a refusal that may have another reason costs no credentials; it asks each half minute`() async throws {
    let credentials = cached(lasting: nil)
    let first = try await credentials.current()
    // Whoever gives them is away, which is no reason to lose those there are.
    asked.fails.store(true, ordering: .relaxed)
    for _ in 0..<3 { #expect(await !credentials.replace(first, isCertain: false)) }
    #expect(asked.count.load(ordering: .relaxed) == 2)
    #expect(try await credentials.current() == first)
    asked.fails.store(false, ordering: .relaxed)
    clock.advance(seconds: 31)
    #expect(await credentials.replace(first, isCertain: false))
    #expect(try await credentials.current().accessKeyID == "key3")
  }

  @Test(arguments: [
    ("https://x.test/storage/v1/s3", "https://x.test/storage/v1/s3/acme/a/k", "https://x.test/storage/v1/s3/acme?x=1"),
    ("https://x.test/s3/", "https://x.test/s3/acme/a/k", "https://x.test/s3/acme?x=1"),
  ])
  func `a store under a path is asked there, and the path is signed`(
    endpoint: String, object: String, list: String
  ) throws {
    var configuration = Self.configuration()
    configuration.endpoint = endpoint
    let address = try S3Address(configuration)
    let put = Self.signed(S3Request(method: "PUT", key: "a/k"), at: address)
    #expect(put.url == object)
    #expect(Self.signed(S3Request(method: "GET", query: [(name: "x", value: "1")]), at: address).url == list)
    configuration.endpoint = "https://x.test"
    let plain = Self.signed(S3Request(method: "PUT", key: "a/k"), at: try S3Address(configuration))
    // Another path has another signature.
    #expect(plain.header("authorization") != put.header("authorization"))
    for wrong in ["https://x.test/acme", "https://x.test/a%20b", "https://x.test/?a=b"] {
      configuration.endpoint = wrong
      #expect(throws: SinkError.self) { try S3Address(configuration) }
    }
  }

  @Test func `a token that ran out is replaced and the request sent again`() async throws {
    let answers = Mutex(["first", "second"])
    let services = ScriptedTransport(.answer(400, [], "<Error><Code>ExpiredToken</Code></Error>"), .answer(200))
    let chain = S3CredentialChain(
      profile: nil, transport: services, clock: FixedClock(), environment: ["HOME": "/h"],
      readFile: { path in
        guard path == "/h/.aws/credentials" else { return nil }
        let key = answers.withLock { $0.removeFirst() }
        return "[default]\naws_access_key_id = \(key)\naws_secret_access_key = s"
      })
    let client = try S3Client(
      Self.configuration(), transport: services, clock: FixedClock(),
      credentials: CachedCredentials(chain, clock: FixedClock()))
    #expect(try await client.send(S3Request(method: "GET", key: "k")).response.status == 200)
    #expect(services.requests.map { $0.header("authorization")?.contains("first") } == [true, false])
  }
}
