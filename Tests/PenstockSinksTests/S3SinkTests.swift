import PenstockDelivery
import PenstockEvents
import PenstockLog
import Testing

@testable import PenstockSinks
import PenstockSupport

struct S3SinkTests {
  private let batch = makeBatch([#"{"a":1}"#, #"{"b":2}"#, #"{"c":3}"#], first: 7)

  private func sink(
    _ transport: ScriptedTransport, _ change: (inout S3Configuration) -> Void = { _ in }
  ) throws -> S3Sink {
    var configuration = S3Configuration(
      bucket: "acme-events", region: "eu-central-1",
      credentials: S3Credentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: Secret("hunter2")))
    // What these tests are about is the object; the manifest has tests of its own.
    configuration.layout.manifest = false
    change(&configuration)
    return try S3Sink(configuration, transport: transport, clock: FixedClock())
  }

  private func deliver(
    _ steps: ScriptedTransport.Step..., change: (inout S3Configuration) -> Void = { _ in }
  ) async throws -> (outcome: DeliveryOutcome, requests: [TransportRequest]) {
    let transport = ScriptedTransport(steps)
    let sink = try sink(transport, change)
    let outcome = await sink.deliver(try makeDelivery(sink, batch))
    #expect(transport.stepsLeft == 0, "not everything was asked")
    return (outcome, transport.requests)
  }

  private static func error(_ status: Int, _ code: String, _ message: String = "words") -> ScriptedTransport.Step {
    .answer(
      status, [],
      "<?xml version=\"1.0\"?><Error><Code>\(code)</Code><Message>\(message)</Message><HostId>x</HostId></Error>")
  }

  private static let precondition = error(412, "PreconditionFailed")

  /// What a HEAD says of the object this batch makes.
  private func head(sha256: String? = nil, length: String? = nil, size: String? = nil) -> ScriptedTransport.Step {
    let rows = Array("{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n".utf8)
    let headers = [
      (name: "ETag", value: "\"e\""), (name: "Content-Length", value: size ?? "\(rows.count)"),
      (name: "X-Amz-Meta-Penstock-Sha256", value: sha256 ?? Digest.hex(Digest.sha256(rows))),
      (name: "x-amz-meta-penstock-length", value: length ?? "\(rows.count)"),
    ]
    return .answer(200, headers)
  }

  @Test func `an object is created, never overwritten, and says what it holds`() async throws {
    let (outcome, requests) = try await deliver(.answer(200, [(name: "etag", value: "\"abc\"")]))
    #expect(outcome == .delivered(receipt: "ETag \"abc\""))
    let request = try #require(requests.first)
    #expect(request.method == "PUT")
    #expect(
      request.url == "https://acme-events.s3.eu-central-1.amazonaws.com/exports/"
        + "usages-2026-02-28T23-00000000000000000007-00000000000000000009.json")
    #expect(String(decoding: request.body, as: UTF8.self) == "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n")
    let digest = Digest.hex(Digest.sha256(request.body))
    request.expect([
      "if-none-match": "*", "x-amz-content-sha256": digest, "x-amz-meta-penstock-sha256": digest,
      "x-amz-meta-penstock-length": "24", "x-amz-meta-penstock-count": "3", "x-amz-meta-penstock-first": "7",
      "x-amz-meta-penstock-last": "9", "x-amz-meta-penstock-log": logID,
    ])
    #expect(request.header("x-amz-meta-penstock-id")?.count == 32)
    let names = try #require(request.header("authorization")?.split(separator: ",")[1])
    for signed in ["host", "if-none-match", "x-amz-meta-penstock-sha256"] { #expect(names.contains(signed)) }
  }

  @Test func `after a lost answer, the object that is there already counts when it is equal`() async throws {
    #expect(try await deliver(.fail(.connectionLost)).outcome.isRetry)
    let (outcome, requests) = try await deliver(Self.precondition, head())
    #expect(outcome == .delivered(receipt: "ETag \"e\", already exists"))
    #expect(requests.map(\.method) == ["PUT", "HEAD"])
    #expect(requests[0].url == requests[1].url)
    #expect(requests[1].body.isEmpty)
  }

  @Test func `an object with other content, or by others, is a conflict`() async throws {
    #expect(try await deliver(Self.precondition, head(sha256: String(repeating: "0", count: 64))).outcome.isConflict)
    #expect(try await deliver(Self.precondition, head(length: "25")).outcome.isConflict)
    #expect(try await deliver(Self.precondition, head(size: "23")).outcome.isConflict)
    let foreign = try await deliver(Self.precondition, .answer(200, [(name: "ETag", value: "x")])).outcome
    #expect(foreign.isConflict)
    #expect(foreign.words.contains("not written by Penstock"))
  }

  @Test func `a compressed object may have another size than this library would make of it`() async throws {
    let (outcome, _) = try await deliver(
      Self.precondition, head(size: "1"), change: { $0.layout.compression = .gzip() })
    #expect(outcome.isDelivered)
  }

  @Test func `when the comparison cannot be made, nothing is claimed`() async throws {
    #expect(try await deliver(Self.precondition, .answer(404)).outcome.isRetry)
    #expect(try await deliver(Self.precondition, .answer(503)).outcome.isRetry)
    #expect(try await deliver(Self.precondition, .fail(.timeout)).outcome.isRetry)
    let forbidden = try await deliver(Self.precondition, .answer(403)).outcome
    #expect(forbidden.isRefused)
    #expect(forbidden.words.contains("s3:GetObject"))
  }

  @Test(arguments: [
    (409, "ConditionalRequestConflict"), (503, "SlowDown"), (500, "InternalError"), (502, ""), (504, ""),
    (429, "TooManyRequests"), (408, ""), (400, "RequestTimeout"), (400, "BadDigest"), (400, "IncompleteBody"),
    (400, "XAmzContentSHA256Mismatch"), (307, "TemporaryRedirect"),
  ])
  func `answers that call for patience are retried`(status: Int, code: String) async throws {
    #expect(try await deliver(Self.error(status, code)).outcome.isRetry)
  }

  @Test(arguments: [
    (403, "AccessDenied", "AccessDenied: words"), (403, "SignatureDoesNotMatch", "secret access key is wrong"),
    (403, "RequestTimeTooSkewed", "clock is wrong"), (404, "NoSuchBucket", "NoSuchBucket"),
    (400, "InvalidArgument", "400"),
    (301, "PermanentRedirect", "region"), (501, "NotImplemented", "If-None-Match"), (401, "", "401"),
    (405, "", "405"),
  ])
  func `answers that only an operator can change are refused, with the store's words`(
    status: Int, code: String, words: String
  ) async throws {
    let outcome = try await deliver(Self.error(status, code)).outcome
    #expect(outcome.isRefused)
    #expect(outcome.words.contains(words), "\(outcome)")
  }

  @Test func `SlowDown with Retry-After waits as long as it says`() async throws {
    let outcome = try await deliver(.answer(503, [(name: "Retry-After", value: "9")])).outcome
    #expect(outcome == .retry(reason: "the store answered 503 Service Unavailable", after: .seconds(9)))
  }

  @Test func `an answer that echoes the secret does not bring it into the reason`() async throws {
    #expect(try await deliver(Self.error(403, "SignatureDoesNotMatch", "hunter2")).outcome.words.contains("<secret>"))
    #expect(try await !deliver(.answer(403, [], "x hunter2")).outcome.words.contains("hunter2"))
  }

  @Test(
    arguments: [
      (nil, "acme", .automatic, "https://acme.s3.eu-central-1.amazonaws.com/exports/"),
      (nil, "acme.events", .automatic, "https://s3.eu-central-1.amazonaws.com/acme.events/exports/"),
      (nil, "acme", .path, "https://s3.eu-central-1.amazonaws.com/acme/exports/"),
      ("http://127.0.0.1:9000", "acme", .automatic, "http://127.0.0.1:9000/acme/exports/"),
      ("http://127.0.0.1:80/", "acme", .path, "http://127.0.0.1/acme/exports/"),
      ("https://store.example", "acme", .virtualHost, "https://acme.store.example/exports/"),
    ] as [(String?, String, S3Configuration.Addressing, String)])
  func `a bucket is addressed as its store wants it`(
    endpoint: String?, bucket: String, addressing: S3Configuration.Addressing, prefix: String
  ) async throws {
    let (_, requests) = try await deliver(
      .answer(200), change: { ($0.bucket, $0.endpoint, $0.addressing) = (bucket, endpoint, addressing) })
    let request = try #require(requests.first)
    #expect(request.url.hasPrefix(prefix), "\(request.url)")
    let afterScheme = prefix.drop { $0 != "/" }.dropFirst(2)
    #expect(request.header("host") == String(afterScheme.prefix { $0 != "/" }))
  }

  @Test func `a session token is sent`() async throws {
    let (_, requests) = try await deliver(.answer(200), change: { $0.credentials?.sessionToken = Secret("token") })
    #expect(requests.first?.header("x-amz-security-token") == "token")
  }

  @Test func `a delivery under way keeps its name and bytes when the configuration changes`() async throws {
    let delivery = try makeDelivery(try sink(ScriptedTransport()), batch)
    let transport = ScriptedTransport(.answer(200))
    let changed = try sink(transport) {
      $0.layout = ExportLayout(prefix: "other/place")
      ($0.layout.compression, $0.layout.fields) = (.zstd(), FieldSelection(keeping: []))
    }
    #expect(try changed.prepare(batch, plan: delivery.intent.plan).bytes == delivery.body.bytes)
    #expect(await changed.deliver(delivery).isDelivered)
    #expect(transport.requests.first?.url.contains("exports/usages-2026-02-28T23-") == true)
    #expect(
      String(decoding: delivery.intent.plan, as: UTF8.self)
        == "penstock-export 1\nkey=exports/usages-2026-02-28T23-00000000000000000007-00000000000000000009.json\n"
        + "compression=none\nlevel=0\nfields=*\nclosed=records\nmanifest=\n")
  }

