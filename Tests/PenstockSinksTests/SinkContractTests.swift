import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockSinks

/// Every sink against `SinkLaws`.
struct SinkContractTests {
  private let records = [#"{"a":1,"traits":{"é":[1,2]}}"#, #"{"b":"two"}"#, #"{"c":null}"#].map { Array($0.utf8) }

  @Test("the directory keeps the contract", arguments: [.none, .gzip(), .zstd()] as [ExportCompression])
  func directory(compression: ExportCompression) async throws {
    try await withTemporaryDirectory { directory in
      var layout = ExportLayout()
      layout.keyTemplate = "exports/{cursor}-{first}-{last}.json"
      layout.compression = compression
      var changed = ExportLayout(prefix: "elsewhere")
      changed.fields = FieldSelection(keeping: [])
      try await SinkLaws.check(
        records: records, reconfigured: { [changed] in try DirectorySink(root: directory, layout: changed) },
        makeSink: { [layout] in try DirectorySink(root: directory, layout: layout) })
    }
  }

  @Test("S3 keeps the contract")
  func s3() async throws {
    let bucket = BucketInMemory()
    func make(_ compression: ExportCompression, _ template: String) throws -> S3Sink {
      var configuration = S3Configuration(
        bucket: "acme", credentials: S3Credentials(accessKeyID: "id", secretAccessKey: Secret("hunter2")))
      configuration.layout.compression = compression
      configuration.layout.keyTemplate = template
      return try S3Sink(configuration, transport: bucket)
    }
    try await SinkLaws.check(
      records: records, secrets: ["hunter2"], reconfigured: { try make(.zstd(), "x/{first}{last}") },
      makeSink: { try make(.gzip(), "{cursor}/{first}{last}") })
    #expect(bucket.count == 2)
  }

  @Test("the webhook keeps the contract")
  func webhook() async throws {
    func make(_ fields: FieldSelection) throws -> WebhookSink {
      var configuration = WebhookConfiguration(url: "https://example.com/?key=hunter2")
      configuration.headers = [.init("api-key", Secret("hunter2"))]
      configuration.fields = fields
      return try WebhookSink(configuration, transport: AlwaysOK())
    }
    try await SinkLaws.check(
      records: records, secrets: ["hunter2"], reconfigured: { try make(FieldSelection(keeping: [])) },
      makeSink: { try make(.all) })
  }
}

private struct AlwaysOK: HTTPTransport {
  func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse {
    TransportResponse(status: 200)
  }
  func close() async {}
}

/// A bucket with conditional create and metadata, and no signatures.
private final class BucketInMemory: HTTPTransport {
  private let objects = Mutex<[String: TransportRequest]>([:])

  var count: Int { objects.withLock { $0.count } }

  func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse {
    objects.withLock { objects in
      if request.method == "PUT" {
        if objects[request.url] != nil { return TransportResponse(status: 412) }
        objects[request.url] = request
        return TransportResponse(status: 200)
      }
      guard let object = objects[request.url] else { return TransportResponse(status: 404) }
      let size = (name: "Content-Length", value: String(object.body.count))
      return TransportResponse(status: 200, headers: object.headers + [size])
    }
  }

  func close() async {}
}
