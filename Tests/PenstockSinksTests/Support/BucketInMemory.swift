import Foundation
import PenstockSinks
import Synchronization

@testable import PenstockSinks
import PenstockSupport

/// A bucket as Amazon S3 describes it: conditional creates, uploads in parts, lists in pages, ranges. It checks no
/// signatures.
///
/// `fault` is asked before every call and can make it go wrong in the ways networks and stores do.
final class BucketInMemory: HTTPTransport {
  static let endpoint = "http://store.test"

  enum Fault: Sendable, Hashable, CaseIterable {
    /// The request did not arrive.
    case dropped
    /// It did, and the answer was lost.
    case lost
    /// The connection broke in the middle of the body: of half a body nothing is kept.
    case reset
    /// The client gave up; the store carries the request out behind the next one.
    case late
    /// 429, with a Retry-After.
    case tooMany
    /// An ETag that is not of the bytes.
    case wrongETag
    case slowDown, internalError, conflict
    /// 200, and a document that says it failed, before it did anything or after: for requests that change something.
    case falseSuccess, falseFailure
    /// An answer without a body and without an ETag.
    case bare
  }

  struct Object: Sendable {
    var bytes: [UInt8]
    var headers: [(name: String, value: String)]
    var creations = 1
  }
  fileprivate struct Upload {
    var key: String
    var headers: [(name: String, value: String)]
    var parts: [Int: [UInt8]] = [:]
  }
  fileprivate struct State {
    var objects: [String: Object] = [:]
    var uploads: [String: Upload] = [:]
    var nextUpload = 1
    /// What was given up by its client and is still to be done.
    var late: [Call] = []
    var calls: [String] = []
    var requests: [TransportRequest] = []
  }
  private let state = Mutex(State())
  private let fault: @Sendable (_ index: Int, _ call: String) -> Fault?
  private let pageSize: Int
  private let appearing: (index: Int, key: String, object: Object)?

  /// - Parameter appearing: an object that somebody else creates right before that call.
  init(
    pageSize: Int = 1000, appearing: (index: Int, key: String, object: Object)? = nil,
    fault: @escaping @Sendable (_ index: Int, _ call: String) -> Fault? = { _, _ in nil }
  ) {
    self.appearing = appearing
    self.pageSize = pageSize
    self.fault = fault
  }

  var calls: [String] { state.withLock { $0.calls } }
  var requests: [TransportRequest] { state.withLock { $0.requests } }
  var openUploads: [String] { state.withLock { $0.uploads.map(\.value.key) } }
  subscript(key: String) -> Object? {
    get { state.withLock { $0.objects[key] } }
    set { state.withLock { $0.objects[key] = newValue } }
  }
  func keys(under prefix: String) -> [String] {
    state.withLock { $0.objects.keys.filter { $0.hasPrefix(prefix) }.sorted() }
  }
  func addUpload(key: String, parts: [Int: [UInt8]], headers: [(name: String, value: String)] = []) {
    state.withLock {
      $0.uploads["foreign-\($0.nextUpload)"] = Upload(key: key, headers: headers, parts: parts)
      $0.nextUpload += 1
    }
  }

  func close() async {}

  func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse {
    let result = state.withLock { state -> Result<TransportResponse, TransportError> in
      let call = Call(request)
      let index = state.calls.count
      state.calls.append(call.name)
      state.requests.append(request)
      if let appearing, appearing.index == index { state.objects[appearing.key] = appearing.object }
      var fault = fault(index, call.name)
      if !call.changesSomething, fault == .falseSuccess || fault == .falseFailure { fault = .slowDown }
      let late = state.late
      state.late = []
      defer { for call in late { _ = state.perform(call, pageSize: pageSize) } }
      switch fault {
      case .dropped: return .failure(TransportError(.timeout))
      case .reset: return .failure(TransportError(.connectionLost))
      case .late:
        state.late.append(call)
        return .failure(TransportError(.timeout))
      case .tooMany:
        var answer = Self.error(429, "TooManyRequests")
        answer.headers.append((name: "Retry-After", value: "7"))
        return .success(answer)
      case .slowDown: return .success(Self.error(503, "SlowDown"))
      case .internalError: return .success(Self.error(500, "InternalError"))
      case .conflict: return .success(Self.error(409, "ConditionalRequestConflict"))
      case .falseSuccess: return .success(Self.error(200, "InternalError"))
      case .lost, .falseFailure, .bare, .wrongETag, nil: break
      }
      var response = state.perform(call, pageSize: pageSize)
      switch fault {
      case .lost: return .failure(TransportError(.connectionLost))
      case .falseFailure: return .success(Self.error(200, "InternalError"))
      case .bare:
        response.headers.removeAll { $0.name == "ETag" }
        response.body = []
      case .wrongETag:
        if response.header("ETag") != nil {
          response.headers.removeAll { $0.name == "ETag" }
          response.headers.append((name: "ETag", value: Self.etag(Array("something else".utf8))))
        }
      default: break
      }
      return .success(response)
    }
    return try result.get()
  }

