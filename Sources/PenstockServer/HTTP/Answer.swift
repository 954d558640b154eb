import HTTPTypes
import Hummingbird
import NIOCore
import PenstockEvents
import PenstockLog

/// What is answered: a status, and JSON unless said otherwise. Errors have the form
/// `{"error":{"code":…,"message":…}}`, with more members where there is more to say.
struct Answer: Sendable {
  var status: Int
  var body: String
  var contentType = "application/json"
  var headers: [(String, String)] = []
  /// The request's body was not read to its end, so nothing else can come over this connection.
  var endsConnection = false
  /// What is not for the client, but for the service's log.
  var trouble: String?

  init(_ status: Int, _ body: String) {
    self.status = status
    self.body = body
  }

  /// Ends in a line feed, for whoever reads it in a terminal.
  init(_ status: Int, _ json: ServiceJSON) { self.init(status, json.text + "\n") }

  static func failure(
    _ status: Int, _ code: String, _ message: String, _ more: [(String, ServiceJSON)] = []
  ) -> Answer {
    Answer(status, .object([("error", .object([("code", .string(code)), ("message", .string(message))] + more))]))
  }

  func with(_ name: String, _ value: String) -> Answer {
    var answer = self
    answer.headers.append((name, value))
    return answer
  }

  /// Come again, after so many seconds.
  static func later(_ status: Int, _ code: String, _ message: String, after seconds: Int = 1) -> Answer {
    failure(status, code, message).with("Retry-After", String(seconds))
  }
}

extension Answer {
  /// What is wrong with a body: which record, which field, which byte of the record and of the body.
  init(_ error: EventError) {
    let status =
      switch error.code {
      case .bodyTooLong, .recordTooLong, .tooManyRecords: 413
      case .foreignApp: 403
      default: 400
      }
    self = .failure(status, error.code.rawValue, error.description, error.members)
  }

  /// What the log has against it.
  init(_ error: LogError) {
    let code = error.code.description
    switch error.code {
    case .overloaded: self = .later(429, code, "the log's queue is full; send it again")
    case .noSpace where (error.cause as? FileSystemError)?.code == .tooManyOpenFiles:
      self = .later(503, code, "the service has too many files open; nothing was written", after: 10)
    case .noSpace: self = .later(503, code, "the log's disk is full; nothing was written", after: 30)
    case .poisoned, .closed, .cancelled, .locked:
      self = .later(503, code, "the log takes nothing at present; whether this was written is open", after: 10)
    case .recordTooLarge, .batchTooLarge: self = .failure(413, code, error.message)
    case .outOfSequence, .fenced, .unknownProducer, .illegalMove, .cursorHeld: self = .failure(409, code, error.message)
    case .tooManyProducers: self = .later(503, code, error.message, after: 30)
    case .invalidName, .sourceTooLarge: self = .failure(400, code, error.message)
    case .unknownCursor: self = .failure(404, code, error.message)
    case .outOfRange, .gap: self = .failure(410, code, error.message)
    default:
      self = .failure(500, code, "the log could not do it; its own log says why")
      trouble = "\(error)"
    }
  }
}

extension EventError {
  /// As members of an answer.
  var members: [(String, ServiceJSON)] {
    [
      ("record", .optional(record)), ("field", .optional(field?.rawValue)), ("byte", .number(position)),
      ("bodyByte", .optional(bodyPosition)),
    ]
  }
}

extension Response {
  init(_ answer: Answer, to request: ServiceContext) {
    var fields = HTTPFields()
    fields[.contentType] = answer.contentType
    fields[.cacheControl] = "no-store"
    fields[.xContentTypeOptions] = "nosniff"
    for (name, value) in answer.headers {
      if let name = HTTPField.Name(name) { fields[name] = value }
    }
    if let name = HTTPField.Name("X-Request-Id") { fields[name] = request.id }
    self.init(
      status: .init(code: answer.status), headers: fields,
      body: ResponseBody(byteBuffer: ByteBuffer(string: answer.body)))
    if answer.endsConnection { end(request) }
  }

  /// Lets nothing else come over the connection: what is left of the request's body would otherwise be read to its end, however long
  /// that is. In HTTP/2 this is about one stream of the connection, and the field is not allowed (RFC 9113, 8.2.2).
  private mutating func end(_ request: ServiceContext) {
    if !request.isStream { headers[.connection] = "close" }
    let channel = request.channel
    afterwards { [isStream = request.isStream] in
      if isStream { return channel.close(mode: .all, promise: nil) }
      LingeringClose.close(channel)
    }
  }

  /// The same, and then nothing else comes over the connection.
  func ending(_ context: ServiceContext) -> Response {
    var response = self
    response.end(context)
    return response
  }

  /// The same for a request whose body nobody looked at, if it has one.
  func withoutBody(of request: Request, _ context: ServiceContext) -> Response {
    var response = self
    guard context.isStream else {
      if request.hasBody { response.end(context) }
      return response
    }
    // A body in HTTP/2 need not be announced. The answer may be long, and its last pieces wait to be taken: closed now, the stream
    // would lose them.
    let channel = context.channel
    response.afterwards { [weak channel] in
      channel?.eventLoop.scheduleTask(in: ServiceContext.writeTime) { channel?.close(mode: .all, promise: nil) }
    }
    return response
  }

  private mutating func afterwards(_ action: @escaping @Sendable () -> Void) {
    let body = body
    self.body = ResponseBody(contentLength: body.contentLength) { writer in
      try await body.write(writer)
      action()
    }
  }
}