  @Test func `the digest is of the rows, however they are compressed`() throws {
    let plain = try makeDelivery(try sink(ScriptedTransport()), batch).body
    for compression in [ExportCompression.gzip(), .zstd(level: 9)] {
      let sink = try sink(ScriptedTransport()) { $0.layout.compression = compression }
      let delivery = try makeDelivery(sink, batch)
      #expect(delivery.body.contentDigest == plain.contentDigest)
      #expect(delivery.body.contentLength == plain.bytes.count)
      #expect(delivery.body.bytes != plain.bytes)
      #expect(compression.decompress(delivery.body.bytes, count: plain.bytes.count) == plain.bytes)
      #expect(String(decoding: delivery.intent.plan, as: UTF8.self).contains(".json\(compression.suffix)\n"))
    }
    // Where the log's frames may be copied it is a CRC-32C, also of a batch without such a frame.
    let copying = try makeDelivery(try sink(ScriptedTransport()) { $0.layout.compression = .zstd() }, batch).body
    #expect(copying.contentDigest == ContentDigest(.crc32c, of: plain.bytes).bytes(length: plain.bytes.count))
  }

  @Test(arguments: ["brotli", "gzip"])
  func `plans that cannot be followed stop the delivery`(compression: String) throws {
    let plan = "penstock-export 1\nkey=a/b\ncompression=\(compression)\nlevel=11\nfields=*\n"
    let escape = "penstock-export 1\nkey=../b\ncompression=none\nlevel=0\nfields=*\n"
    for plan in [plan, escape] {
      #expect(throws: SinkError.self) { try sink(ScriptedTransport()).prepare(batch, plan: Array(plan.utf8)) }
    }
  }

