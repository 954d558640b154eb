import HTTPTypes
import Hummingbird
import Synchronization
import Tracing

/// Creates a span for every request, from its head to the last byte of its answer. Names and attributes follow the
/// OpenTelemetry conventions for HTTP servers.
///
/// It continues the client's trace: the tracer reads the fields it knows from the request's head, such as W3C
/// `traceparent` and `tracestate`. `penstock.request.id` is the answer's `X-Request-Id`.
struct RequestTracing: Sendable {
  private let tracer: any Tracer

  /// Nil for a tracer that does nothing, so that requests without tracing cost one nil check.
  init?(_ tracer: any Tracer) {
    if tracer is NoOpTracer { return nil }
    self.tracer = tracer
  }

  func span(of request: Request, id: String, _ answer: () async -> Response) async -> Response {
    var context = InstrumentationContext.current ?? .topLevel
    tracer.extract(request.headers, into: &context, using: HeadExtractor())
    let method = request.method.rawValue
    let route: String? =
      if case .route(let route, _, _) = Route.match(method, request.uri.path) { route.pattern } else { nil }
    let span = tracer.startSpan(route.map { "\(method) \($0)" } ?? method, context: context, ofKind: .server)
    span.updateAttributes { attributes in
      attributes["http.request.method"] = method
      attributes["http.route"] = route
      attributes["url.path"] = request.uri.path
      attributes["penstock.request.id"] = id
    }
    let open = OpenSpan(span)
    var response = await InstrumentationContext.$current.withValue(span.context) { await answer() }
    let status = Int(response.status.code)
    span.attributes["http.response.status_code"] = status
    // A client's mistake is not an error of the server.
    if status >= 500 { span.setStatus(SpanStatus(code: .error)) }
    let body = response.body
    response.body = ResponseBody(contentLength: body.contentLength) { writer in
      defer { open.end() }
      try await body.write(writer)
    }
    return response
  }
}

/// A span that ends when its answer is written, or when the unwritten answer is deallocated.
private final class OpenSpan: Sendable {
  private let span: any Span
  private let isEnded = Atomic(false)

  init(_ span: any Span) { self.span = span }
  deinit { end() }

  func end() {
    if !isEnded.exchange(true, ordering: .relaxed) { span.end() }
  }
}

/// Reads header fields by name, ignoring case; repeated fields are joined (RFC 9110, 5.3).
struct HeadExtractor: Extractor {
  func extract(key: String, from head: HTTPFields) -> String? { HTTPField.Name(key).flatMap { head[$0] } }
}
