import HTTPTypes
import Hummingbird
import NIOCore

extension StatusFeed {
  /// `GET /v1/status/stream`.
  ///
  /// - Parameters:
  ///   - scope: How much the answer may reveal.
  ///   - isAllowed: Called before each snapshot, because an operator may revoke the key meanwhile.
  func response(
    _ context: ServiceContext, for scope: RedactionScope, whileAllowed isAllowed: @escaping @Sendable () -> Bool
  ) -> Response {
    guard !isEnded else {
      return Response(.later(503, "ending", "the service is being shut down", after: 5), to: context)
    }
    guard let seat = take() else {
      return Response(
        .later(503, "too_many_streams", "too many clients are watching the status", after: 5), to: context)
    }
    var answer = Response(Answer(200, ""), to: context)
    answer.headers[.contentType] = "text/event-stream"
    // Prevents that nginx buffers snapshots.
    if let name = HTTPField.Name("X-Accel-Buffering") { answer.headers[name] = "no" }
    answer.body = ResponseBody { [self] writer in
      defer { withExtendedLifetime(seat) {} }
      try await stream(for: scope, whileAllowed: isAllowed) {
        try await context.write(ByteBuffer(string: $0), to: &writer)
      }
      try await writer.finish(nil)
    }
    return answer
  }
}
