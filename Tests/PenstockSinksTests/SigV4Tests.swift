import PenstockLog
import Testing

@testable import PenstockSinks
import PenstockSupport

struct SigV4Tests {
  private static let secret = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
  private static let emptyHash = Digest.hex(Digest.sha256([]))
  private static let host = (name: "Host", value: "examplebucket.s3.amazonaws.com")

  private func signature(
    _ request: SigV4.Request, region: String = "us-east-1",
    at time: CivilTime = CivilTime(year: 2013, month: 5, day: 24),
    token: String? = nil
  ) throws -> (signature: String, names: String) {
    let signer = SigV4(
      credentials: S3Credentials(
        accessKeyID: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: Self.secret, sessionToken: token.map { Secret($0) }),
      region: region)
    let headers = signer.sign(request, at: Timestamp(nanoseconds: Int64(time.secondsSince1970) * 1_000_000_000))
    let value = try #require(headers.last { $0.name == "Authorization" }?.value)
    let parts = value.split(separator: ",")
    try #require(parts.count == 3)
    return (String(parts[2].dropFirst("Signature=".count)), String(parts[1].dropFirst("SignedHeaders=".count)))
  }

  // The four examples of the Amazon S3 API Reference, "Signature Calculations for the Authorization Header:
  // Transferring Payload in a Single Chunk".

  @Test("Amazon's example: GET object")
  func getObject() throws {
    let request = SigV4.Request(
      method: "GET", path: "/test.txt", headers: [Self.host, (name: "Range", value: "bytes=0-9")],
      payloadHash: Self.emptyHash)
    let (signature, names) = try signature(request)
    #expect(signature == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    #expect(names == "host;range;x-amz-content-sha256;x-amz-date")
  }

  @Test("Amazon's example: PUT object")
  func putObject() throws {
    let request = SigV4.Request(
      method: "PUT", path: "/test$file.text",
      headers: [
        Self.host, (name: "Date", value: "Fri, 24 May 2013 00:00:00 GMT"),
        (name: "x-amz-storage-class", value: "REDUCED_REDUNDANCY"),
      ],
      payloadHash: Digest.hex(Digest.sha256(Array("Welcome to Amazon S3.".utf8))))
    #expect(try signature(request).signature == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
  }

  @Test("Amazon's example: GET bucket lifecycle")
  func bucketLifecycle() throws {
    let request = SigV4.Request(
      method: "GET", path: "/", query: [(name: "lifecycle", value: "")], headers: [Self.host],
      payloadHash: Self.emptyHash)
    #expect(try signature(request).signature == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
  }

  @Test("Amazon's example: list objects")
  func listObjects() throws {
    let request = SigV4.Request(
      method: "GET", path: "/", query: [(name: "prefix", value: "J"), (name: "max-keys", value: "2")],
      headers: [Self.host], payloadHash: Self.emptyHash)
    #expect(try signature(request).signature == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
  }

  // Recorded from botocore 1.43 (S3SigV4Auth), an independent implementation.

  @Test("another implementation's signature of a conditional PUT with a strange key")
  func recordedPut() throws {
    let request = SigV4.Request(
      method: "PUT", path: "/b-1/exports/a b+c=é (x).json",
      headers: [
        (name: "host", value: "127.0.0.1:9200"), (name: "content-type", value: "application/x-ndjson"),
        (name: "if-none-match", value: "*"), (name: "x-amz-meta-penstock-count", value: "2"),
      ],
      payloadHash: Digest.hex(Digest.sha256(Array("{\"a\":1}\n{\"b\":2}\n".utf8))))
    let time = CivilTime(year: 2026, month: 2, day: 28, hour: 23, minute: 59, second: 58)
    let (signature, names) = try signature(request, region: "eu-central-1", at: time)
    #expect(signature == "bd157cc2a2d07da716cfd02280576a7f030a6baf553641b2425d30dd81784bb9")
    #expect(
      names == "content-type;host;if-none-match;x-amz-content-sha256;x-amz-date;x-amz-meta-penstock-count")
  }

  @Test("another implementation's signature of a HEAD with temporary credentials")
  func recordedHead() throws {
    let request = SigV4.Request(
      method: "HEAD", path: "/exports/usages-1.json",
      headers: [(name: "host", value: "bucket.s3.eu-central-1.amazonaws.com")], payloadHash: Self.emptyHash)
    let time = CivilTime(year: 2026, month: 2, day: 28, hour: 23, minute: 59, second: 58)
    let (signature, names) = try signature(
      request, region: "eu-central-1", at: time, token: "FwoGZXIvYXdzEXAMPLETOKEN/+=")
    #expect(signature == "02f9b1f9dd74212f3fe2a9b1a3b6e1f28a1fdafb785289e6e91ff40458f76314")
    #expect(names == "host;x-amz-content-sha256;x-amz-date;x-amz-security-token")
  }

  @Test("a path is encoded once, byte by byte, and keeps its slashes")
  func path() {
    let request = SigV4.Request(
      method: "GET", path: "/a b/%41/é~-_.", headers: [(name: "host", value: "h")], payloadHash: "x")
    #expect(SigV4.canonicalRequest(request).contains("\n/a%20b/%2541/%C3%A9~-_.\n"))
  }

  @Test("a query is encoded, then sorted by name and by value")
  func query() {
    #expect(
      SigV4.canonicalQuery([
        (name: "b", value: "2"), (name: "a", value: "z"), (name: "a", value: "b=/ "), (name: "A", value: ""),
        (name: "é", value: "1"),
      ]) == "%C3%A9=1&A=&a=b%3D%2F%20&a=z&b=2")
  }

  @Test("headers are lowercase, trimmed, squeezed and sorted")
  func headers() {
    let headers = SigV4.canonicalHeaders([
      (name: "X-B", value: "  a   b\t c "), (name: "host", value: "h"), (name: "X-A", value: ""),
    ])
    #expect(headers.map { "\($0.name):\($0.value)" } == ["host:h", "x-a:", "x-b:a b c"])
  }

  @Test("the date has two digits everywhere")
  func date() {
    #expect(SigV4.dateText(Timestamp(nanoseconds: 0)) == "19700101T000000Z")
    #expect(SigV4.dateText(.fixed) == "20260228T235958Z")
  }
}