  @Test func `configurations that cannot work are refused`() {
    let changes: [(String, (inout S3Configuration) -> Void)] = [
      ("bucket", { $0.bucket = "a/b" }), ("bucket", { $0.bucket = "" }), ("bucket", { $0.bucket = "a..b" }),
      ("region", { $0.region = "" }), ("access key", { $0.credentials?.accessKeyID = "a b" }),
      ("secret access key is empty", { $0.credentials?.secretAccessKey = Secret("") }),
      ("ends with the bucket", { $0.endpoint = "http://h/\($0.bucket)" }), ("http", { $0.endpoint = "ftp://h" }),
      ("{first}", { $0.layout.keyTemplate = "x" }), ("level must be", { $0.layout.compression = .gzip(level: 12) }),
      ("limits", { $0.maxBytes = 0 }), ("limits", { $0.maxBytes = 6 << 30 }),
      ("below 0", { $0.maxWait = .seconds(-1) }),
    ]
    for (words, change) in changes { expectSinkError(containing: words) { _ = try sink(ScriptedTransport(), change) } }
  }

  @Test func `an error document is read only when it is small and plain`() {
    #expect(S3ErrorBody(Array("<Error><Code>A</Code></Error>".utf8))?.code == "A")
    #expect(S3ErrorBody(Array("<Error><Code>A</Code><Message>a &amp; b</Message></Error>".utf8))?.message == "a & b")
    let padding = String(repeating: " ", count: S3ErrorBody.limit)
    for text in ["", "not xml", "<Error/>", "<html><Code>A</Code></html", "<Error><Code>A</Code></Error>" + padding] {
      #expect(S3ErrorBody(Array(text.utf8)) == nil, "\(text.prefix(40))")
    }
    let bomb = #"<!DOCTYPE Error [<!ENTITY a "aaaa">]><Error><Code>&a;&a;</Code></Error>"#
    #expect(S3ErrorBody(Array(bomb.utf8)) == nil)
  }
}
