import HTTPTypes
import Hummingbird
import NIOCore
import PenstockEvents
import PenstockLog
import PenstockSupport

/// An HTTP answer: a status, and JSON unless `contentType` differs. Errors have the form
/// `{"error":{"code":…,"message":…}}`, some with more members.
struct Answer: Sendable {
  var status: Int
  var body: String
  var contentType = "application/json"
  var headers: [(String, String)] = []
  /// Whether the connection must close, because the request's body was not read completely.
  var endsConnection = false
  /// The cause, for the service's log only; clients do not receive it.
  var trouble: String?

  init(_ status: Int, _ body: String) {
    self.status = status
    self.body = body
  }

  /// Ends in a line feed, for clients that print it to a terminal.
  init(_ status: Int, _ json: OrderedJSON) { self.init(status, json.text + "\n") }

  static func failure(
    _ status: Int, _ code: String, _ message: String, _ more: [(String, OrderedJSON)] = []
  ) -> Answer {
    Answer(status, .object([("error", .object([("code", .string(code)), ("message", .string(message))] + more))]))
  }

  func with(_ name: String, _ value: String) -> Answer {
    var answer = self
    answer.headers.append((name, value))
    return answer
  }

  /// A failure that asks the client to send the request again after some seconds.
  static func later(_ status: Int, _ code: String, _ message: String, after seconds: Int = 1) -> Answer {
    failure(status, code, message).with("Retry-After", String(seconds))
  }
}

extension Answer {
  /// An error in a body: the record, the field, and the byte of the record and of the body.
  init(_ error: EventError) {
    let status =
      switch error.code {
      case .bodyTooLong, .recordTooLong, .tooManyRecords: 413
      case .foreignApp: 403
      default: 400
      }
    self = .failure(status, error.code.rawValue, error.description, error.members)
  }

  /// The answer to an error of the log.
  init(_ error: LogError) {
    let code = error.code.description
    switch error.code {
    case .overloaded: self = .later(429, code, "the log's queue is full; send it again")
    case .noSpace where (error.cause as? FileSystemError)?.code == .tooManyOpenFiles:
      self = .later(503, code, "the service has too many files open; nothing was written", after: 10)
    case .noSpace: self = .later(503, code, "the log's disk is full; nothing was written", after: 30)
    case .poisoned, .closed, .cancelled, .locked:
      self = .later(503, code, "the log cannot write now; it is not known whether this was written", after: 10)
    case .recordTooLarge, .batchTooLarge: self = .failure(413, code, error.message)
    case .outOfSequence, .fenced, .unknownProducer, .illegalMove, .cursorHeld: self = .failure(409, code, error.message)
    case .tooManyProducers: self = .later(503, code, error.message, after: 30)
    case .invalidName, .sourceTooLarge: self = .failure(400, code, error.message)
    case .unknownCursor: self = .failure(404, code, error.message)
    case .outOfRange, .gap: self = .failure(410, code, error.message)
    default:
      self = .failure(500, code, "the log failed; the service's log has the cause")
      trouble = "\(error)"
    }
  }
}

extension EventError {
  /// The position of the error, as members of an answer.
  var members: [(String, OrderedJSON)] {
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

  /// Closes the connection after this answer, because the server would otherwise read the rest of the request's body,
  /// however long it is. HTTP/2 closes only the stream, and forbids the `Connection` field (RFC 9113, 8.2.2).
  private mutating func end(_ request: ServiceContext) {
    if !request.isStream { headers[.connection] = "close" }
    let channel = request.channel
    afterwards { [isStream = request.isStream] in
      if isStream { return channel.close(mode: .all, promise: nil) }
      LingeringClose.close(channel)
    }
  }

  /// The same answer; the connection closes after it.
  func ending(_ context: ServiceContext) -> Response {
    var response = self
    response.end(context)
    return response
  }

  /// The same answer, for a request whose body, if any, was not read.
  func withoutBody(of request: Request, _ context: ServiceContext) -> Response {
    var response = self
    guard context.isStream else {
      if request.hasBody { response.end(context) }
      return response
    }
    // An HTTP/2 request may have a body without announcing it. Closing now would lose the last pieces of a long answer,
    // which may still wait for the client.
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
