import HTTPTypes
import Hummingbird
import NIOCore

extension StatusFeed {
  /// `GET /v1/status/stream`.
  ///
  /// - Parameters:
  ///   - audience: Whom it is shown to.
  ///   - isAllowed: Asked before each look: a key may be revoked meanwhile.
  func response(
    _ context: ServiceContext, for audience: RedactionScope, whileAllowed isAllowed: @escaping @Sendable () -> Bool
  ) -> Response {
    guard !isEnded else {
      return Response(.later(503, "ending", "the service is being shut down", after: 5), to: context)
    }
    guard let seat = take() else {
      return Response(.later(503, "too_many_streams", "all places to watch from are taken", after: 5), to: context)
    }
    var answer = Response(Answer(200, ""), to: context)
    answer.headers[.contentType] = "text/event-stream"
    // nginx would otherwise gather looks before it passes them on.
    if let name = HTTPField.Name("X-Accel-Buffering") { answer.headers[name] = "no" }
    answer.body = ResponseBody { [self] writer in
      defer { withExtendedLifetime(seat) {} }
      try await stream(for: audience, whileAllowed: isAllowed) {
        try await context.write(ByteBuffer(string: $0), to: &writer)
      }
      try await writer.finish(nil)
    }
    return answer
  }
}
