import Hummingbird
import Logging
import PenstockLog
import PenstockSupport
import Synchronization

/// Answers requests: finds the route, checks the rights, records changes in the audit log, and calls the handler.
struct ServiceRouter: Sendable {
  let authorizer: Authorizer
  let ingest: Ingest
  let admin: AdminAPI
  let keys: KeysAPI?
  let audit: AuditLog
  let metrics: ServiceMetrics
  let feed: StatusFeed
  /// Nil: requests are not traced.
  let tracing: RequestTracing?
  let logger: Logger

  /// A route with the names in the request's path.
  private struct MatchedRoute {
    var route: Route
    var name: String
    var item: String
  }

  func respond(to request: Request, _ context: ServiceContext) async -> Response {
    let response =
      if let tracing {
        await tracing.span(of: request, id: context.id) { await route(request, context) }
      } else {
        await route(request, context)
      }
    metrics.note(status: response.status.code)
    return response
  }

  private func route(_ request: Request, _ context: ServiceContext) async -> Response {
    guard RequestHost.isSound(request.head) else {
      let message = "a request must name exactly one host, as name, name:port or [address]:port"
      return refusal(.failure(400, "bad_request", message), request, context)
    }
    if request.expectsTheUnknown {
      return refusal(.failure(417, "expectation_failed", "Expect must be 100-continue"), request, context)
    }
    let matched: MatchedRoute
    switch Route.match(request.method.rawValue, request.uri.path) {
    case .none: return refusal(.failure(404, "not_found", "there is no such path"), request, context)
    case .otherMethods(let methods):
      let allowed = methods.flatMap { $0 == .get ? [$0.rawValue, "HEAD"] : [$0.rawValue] }.joined(separator: ", ")
      let answer = Answer.failure(405, "method_not_allowed", "this path accepts \(allowed)").with("Allow", allowed)
      return refusal(answer, request, context)
    case .route(let route, let name, let item): matched = MatchedRoute(route: route, name: name, item: item)
    }
    switch authorizer.check(request, matched.route) {
    case .refused(let answer, let key):
      metrics.noteRefusal(status: answer.status)
      if let key {
        await audit.noteRefusal(
          of: key, matched.route, target: matched.name, request: context.id, status: answer.status, logger)
      }
      return refusal(answer, request, context)
    case .open(let key, let appID):
      if matched.route.isChange { return Response(await change(matched, request, appID, key, context), to: context) }
      let response =
        if let response = await respond(matched, request, key, appID, context) {
          response
        } else {
          Response(logFailure(await answer(matched, request, appID, key, context), matched, context), to: context)
        }
      guard matched.route.method == .get else { return response }
      return response.withoutContent(for: request).withoutBody(of: request, context)
    }
  }

  /// Logs the cause of a failure, because the answer does not reveal it to the client.
  private func logFailure(_ answer: Answer, _ matched: MatchedRoute, _ context: ServiceContext) -> Answer {
    guard answer.status == 500 else { return answer }
    var metadata: Logger.Metadata = ["requestId": "\(context.id)", "route": "\(matched.route.rawValue)"]
    if let trouble = answer.trouble { metadata["error"] = "\(trouble)" }
    logger.error("a request failed", metadata: metadata)
    return answer
  }

  /// The answer to a request whose body is not read.
  private func refusal(_ answer: Answer, _ request: Request, _ context: ServiceContext) -> Response {
    let response = Response(answer, to: context).withoutContent(for: request)
    // The answer is short, so an HTTP/2 stream can close directly after it.
    return request.hasBody ? response.ending(context) : response.withoutBody(of: request, context)
  }

  /// Handles the routes whose answers are streams, files or need the key.
  private func respond(
    _ matched: MatchedRoute, _ request: Request, _ key: APIKey?, _ appID: String?, _ context: ServiceContext
  ) async -> Response? {
    switch matched.route {
    case .getEvents: await admin.events(request, appID: appID, context: context)
    case .getStatusStream:
      feed.response(context, for: RedactionScope(key)) { [authorizer] in authorizer.authorizes(key, with: request) }
    case .console: ConsoleFiles.shared.response(to: request, name: "index.html", context)
    case .consoleFile: ConsoleFiles.shared.response(to: request, name: matched.name, context)
    case .getMe: Response(me(key), to: context)
    case .metrics: Response(await metrics.answer(admin), to: context)
    default: nil
    }
  }

  /// The key of the request. Without API keys every client has all rights.
  private func me(_ key: APIKey?) -> Answer {
    let role = key?.role ?? .companyAdmin
    return Answer(
      200,
      .object([
        ("needsKey", .bool(authorizer.keys != nil)), ("id", .optional(key?.id)), ("name", .optional(key?.name)),
        ("role", .string(role.rawValue)), ("appId", .optional(key?.appID)),
      ]))
  }

