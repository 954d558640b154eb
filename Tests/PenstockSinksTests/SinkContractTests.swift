import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockSinks

/// Every sink against `SinkConformance`.
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
      try await SinkConformance.check(
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
      configuration.endpoint = BucketInMemory.endpoint
      configuration.layout.compression = compression
      configuration.layout.keyTemplate = template
      return try S3Sink(configuration, transport: bucket)
    }
    try await SinkConformance.check(
      records: records, secrets: ["hunter2"], reconfigured: { try make(.zstd(), "x/{first}{last}") },
      makeSink: { try make(.gzip(), "{cursor}/{first}{last}") })
    #expect(bucket.keys(under: "").count { !$0.contains("_penstock") } == 2)
  }

  @Test("the webhook keeps the contract, with one event a request as well", arguments: ["array", "single", "get"])
  func webhook(form: String) async throws {
    func make(_ fields: FieldSelection) throws -> WebhookSink {
      var configuration = WebhookConfiguration(url: "https://example.com/?key=hunter2")
      if form == "single" { configuration.batching = .single }
      if form == "get" { configuration.method = .get }
      configuration.headers = [.init("api-key", Secret("hunter2"))]
      configuration.fields = fields
      return try WebhookSink(configuration, transport: AlwaysOK())
    }
    try await SinkConformance.check(
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