  static func error(_ status: Int, _ code: String) -> TransportResponse {
    TransportResponse(status: status, body: Array("<Error><Code>\(code)</Code><Message>m</Message></Error>".utf8))
  }

  static func etag(_ bytes: [UInt8]) -> String { "\"\(Digest.hex(Digest.sha256(bytes)).prefix(32))\"" }

  fileprivate struct Call {
    let method: String
    let key: String?
    let query: [String: String]
    let request: TransportRequest

    init(_ request: TransportRequest) {
      self.request = request
      method = request.method
      let parts = URLComponents(string: request.url)
      let path = (parts?.path ?? "").split(separator: "/", maxSplits: 1)
      key = path.count == 2 ? String(path[1]) : nil
      query = Dictionary(
        (parts?.queryItems ?? []).map { ($0.name, $0.value ?? "") }, uniquingKeysWith: { first, _ in first })
    }

    var changesSomething: Bool { method == "PUT" || method == "POST" }

    var name: String {
      switch (method, key) {
      case ("POST", _): query["uploads"] != nil ? "create" : "complete"
      case ("PUT", _): query["partNumber"].map { "part \($0)" } ?? "put"
      case ("DELETE", _): "abort"
      case ("GET", nil): query["uploads"] != nil ? "uploads" : "list"
      case ("GET", _): "get"
      default: "head"
      }
    }
  }
}

extension BucketInMemory.State {
  fileprivate mutating func perform(_ call: BucketInMemory.Call, pageSize: Int) -> TransportResponse {
    let key = call.key ?? ""
    switch call.name {
    case "put": return put(key, call.request.body, call.request.headers, isConditional: call.isConditional)
    case "head": return get(key, range: nil, withBody: false)
    case "get": return get(key, range: call.request.header("range"), withBody: true)
    case "list":
      return list(
        call.query["prefix"] ?? "", after: call.query["continuation-token"] ?? call.query["start-after"],
        pageSize: call.query["max-keys"].flatMap { Int($0) } ?? pageSize)
    case "uploads":
      let entries = uploads.filter { $0.value.key.hasPrefix(call.query["prefix"] ?? "") }.sorted { $0.key < $1.key }
      let text = entries.map { "<Upload><Key>\($0.value.key)</Key><UploadId>\($0.key)</UploadId></Upload>" }.joined()
      return document("ListMultipartUploadsResult", "<IsTruncated>false</IsTruncated>" + text)
    case "create":
      let id = "upload-\(nextUpload)"
      nextUpload += 1
      uploads[id] = .init(key: key, headers: call.request.headers)
      return document("InitiateMultipartUploadResult", "<Key>k</Key><UploadId>\(id)</UploadId>")
    case "abort":
      return uploads.removeValue(forKey: call.query["uploadId"] ?? "") == nil
        ? BucketInMemory.error(404, "NoSuchUpload") : TransportResponse(status: 204)
    case "complete": return complete(key, call)
    default:
      guard let number = Int(call.query["partNumber"] ?? ""), uploads[call.query["uploadId"] ?? ""] != nil else {
        return BucketInMemory.error(404, "NoSuchUpload")
      }
      uploads[call.query["uploadId"] ?? ""]?.parts[number] = call.request.body
      return TransportResponse(status: 200, headers: [(name: "ETag", value: BucketInMemory.etag(call.request.body))])
    }
  }