  private func answer(
    _ matched: MatchedRoute, _ request: Request, _ appID: String?, _ key: APIKey?, _ context: ServiceContext
  ) async -> Answer {
    let name = matched.name
    return switch matched.route {
    case .postEvents: await ingest.respond(to: request, appID: appID, key: key) { context.askForBody(of: request) }
    case .getProducer: await ingest.producer(name, appID: appID)
    case .getStatus: await admin.status(for: RedactionScope(key))
    case .getStatusHistory: Answer(200, feed.history.json)
    case .getSegments: await admin.segments(request)
    case .getSettings: admin.settings()
    case .getDestinations: await admin.destinations(for: RedactionScope(key))
    case .getAttempts: await admin.attempts(name)
    case .getDeadLetters: await admin.deadLetters(name, request)
    case .getDeadLetter: await admin.deadLetter(matched.item, of: name)
    case .pause, .resume, .retry, .seek: await admin.change(matched.route, name, request)
    case .redeliver: await admin.redeliver(name, request)
    case .getReplays: await admin.listReplays()
    case .postReplay: await admin.startReplay(request)
    case .getReplay: await admin.replay(name)
    case .deleteReplay: await admin.discardReplay(name)
    case .getKeys: keys?.list(appID: appID) ?? Self.noKeys
    case .postKey: await keys?.create(request, appID: appID) ?? Self.noKeys
    case .rotateKey: await keys?.rotate(name, request, appID: appID) ?? Self.noKeys
    case .deleteKey: await keys?.revoke(name, appID: appID) ?? Self.noKeys
    case .health: Answer(200, .object([("status", .string("ok"))]))
    case .readiness: readiness
    case .openAPI: Answer(200, OpenAPI.document)
    case .getEvents, .getStatusStream, .getMe, .metrics, .console, .consoleFile: AdminAPI.noSuch("path")
    }
  }

  /// Whether the service accepts events; see ``AdminAPI/whyNotReady``.
  private var readiness: Answer {
    let why = admin.whyNotReady
    return Answer(
      why == nil ? 200 : 503,
      .object([("status", .string(why == nil ? "ready" : "not ready")), ("why", .optional(why))]))
  }

  private static let noKeys = Answer.failure(409, "conflict", "this service has no keysFile, so requests need no key")

  /// Makes a change. The audit log records the request before the change, and the result after it. A change that cannot
  /// be recorded is not made.
  private func change(
    _ matched: MatchedRoute, _ request: Request, _ appID: String?, _ key: APIKey?, _ context: ServiceContext
  ) async -> Answer {
    var request = request
    let body: [UInt8]
    context.askForBody(of: request)
    do throws(SmallBody.Refusal) {
      body = try await SmallBody.read(request, within: ingest.currentLimits.bodyTimeout)
    } catch { return error.answer }
    let detail = OrderedJSON.string(String(decoding: body.prefix(1024), as: UTF8.self))
    do throws(LogError) {
      try await audit.note(
        key, matched.route.rawValue, target: matched.name, request: context.id, outcome: "asked",
        detail: body.isEmpty ? [] : [("body", detail)])
    } catch {
      notAudited(error, context)
      return .later(503, "not_audited", "the audit log cannot be written, so the change was not made", after: 10)
    }
    request.body = RequestBody(buffer: ByteBuffer(bytes: body))
    let answer = await RequestID.$current.withValue(context.id) {
      logFailure(await self.answer(matched, request, appID, key, context), matched, context)
    }
    await note(key, matched, context, outcome: answer.status < 300 ? "done" : "refused", status: answer.status)
    return answer
  }

  private func note(
    _ key: APIKey?, _ matched: MatchedRoute, _ context: ServiceContext, outcome: String, status: Int
  ) async {
    do throws(LogError) {
      try await audit.note(
        key, matched.route.rawValue, target: matched.name, request: context.id, outcome: outcome,
        detail: [("status", .number(status))])
    } catch {
      notAudited(error, context)
    }
  }

  private func notAudited(_ error: LogError, _ context: ServiceContext) {
    logger.error("the audit log cannot be written", metadata: ["error": "\(error)", "requestId": "\(context.id)"])
  }
}

extension Route {
  /// Whether the audit log records the request. Appending events is not a change.
  var isChange: Bool { method != .get && self != .postEvents }
}

extension Request {
  /// Whether the request announces a body. An HTTP/2 request may have one without announcing it.
  var hasBody: Bool { headers[.contentLength].map { $0 != "0" } ?? (headers[.transferEncoding] != nil) }
}
