import Hummingbird
import Logging
import PenstockLog
import Synchronization

/// From a request to its answer: finds the route, asks the gate, notes what is to be noted, and calls whoever does it.
struct ServiceRouter: Sendable {
  let gate: Authorizer
  let ingest: Ingest
  let admin: AdminAPI
  let keys: KeysAPI?
  let audit: AuditLog
  let metrics: ServiceMetrics
  let feed: StatusFeed
  /// Nil: nobody traces.
  let tracing: RequestTracing?
  let logger: Logger

  /// A route with the names in its path.
  private struct Asked {
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
      let words = "a request names one host, as name, name:port or [address]:port"
      return refusal(.failure(400, "bad_request", words), request, context)
    }
    if request.expectsTheUnknown {
      return refusal(.failure(417, "expectation_failed", "Expect is 100-continue"), request, context)
    }
    let asked: Asked
    switch Route.match(request.method.rawValue, request.uri.path) {
    case .none: return refusal(.failure(404, "not_found", "there is nothing here"), request, context)
    case .otherMethods(let methods):
      let allowed = methods.flatMap { $0 == .get ? [$0.rawValue, "HEAD"] : [$0.rawValue] }.joined(separator: ", ")
      let answer = Answer.failure(405, "method_not_allowed", "this takes \(allowed)").with("Allow", allowed)
      return refusal(answer, request, context)
    case .route(let route, let name, let item): asked = Asked(route: route, name: name, item: item)
    }
    switch gate.check(request, asked.route) {
    case .refused(let answer, let key):
      metrics.noteRefusal(status: answer.status)
      if let key {
        await audit.noteRefusal(
          of: key, asked.route, target: asked.name, request: context.id, status: answer.status, logger)
      }
      return refusal(answer, request, context)
    case .open(let key, let appID):
      if asked.route.isChange { return Response(await change(asked, request, appID, key, context), to: context) }
      let response =
        if let response = await respond(asked, request, key, appID, context) {
          response
        } else {
          Response(told(await answer(asked, request, appID, key, context), asked, context), to: context)
        }
      guard asked.route.method == .get else { return response }
      return response.withoutContent(for: request).withoutBody(of: request, context)
    }
  }

  /// Why it cannot be done is for whoever runs the service, and not for who asks.
  private func told(_ answer: Answer, _ asked: Asked, _ context: ServiceContext) -> Answer {
    guard answer.status == 500 else { return answer }
    var metadata: Logger.Metadata = ["requestId": "\(context.id)", "route": "\(asked.route.rawValue)"]
    if let trouble = answer.trouble { metadata["error"] = "\(trouble)" }
    logger.error("a request could not be answered", metadata: metadata)
    return answer
  }

  /// Given without a look at the body.
  private func refusal(_ answer: Answer, _ request: Request, _ context: ServiceContext) -> Response {
    let response = Response(answer, to: context).withoutContent(for: request)
    // Short, so that a stream can be closed behind it.
    return request.hasBody ? response.ending(context) : response.withoutBody(of: request, context)
  }

  /// What is more than an ``Answer``.
  private func respond(
    _ asked: Asked, _ request: Request, _ key: APIKey?, _ appID: String?, _ context: ServiceContext
  ) async -> Response? {
    switch asked.route {
    case .getEvents: await admin.events(request, appID: appID, context: context)
    case .getStatusStream:
      feed.response(context, for: RedactionScope(key)) { [gate] in gate.authorizes(key, with: request) }
    case .console: ConsoleFiles.shared.response(to: request, name: "index.html", context)
    case .consoleFile: ConsoleFiles.shared.response(to: request, name: asked.name, context)
    case .getMe: Response(me(key), to: context)
    case .metrics: Response(await metrics.answer(admin), to: context)
    default: nil
    }
  }

  /// Who asks. Without keys everybody may do everything.
  private func me(_ key: APIKey?) -> Answer {
    let role = key?.role ?? .companyAdmin
    return Answer(
      200,
      .object([
        ("needsKey", .bool(gate.keys != nil)), ("id", .optional(key?.id)), ("name", .optional(key?.name)),
        ("role", .string(role.rawValue)), ("appId", .optional(key?.appID)),
      ]))
  }

  private func answer(
    _ asked: Asked, _ request: Request, _ appID: String?, _ key: APIKey?, _ context: ServiceContext
  ) async -> Answer {
    let name = asked.name
    return switch asked.route {
    case .postEvents: await ingest.respond(to: request, appID: appID, key: key) { context.askForBody(of: request) }
    case .getProducer: await ingest.producer(name, appID: appID)
    case .getStatus: await admin.status(for: RedactionScope(key))
    case .getStatusHistory: Answer(200, feed.history.json)
    case .getSegments: admin.segments(request)
    case .getSettings: admin.settings()
    case .getDestinations: await admin.destinations(for: RedactionScope(key))
    case .getAttempts: admin.attempts(name)
    case .getDeadLetters: await admin.deadLetters(name, request)
    case .getDeadLetter: await admin.deadLetter(asked.item, of: name)
    case .pause, .resume, .retry, .seek: await admin.change(asked.route, name, request)
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
    case .getEvents, .getStatusStream, .getMe, .metrics, .console, .consoleFile: AdminAPI.noSuch("answer here")
    }
  }

  /// Whether events are taken: not while the service ends, nor after the log has failed, nor while idempotency keys cannot be
  /// kept.
  private var readiness: Answer {
    let why = admin.whyNotReady
    return Answer(
      why == nil ? 200 : 503,
      .object([("status", .string(why == nil ? "ready" : "not ready")), ("why", .optional(why))]))
  }

  private static let noKeys = Answer.failure(409, "conflict", "this service has no keysFile, so nobody needs a key")

  /// Notes a change and what it was asked with before it is made, and afterwards what became of it. One that cannot be noted is
  /// not made.
  private func change(
    _ asked: Asked, _ request: Request, _ appID: String?, _ key: APIKey?, _ context: ServiceContext
  ) async -> Answer {
    var request = request
    let body: [UInt8]
    context.askForBody(of: request)
    do throws(SmallBody.Refusal) {
      body = try await SmallBody.read(request, within: ingest.currentLimits.bodyTimeout)
    } catch { return error.answer }
    let detail = ServiceJSON.string(String(decoding: body.prefix(1024), as: UTF8.self))
    do throws(LogError) {
      try await audit.note(
        key, asked.route.rawValue, target: asked.name, request: context.id, outcome: "asked",
        detail: body.isEmpty ? [] : [("body", detail)])
    } catch {
      notAudited(error, context)
      return .later(503, "not_audited", "the change could not be noted, and was not made", after: 10)
    }
    request.body = RequestBody(buffer: ByteBuffer(bytes: body))
    let answer = await RequestID.$current.withValue(context.id) {
      told(await self.answer(asked, request, appID, key, context), asked, context)
    }
    await note(key, asked, context, outcome: answer.status < 300 ? "done" : "refused", status: answer.status)
    return answer
  }

  private func note(
    _ key: APIKey?, _ asked: Asked, _ context: ServiceContext, outcome: String, status: Int
  ) async {
    do throws(LogError) {
      try await audit.note(
        key, asked.route.rawValue, target: asked.name, request: context.id, outcome: outcome,
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
  /// Whether it changes anything but the log's end.
  var isChange: Bool { method != .get && self != .postEvents }
}

extension Request {
  /// Whether it says that a body follows. In HTTP/2 one may follow unsaid.
  var hasBody: Bool { headers[.contentLength].map { $0 != "0" } ?? (headers[.transferEncoding] != nil) }
}
