import PenstockDelivery
import PenstockLog
import Synchronization
import Testing

@testable import PenstockSinks

/// What the client puts right by itself: clocks and credentials.
struct S3ClientTests {
  private let batch = makeBatch([#"{"a":1}"#])

  private static func configuration() -> S3Configuration {
    var configuration = S3Configuration(
      bucket: "acme", credentials: S3Credentials(accessKeyID: "id", secretAccessKey: Secret("hunter2")))
    configuration.layout.manifest = false
    return configuration
  }

  private static let skewed = "<Error><Code>RequestTimeTooSkewed</Code><Message>m</Message></Error>"
  private static let ahead = [(name: "Date", value: "Sun, 01 Mar 2026 01:00:00 GMT")]

  @Test("a clock that is wrong is corrected by the store's date, once, and stays corrected")
  func skew() async throws {
    let transport = ScriptedTransport(
      ScriptedTransport.answer(403, Self.ahead, Self.skewed), ScriptedTransport.answer(200),
      ScriptedTransport.answer(200))
    let sink = try S3Sink(Self.configuration(), transport: transport, clock: FixedClock())
    let delivery = try makeDelivery(sink, batch)
    #expect(await sink.deliver(delivery).isDelivered)
    #expect(await sink.deliver(delivery).isDelivered)
    #expect(
      transport.requests.map { $0.header("x-amz-date") }
        == ["20260228T235958Z", "20260301T010000Z", "20260301T010000Z"])
    #expect(transport.requests[1].header("authorization")?.contains("/20260301/") == true)
  }

  @Test("a HEAD says nothing of clocks but its date")
  func skewedHead() async throws {
    let transport = ScriptedTransport(
      ScriptedTransport.answer(412), ScriptedTransport.answer(403, Self.ahead), ScriptedTransport.answer(404))
    let sink = try S3Sink(Self.configuration(), transport: transport, clock: FixedClock())
    #expect(await sink.deliver(try makeDelivery(sink, batch)).isRetry)
    #expect(transport.requests.last?.header("x-amz-date") == "20260301T010000Z")
  }

  @Test("a store that goes on complaining, or gives no date, is believed after one correction")
  func skewForEver() async throws {
    let complaint = ScriptedTransport.answer(403, Self.ahead, Self.skewed)
    for steps in [[complaint, complaint], [ScriptedTransport.answer(403, [], Self.skewed)]] {
      let transport = ScriptedTransport(steps)
      let sink = try S3Sink(Self.configuration(), transport: transport, clock: FixedClock())
      let outcome = await sink.deliver(try makeDelivery(sink, batch))
      #expect(outcome.isRefused && outcome.words.contains("clock is wrong"), "\(outcome)")
      #expect(transport.stepsLeft == 0)
    }
  }

  @Test("a date that hardly differs is no reason to sign again", arguments: ["Sat, 28 Feb 2026 23:59:20 GMT", "soon"])
  func noSkew(date: String) async throws {
    let transport = ScriptedTransport(ScriptedTransport.answer(403, [(name: "Date", value: date)], Self.skewed))
    let sink = try S3Sink(Self.configuration(), transport: transport, clock: FixedClock())
    #expect(await sink.deliver(try makeDelivery(sink, batch)).isRefused)
  }

  @Test(
    "the bucket itself is asked for as its store wants it",
    arguments: [
      (nil, S3Configuration.Addressing.virtualHost, "https://acme.s3.us-east-1.amazonaws.com/?list-type=2"),
      (nil, .path, "https://s3.us-east-1.amazonaws.com/acme?list-type=2"),
      ("http://127.0.0.1:9000", .automatic, "http://127.0.0.1:9000/acme?list-type=2"),
    ] as [(String?, S3Configuration.Addressing, String)])
  func bucketAddress(endpoint: String?, addressing: S3Configuration.Addressing, url: String) throws {
    var configuration = Self.configuration()
    configuration.endpoint = endpoint
    configuration.addressing = addressing
    let request = try S3Address(configuration).signed(
      S3Request(method: "GET", query: [(name: "list-type", value: "2")]), region: "us-east-1",
      credentials: S3Credentials(accessKeyID: "id", secretAccessKey: Secret("s")), timeout: .seconds(1), at: .fixed)
    #expect(request.url == url)
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

  private func cached(_ clock: Clock, _ asked: Asked, lasting seconds: Int64?) -> CachedCredentials {
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

  @Test("credentials are kept until five minutes before they end, and asked for once however many want them")
  func caching() async throws {
    let (clock, asked) = (Clock(), Asked())
    let credentials = cached(clock, asked, lasting: 3600)
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

  @Test("when they cannot be replaced, the old ones serve to their end, and it is asked again each half minute")
  func failingRefresh() async throws {
    let (clock, asked) = (Clock(), Asked())
    let credentials = cached(clock, asked, lasting: 600)
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

  @Test("credentials that do not end are asked for once; a store that refuses them has them asked for again")
  func refused() async throws {
    let (clock, asked) = (Clock(), Asked())
    let credentials = cached(clock, asked, lasting: nil)
    let first = try await credentials.current()
    clock.advance(seconds: 1_000_000)
    #expect(try await credentials.current() == first)
    #expect(await credentials.replace(first))
    #expect(try await credentials.current().accessKeyID == "key2")
    // A second request that was refused with the first ones finds others there already.
    #expect(await credentials.replace(first))
    #expect(asked.count.load(ordering: .relaxed) == 2)
  }

  @Test("a token that ran out is replaced and the request sent again")
  func expiredToken() async throws {
    let answers = Mutex(["first", "second"])
    let services = ScriptedTransport(
      ScriptedTransport.answer(400, [], "<Error><Code>ExpiredToken</Code></Error>"), ScriptedTransport.answer(200))
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
