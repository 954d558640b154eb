import PenstockLog
import PenstockSupport
import Testing

@testable import PenstockSinks

struct SigV4Tests {
  private static let secret = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
  private static let emptyHash = Digest.hex(Digest.sha256([]))
  private static let host = (name: "Host", value: "examplebucket.s3.amazonaws.com")

  struct Example: CustomTestStringConvertible {
    let testDescription: String
    let request: SigV4.Request
    var region = "us-east-1"
    var time = CivilTime(year: 2013, month: 5, day: 24)
    var token: String?
    let signature: String
    var names: String?
  }

  // The four examples of the Amazon S3 API Reference, "Signature Calculations for the Authorization Header:
  // Transferring Payload in a Single Chunk".
  static let examples = [
    Example(
      testDescription: "Amazon's GET object",
      request: SigV4.Request(
        method: "GET", path: "/test.txt", headers: [host, (name: "Range", value: "bytes=0-9")], payloadHash: emptyHash),
      signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
      names: "host;range;x-amz-content-sha256;x-amz-date"),
    Example(
      testDescription: "Amazon's PUT object",
      request: SigV4.Request(
        method: "PUT", path: "/test$file.text",
        headers: [
          host, (name: "Date", value: "Fri, 24 May 2013 00:00:00 GMT"),
          (name: "x-amz-storage-class", value: "REDUCED_REDUNDANCY"),
        ], payloadHash: Digest.hex(Digest.sha256(Array("Welcome to Amazon S3.".utf8)))),
      signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    Example(
      testDescription: "Amazon's GET bucket lifecycle",
      request: SigV4.Request(
        method: "GET", path: "/", query: [(name: "lifecycle", value: "")], headers: [host], payloadHash: emptyHash),
      signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    Example(
      testDescription: "Amazon's list objects",
      request: SigV4.Request(
        method: "GET", path: "/", query: [(name: "prefix", value: "J"), (name: "max-keys", value: "2")],
        headers: [host], payloadHash: emptyHash),
      signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    // Recorded from botocore 1.43 (S3SigV4Auth), an independent implementation.
    Example(
      testDescription: "a conditional PUT with a strange key",
      request: SigV4.Request(
        method: "PUT", path: "/b-1/exports/a b+c=é (x).json",
        headers: [
          (name: "host", value: "127.0.0.1:9200"), (name: "content-type", value: "application/x-ndjson"),
          (name: "if-none-match", value: "*"), (name: "x-amz-meta-penstock-count", value: "2"),
        ], payloadHash: Digest.hex(Digest.sha256(Array("{\"a\":1}\n{\"b\":2}\n".utf8)))),
      region: "eu-central-1", time: recorded,
      signature: "bd157cc2a2d07da716cfd02280576a7f030a6baf553641b2425d30dd81784bb9",
      names: "content-type;host;if-none-match;x-amz-content-sha256;x-amz-date;x-amz-meta-penstock-count"),
    Example(
      testDescription: "a HEAD with temporary credentials",
      request: SigV4.Request(
        method: "HEAD", path: "/exports/usages-1.json",
        headers: [(name: "host", value: "bucket.s3.eu-central-1.amazonaws.com")], payloadHash: emptyHash),
      region: "eu-central-1", time: recorded, token: "FwoGZXIvYXdzEXAMPLETOKEN/+=",
      signature: "02f9b1f9dd74212f3fe2a9b1a3b6e1f28a1fdafb785289e6e91ff40458f76314",
      names: "host;x-amz-content-sha256;x-amz-date;x-amz-security-token"),
  ]
  private static let recorded = CivilTime(year: 2026, month: 2, day: 28, hour: 23, minute: 59, second: 58)

  @Test(arguments: examples)
  func `Amazon's examples and another implementation have these signatures`(example: Example) throws {
    let signer = SigV4(
      credentials: S3Credentials(
        accessKeyID: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: Self.secret,
        sessionToken: example.token.map { Secret($0) }), region: example.region)
    let seconds = Int64(example.time.secondsSince1970)
    let headers = signer.sign(example.request, at: Timestamp(nanoseconds: seconds * 1_000_000_000))
    let value = try #require(headers.last { $0.name == "Authorization" }?.value)
    let parts = value.split(separator: ",")
    try #require(parts.count == 3)
    #expect(parts[2] == "Signature=" + example.signature)
    if let names = example.names { #expect(parts[1] == "SignedHeaders=" + names) }
  }

  @Test func `a path is encoded once, byte by byte, and keeps its slashes`() {
    let request = SigV4.Request(
      method: "GET", path: "/a b/%41/é~-_.", headers: [(name: "host", value: "h")], payloadHash: "x")
    #expect(SigV4.canonicalRequest(request).contains("\n/a%20b/%2541/%C3%A9~-_.\n"))
  }

  @Test func `a query is encoded, then sorted by name and by value`() {
    #expect(
      SigV4.canonicalQuery([
        (name: "b", value: "2"), (name: "a", value: "z"), (name: "a", value: "b=/ "), (name: "A", value: ""),
        (name: "é", value: "1"),
      ]) == "%C3%A9=1&A=&a=b%3D%2F%20&a=z&b=2")
  }

  @Test func `headers are lowercase, trimmed, squeezed and sorted`() {
    let headers = SigV4.canonicalHeaders([
      (name: "X-B", value: "  a   b\t c "), (name: "host", value: "h"), (name: "X-A", value: ""),
    ])
    #expect(headers.map { "\($0.name):\($0.value)" } == ["host:h", "x-a:", "x-b:a b c"])
  }

  @Test func `the date has two digits everywhere`() {
    #expect(SigV4.dateText(Timestamp(nanoseconds: 0)) == "19700101T000000Z")
    #expect(SigV4.dateText(.fixed) == "20260228T235958Z")
  }
}

struct CivilTimeTests {
  @Test(arguments: [
    (0, CivilTime(year: 1970, month: 1, day: 1)),
    (-1, CivilTime(year: 1969, month: 12, day: 31, hour: 23, minute: 59, second: 59)),
    (951_782_400, CivilTime(year: 2000, month: 2, day: 29)), (951_868_800, CivilTime(year: 2000, month: 3, day: 1)),
    (4_107_542_399, CivilTime(year: 2100, month: 2, day: 28, hour: 23, minute: 59, second: 59)),
    (4_107_542_400, CivilTime(year: 2100, month: 3, day: 1)), (1_369_353_600, CivilTime(year: 2013, month: 5, day: 24)),
    (-2_203_977_600, CivilTime(year: 1900, month: 2, day: 28)),
    (-2_203_891_200, CivilTime(year: 1900, month: 3, day: 1)),
  ])
  func `known moments have their dates`(seconds: Int, civil: CivilTime) {
    #expect(CivilTime(Timestamp(nanoseconds: Int64(seconds) * 1_000_000_000)) == civil)
    #expect(civil.secondsSince1970 == seconds)
  }

  @Test func `every day from 1890 to 2110 follows the one before, by the rules of the calendar`() {
    var expected = CivilTime(year: 1890, month: 1, day: 1)
    var seconds = expected.secondsSince1970
    while expected.year < 2110 {
      let civil = CivilTime(Timestamp(nanoseconds: Int64(seconds) * 1_000_000_000))
      guard civil == expected, expected.secondsSince1970 == seconds else {
        Issue.record("\(civil) instead of \(expected)")
        return
      }
      let isLeap = expected.year % 4 == 0 && (expected.year % 100 != 0 || expected.year % 400 == 0)
      let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
      expected.day += 1
      if expected.day > lengths[expected.month - 1] {
        expected.day = 1
        expected.month += 1
      }
      if expected.month > 12 {
        expected.month = 1
        expected.year += 1
      }
      seconds += 86_400
    }
    #expect(seconds == CivilTime(year: 2110, month: 1, day: 1).secondsSince1970)
  }

  @Test func `the ends of the range do not trap`() {
    #expect(CivilTime(Timestamp(nanoseconds: .max)).year == 2262)
    #expect(CivilTime(Timestamp(nanoseconds: .min)).year == 1677)
    #expect(CivilTime(Timestamp(nanoseconds: -1)).second == 59)
  }
}