  private mutating func put(
    _ key: String, _ bytes: [UInt8], _ headers: [(name: String, value: String)], isConditional: Bool
  ) -> TransportResponse {
    if isConditional, objects[key] != nil { return BucketInMemory.error(412, "PreconditionFailed") }
    let meta = headers.filter { $0.name.hasPrefix("x-amz-meta-") }
    objects[key] = .init(bytes: bytes, headers: meta, creations: (objects[key]?.creations ?? 0) + 1)
    return TransportResponse(status: 200, headers: [(name: "ETag", value: BucketInMemory.etag(bytes))])
  }

  private mutating func complete(_ key: String, _ call: BucketInMemory.Call) -> TransportResponse {
    let id = call.query["uploadId"] ?? ""
    guard let upload = uploads[id] else { return BucketInMemory.error(404, "NoSuchUpload") }
    let text = String(decoding: call.request.body, as: UTF8.self)
    var bytes: [UInt8] = []
    for part in text.components(separatedBy: "<Part>").dropFirst() {
      guard let number = Int(part.between("<PartNumber>", "</PartNumber>")), let stored = upload.parts[number],
        part.between("<ETag>", "</ETag>").replacingOccurrences(of: "&quot;", with: "\"") == BucketInMemory.etag(stored)
      else { return BucketInMemory.error(400, "InvalidPart") }
      bytes += stored
    }
    let answer = put(key, bytes, upload.headers, isConditional: call.isConditional)
    guard answer.status == 200 else { return answer }
    uploads[id] = nil
    return document("CompleteMultipartUploadResult", "<Key>k</Key>", headers: answer.headers)
  }

  private func get(_ key: String, range: String?, withBody: Bool) -> TransportResponse {
    guard let object = objects[key] else {
      return withBody ? BucketInMemory.error(404, "NoSuchKey") : TransportResponse(status: 404)
    }
    let etag = (name: "ETag", value: BucketInMemory.etag(object.bytes))
    guard withBody, let range else {
      let size = (name: "Content-Length", value: String(object.bytes.count))
      return TransportResponse(status: 200, headers: object.headers + [size, etag], body: withBody ? object.bytes : [])
    }
    let ends = range.dropFirst("bytes=".count).split(separator: "-").compactMap { Int($0) }
    guard ends[0] < object.bytes.count else { return BucketInMemory.error(416, "InvalidRange") }
    let part = Array(object.bytes[ends[0]..<min(ends[1] + 1, object.bytes.count)])
    return TransportResponse(
      status: 206,
      headers: [
        (name: "Content-Length", value: String(part.count)),
        (name: "Content-Range", value: "bytes \(ends[0])-\(ends[0] + part.count - 1)/\(object.bytes.count)"),
      ], body: part)
  }

  private func list(_ prefix: String, after: String?, pageSize: Int) -> TransportResponse {
    let keys = objects.keys.filter { $0.hasPrefix(prefix) && $0 > after ?? "" }.sorted()
    var text = keys.prefix(pageSize).map {
      "<Contents><Key>\($0)</Key><Size>\(objects[$0]?.bytes.count ?? 0)</Size></Contents>"
    }.joined()
    let isTruncated = keys.count > pageSize
    text += "<IsTruncated>\(isTruncated)</IsTruncated>"
    if isTruncated { text += "<NextContinuationToken>\(keys[pageSize - 1])</NextContinuationToken>" }
    return document("ListBucketResult", text)
  }

  private func document(
    _ name: String, _ content: String, headers: [(name: String, value: String)] = []
  ) -> TransportResponse {
    let text = "<?xml version=\"1.0\"?><\(name) xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(content)</\(name)>"
    return TransportResponse(status: 200, headers: headers, body: Array(text.utf8))
  }
}

extension BucketInMemory.Call {
  fileprivate var isConditional: Bool { request.header("if-none-match") == "*" }
}

extension String {
  fileprivate func between(_ start: String, _ end: String) -> String {
    guard let from = range(of: start), let to = range(of: end, range: from.upperBound..<endIndex) else { return "" }
    return String(self[from.upperBound..<to.lowerBound])
  }
}
