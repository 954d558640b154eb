import HTTPTypes
import Hummingbird
import Synchronization
import Tracing

/// Makes a span of every request, from its head to the last byte of its answer, named and described by the conventions of
/// OpenTelemetry for HTTP servers.
///
/// The caller's own trace goes on in it: what the tracer asks of the request's head (`traceparent` and `tracestate`, as W3C Trace Context
/// has them, or whatever else it knows) is handed to it. `penstock.request.id` is what the answer's `X-Request-Id` says.
struct RequestTracing: Sendable {
  private let tracer: any Tracer

  /// Nil for a tracer that does nothing: then a request costs a look at an optional.
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
    // What a client does wrong is no error of the server's.
    if status >= 500 { span.setStatus(SpanStatus(code: .error)) }
    let body = response.body
    response.body = ResponseBody(contentLength: body.contentLength) { writer in
      defer { open.end() }
      try await body.write(writer)
    }
    return response
  }
}

/// A span that ends when its answer is written, or when the answer is let go of unwritten.
private final class OpenSpan: Sendable {
  private let span: any Span
  private let isEnded = Atomic(false)

  init(_ span: any Span) { self.span = span }
  deinit { end() }

  func end() {
    if !isEnded.exchange(true, ordering: .relaxed) { span.end() }
  }
}

/// Fields of a request's head by their names, in any case; several of one name are joined (RFC 9110, 5.3).
struct HeadExtractor: Extractor {
  func extract(key: String, from head: HTTPFields) -> String? { HTTPField.Name(key).flatMap { head[$0] } }
}
