import Foundation
import PenstockToolSupport

/// How a stub answers.
enum StubMode: String, CaseIterable, Sendable {
  /// Yes to everything: to webhooks, and to an S3 sink as an empty bucket would.
  case accept
  /// 500 to everything.
  case refuse
  /// Takes everything and never answers.
  case hang
}

/// The least an HTTP server can be: blocking sockets, one thread for each connection, bodies thrown away unread. So
/// that what is measured is who sends.
final class StubServer: Sendable {
  private let listener: Int32
  private let mode: StubMode
  /// Told of each whole request, before it is answered.
  private let heard: @Sendable (StubRequest) -> Void
  let port: Int

  /// Listens on a port of loopback that the kernel picks.
  init(_ mode: StubMode, heard: @escaping @Sendable (StubRequest) -> Void) throws(Failure) {
    self.mode = mode
    self.heard = heard
    (listener, port) = try LoopbackSocket.listen()
  }

  /// Serves until the process ends.
  func run() -> Never {
    while true {
      let connection = accept(listener, nil, nil)
      guard connection >= 0 else { continue }
      LoopbackSocket.sendAtOnce(connection)
      Thread { [self] in
        serve(connection)
        close(connection)
      }.start()
    }
  }

  private func serve(_ connection: Int32) {
    var reader = HTTPReader(connection)
    while let head = reader.head(), reader.skip(head.contentLength) {
      var request = head
      request.arrived = BenchClock.now()
      heard(request)
      guard mode != .hang, LoopbackSocket.send(Array(answer(request).utf8)[...], to: connection) else {
        if mode == .hang { continue }
        return
      }
    }
  }

  private func answer(_ request: StubRequest) -> String {
    if mode == .refuse { return Self.response("500 Internal Server Error") }
    switch request.method {
    case "HEAD": return Self.response("404 Not Found")
    case "GET" where request.target.contains("uploads"): return Self.response("200 OK", "<ListMultipartUploadsResult/>")
    case "GET" where request.target.contains("list-type"):
      return Self.response("200 OK", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    case "GET": return Self.response("404 Not Found")
    case "POST" where request.target.contains("?uploads"):
      return Self.response(
        "200 OK", "<InitiateMultipartUploadResult><UploadId>stub</UploadId></InitiateMultipartUploadResult>")
    case "POST" where request.target.contains("uploadId="):
      return Self.response("200 OK", "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
    default: return Self.response("200 OK")
    }
  }

  private static func response(_ status: String, _ body: String = "") -> String {
    "HTTP/1.1 \(status)\r\nETag: \"stub\"\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }
}

/// What a stub knows of a request.
struct StubRequest: Sendable {
  var method = ""
  var target = ""
  var contentLength = 0
  /// The offsets a webhook delivery names.
  var range = ""
  /// Nanoseconds of the monotonic clock, which all processes share.
  var arrived: UInt64 = 0

  /// For the process that started the stub.
  var line: String { "\(method) \(contentLength) \(range.isEmpty ? "-" : range) \(arrived)" }
}

extension StubRequest {
  /// - Parameter head: The lines above the empty one.
  init(head: String) {
    self.init()
    for (number, line) in head.split(separator: "\r\n").enumerated() {
      if number == 0 {
        let words = line.split(separator: " ")
        (method, target) = (String(words.first ?? ""), String(words.dropFirst().first ?? ""))
        continue
      }
      guard let colon = line.firstIndex(of: ":") else { continue }
      let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
      switch line[..<colon].lowercased() {
      case "content-length": contentLength = Int(value) ?? 0
      case "x-penstock-range": range = value
      default: break
      }
    }
  }
}

/// Reads requests, or answers, from a blocking socket.
struct HTTPReader {
  private let descriptor: Int32
  private var buffer: [UInt8]
  private var (start, end) = (0, 0)

  /// - Parameter room: at least a head's length.
  init(_ descriptor: Int32, room: Int = 256 << 10) {
    self.descriptor = descriptor
    buffer = [UInt8](repeating: 0, count: room)
  }

  /// Everything up to the empty line; nil when the connection has ended.
  mutating func head() -> StubRequest? {
    var looked = start
    while true {
      if let stop = emptyLine(from: looked) {
        let text = String(decoding: buffer[start..<stop], as: UTF8.self)
        start = stop + 4
        return StubRequest(head: text)
      }
      looked = max(start, end - 3)
      guard more(&looked) else { return nil }
    }
  }

  /// Passes over a body.
  mutating func skip(_ count: Int) -> Bool {
    var left = count - min(count, end - start)
    start += min(count, end - start)
    while left > 0 {
      let got = recv(descriptor, &buffer, min(buffer.count, left), 0)
      guard got > 0 else { return false }
      left -= got
    }
    return true
  }

  private func emptyLine(from first: Int) -> Int? {
    var index = first
    while index + 3 < end {
      if buffer[index] == 13, buffer[index + 1] == 10, buffer[index + 2] == 13, buffer[index + 3] == 10 { return index }
      index += 1
    }
    return nil
  }

  private mutating func more(_ looked: inout Int) -> Bool {
    if start > 0 {
      buffer.replaceSubrange(0..<(end - start), with: buffer[start..<end])
      looked -= start
      (start, end) = (0, end - start)
    }
    guard end < buffer.count else { return false }
    let (descriptor, from) = (descriptor, end)
    let got = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress.map { $0 + from }, $0.count - from, 0) }
    guard got > 0 else { return false }
    end += got
    return true
  }
}
