import Hummingbird
import Logging
import PenstockLog
import Synchronization

/// From a request to its answer: finds the route, asks the gate, notes what is to be noted, and calls whoever does it.
struct ServiceRouter: Sendable {
  let gate: Gate
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
    let asked: Asked
    switch Route.match(request.method.rawValue, request.uri.path) {
    case .none: return Response(Answer.failure(404, "not_found", "there is nothing here").ending(request), to: context)
    case .otherMethods(let methods):
      let allowed = methods.map(\.rawValue).joined(separator: ", ")
      let answer = Answer.failure(405, "method_not_allowed", "this takes \(allowed)").with("Allow", allowed)
      return Response(answer.ending(request), to: context)
    case .route(let route, let name, let item): asked = Asked(route: route, name: name, item: item)
    }
    switch gate.check(request, asked.route) {
    case .refused(let answer, let key):
      metrics.noteRefusal(status: answer.status)
      if let key { await note(key, asked, outcome: "forbidden", status: answer.status) }
      return Response(answer.ending(request), to: context)
    case .open(let key, let appID):
      if let response = await respond(asked, request, key, appID, context) { return response }
      if asked.route.isChange { return Response(await change(asked, request, appID, key), to: context) }
      return Response(await answer(asked, request, appID, key), to: context)
    }
  }

  /// What is more than an ``Answer``.
  private func respond(
    _ asked: Asked, _ request: Request, _ key: APIKey?, _ appID: String?, _ context: ServiceContext
  ) async -> Response? {
    switch asked.route {
    case .getEvents: await admin.events(request, appID: appID, context: context)
    case .getStatusStream: feed.response(context) { [gate] in gate.admits(key, with: request) }
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
    _ asked: Asked, _ request: Request, _ appID: String?, _ key: APIKey?
  ) async -> Answer {
    let name = asked.name
    return switch asked.route {
    case .postEvents: await ingest.respond(to: request, appID: appID, key: key)
    case .getProducer: await ingest.producer(name, appID: appID)
    case .getStatus: await admin.status()
    case .getStatusHistory: Answer(200, feed.history.json)
    case .getSegments: admin.segments(request)
    case .getSettings: admin.settings()
    case .getDestinations: await admin.destinations()
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
  private func change(_ asked: Asked, _ request: Request, _ appID: String?, _ key: APIKey?) async -> Answer {
    var request = request
    let body: [UInt8]
    do throws(SmallBody.Refusal) { body = try await SmallBody.read(request) } catch { return error.answer }
    let detail = ServiceJSON.string(String(decoding: body.prefix(1024), as: UTF8.self))
    do throws(LogError) {
      try await audit.note(
        key, asked.route.rawValue, target: asked.name, outcome: "asked", detail: body.isEmpty ? [] : [("body", detail)])
    } catch {
      logger.error("the audit log cannot be written", metadata: ["error": "\(error)"])
      return .later(503, "not_audited", "the change could not be noted, and was not made", after: 10)
    }
    request.body = RequestBody(buffer: ByteBuffer(bytes: body))
    let answer = await answer(asked, request, appID, key)
    await note(key, asked, outcome: answer.status < 300 ? "done" : "refused", status: answer.status)
    return answer
  }

  private func note(_ key: APIKey?, _ asked: Asked, outcome: String, status: Int) async {
    do throws(LogError) {
      try await audit.note(
        key, asked.route.rawValue, target: asked.name, outcome: outcome, detail: [("status", .number(status))])
    } catch {
      logger.error("the audit log cannot be written", metadata: ["error": "\(error)"])
    }
  }
}

extension Route {
  /// Whether it changes anything but the log's end.
  var isChange: Bool { method != .get && self != .postEvents }
}

extension Answer {
  /// An answer that was given without a look at the body; where there is one, it is not read any more.
  func ending(_ request: Request) -> Answer {
    let hasBody = request.headers[.contentLength].map { $0 != "0" } ?? (request.headers[.transferEncoding] != nil)
    return hasBody ? ending : self
  }
}
