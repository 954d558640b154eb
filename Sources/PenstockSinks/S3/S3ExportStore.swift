public import PenstockDelivery
public import PenstockLog

/// An ``ExportStore`` for a bucket. Needs the permissions `s3:ListBucket` and `s3:GetObject`; ``create(_:_:)`` also
/// needs `s3:PutObject`.
public struct S3ExportStore: ExportStore {
  private let client: S3Client
  private let name: String

  /// - Parameters:
  ///   - configuration: The sink's configuration.
  ///   - transport: The transport. Nil: the store creates one, and ``close()`` closes it.
  ///   - clock: The clock for signatures.
  /// - Throws: `SinkError` for an invalid configuration.
  public init(
    _ configuration: S3Configuration, transport: (any HTTPTransport)? = nil,
    clock: any WallClock = SystemWallClock()
  ) throws(SinkError) {
    try configuration.validate()
    self.init(
      client: try S3Client(configuration, transport: transport, clock: clock), configuration: configuration)
  }

  init(client: S3Client, configuration: S3Configuration) {
    self.client = client
    name = "s3 \(configuration.bucket)" + (configuration.endpoint.map { " at \($0)" } ?? "")
  }

  public var description: String { name }

  public func close() async { await client.close() }

  public func list(prefix: String) async throws(ExportStoreError) -> [ExportObject] {
    var found: [ExportObject] = []
    var token: String?
    repeat {
      var query = [(name: "list-type", value: "2"), (name: "prefix", value: prefix)]
      if let token { query.append((name: "continuation-token", value: token)) }
      let answer = try await send(
        S3Request(method: "GET", query: query, responseLimit: S3Documents.listLimit), about: "a list of \(prefix)…")
      guard answer.response.status == 200 else { throw Self.error(answer, "a list of \(prefix)…") }
      guard let page = S3Documents.read(S3Documents.ObjectList.self, answer.response.body) else {
        throw ExportStoreError("invalid or truncated ListObjects response", isTemporary: true)
      }
      found += (page.Contents ?? []).map { ExportObject(key: $0.Key, size: $0.Size) }
      token = page.IsTruncated == true ? page.NextContinuationToken : nil
      if page.IsTruncated == true, token == nil {
        throw ExportStoreError("truncated listing without a continuation token", isTemporary: true)
      }
    } while token != nil
    return found.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
  }

  public func firstKey(prefix: String, after key: String) async throws(ExportStoreError) -> String? {
    let query = [
      (name: "list-type", value: "2"), (name: "max-keys", value: "1"), (name: "prefix", value: prefix),
      (name: "start-after", value: key),
    ]
    let answer = try await send(S3Request(method: "GET", query: query), about: "a list of \(prefix)…")
    guard answer.response.status == 200 else { throw Self.error(answer, "a list of \(prefix)…") }
    guard let page = S3Documents.read(S3Documents.ObjectList.self, answer.response.body) else {
      throw ExportStoreError("invalid or truncated ListObjects response", isTemporary: true)
    }
    return page.Contents?.first?.Key
  }

  /// Reads ranges of 8 MiB, so that a large object does not exceed the timeout of one request.
  public func read(_ key: String, limit: Int) async throws(ExportStoreError) -> [UInt8]? {
    let piece = 8 << 20
    var bytes: [UInt8] = []
    while bytes.count < limit {
      let end = min(bytes.count + piece, limit)
      var request = S3Request(
        method: "GET", key: key, headers: [(name: "range", value: "bytes=\(bytes.count)-\(end - 1)")])
      request.responseLimit = end - bytes.count
      let answer = try await send(request, about: key)
      switch answer.response.status {
      case 200 where bytes.isEmpty, 206:
        let body = answer.response.body
        // 200 means that the store does not support ranges. The response is the object, read up to the limit.
        let expected = answer.response.header("Content-Length").flatMap { Int($0) }.map { min($0, end - bytes.count) }
        guard expected == nil || expected == body.count else {
          throw ExportStoreError("truncated response for \(key)", isTemporary: true)
        }
        bytes += body
        if answer.response.status == 200 || body.count < request.responseLimit { return bytes }
        if let total = Self.total(answer.response.header("Content-Range")), total <= bytes.count { return bytes }
      case 404: return nil
      // The range starts at the end of the object.
      case 416: return bytes
      default: throw Self.error(answer, key)
      }
    }
    return bytes
  }

  public func facts(of key: String) async throws(ExportStoreError) -> ExportFacts? {
    let answer = try await send(S3Request(method: "HEAD", key: key), about: key)
    switch answer.response.status {
    case 200..<300:
      guard let size = answer.response.header("Content-Length").flatMap({ Int($0) }) else {
        throw ExportStoreError("the response for \(key) has no Content-Length", isTemporary: false)
      }
      var metadata: [String: String] = [:]
      for (name, value) in answer.response.headers where name.lowercased().hasPrefix("x-amz-meta-penstock-") {
        metadata[String(name.lowercased().dropFirst("x-amz-meta-penstock-".count))] = value
      }
      return ExportFacts(size: size, metadata: metadata)
    case 404: return nil
    default: throw Self.error(answer, key)
    }
  }

  public func create(_ key: String, _ bytes: [UInt8]) async throws(ExportStoreError) -> Bool {
    let headers = [(name: "content-type", value: "application/json"), (name: "if-none-match", value: "*")]
    let answer = try await send(S3Request(method: "PUT", key: key, headers: headers, body: bytes), about: key)
    switch S3Verdict.afterCreate(answer) {
    case .compare: return false
    case .outcome(.delivered): return true
    case .outcome: throw Self.error(answer, key)
    }
  }

  private func send(_ request: S3Request, about: String) async throws(ExportStoreError) -> S3Client.Answer {
    do throws(S3Failure) {
      return try await client.send(request)
    } catch {
      switch error.outcome {
      case .retry(let reason, let after): throw ExportStoreError("\(about): \(reason)", isTemporary: true, after: after)
      case let outcome: throw ExportStoreError("\(about): \(outcome)", isTemporary: false)
      }
    }
  }

  private static func error(_ answer: S3Client.Answer, _ about: String) -> ExportStoreError {
    switch S3Verdict.failure(answer) {
    case .retry(let reason, let after): ExportStoreError("\(about): \(reason)", isTemporary: true, after: after)
    case .refused(let reason): ExportStoreError("\(about): \(reason)", isTemporary: false)
    default: ExportStoreError("\(about): \(answer.detail.reason)", isTemporary: false)
    }
  }

  /// The total size in `bytes 0-9/1234`.
  private static func total(_ range: String?) -> Int? {
    range.flatMap { $0.split(separator: "/").last }.flatMap { Int($0) }
  }
}
