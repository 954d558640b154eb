/// `/openapi.json`: made from the table of routes, so that none is missing; what each takes and gives is said here. A test sends
/// requests made from it (`Tests/EndToEnd/test_openapi.py`), and finds what is not true.
enum OpenAPI {
  static let document: String = ServiceJSON.object([
    ("openapi", .string("3.1.0")),
    (
      "info",
      .object([
        ("title", .string("Penstock")), ("version", .string("1")),
        (
          "description",
          .string(
            "A durable event log that feeds webhooks and S3. Errors have one form; see the schema Error. "
              + "HEAD is answered wherever GET is."
          )
        ),
      ])
    ),
    ("paths", .object(paths)),
    (
      "components",
      .object([
        ("securitySchemes", .raw(#"{"key":{"type":"http","scheme":"bearer"}}"#)),
        ("schemas", .object(OpenAPISchemas.all)),
      ])
    ),
  ]).text

  private static var paths: [(String, ServiceJSON)] {
    var order: [String] = []
    var operations: [String: [(String, ServiceJSON)]] = [:]
    for route in Route.allCases where route.isDescribed {
      if operations[route.pattern] == nil { order.append(route.pattern) }
      operations[route.pattern, default: []].append((route.method.rawValue.lowercased(), operation(route)))
    }
    return order.map { ($0, .object(operations[$0] ?? [])) }
  }

  private static func operation(_ route: Route) -> ServiceJSON {
    let said = OpenAPIOperation.of(route)
    var parameters = said.parameters
    for name in ["name", "id"] where route.pattern.contains("{\(name)}") {
      let schema = route == .getDeadLetter && name == "id" ? "Number" : "Name"
      parameters.append(
        .raw(
          ##"{"name":"\##(name)","in":"path","required":true,"schema":{"$ref":"#/components/schemas/\##(schema)"}}"##))
    }
    var members: [(String, ServiceJSON)] = [
      ("operationId", .string(route.rawValue)), ("summary", .string(said.summary)),
    ]
    if !parameters.isEmpty { members.append(("parameters", .array(parameters))) }
    if let body = said.body { members.append(("requestBody", .raw(body))) }
    if !AccessTable.isOpen(route) { members.append(("security", .raw(#"[{"key":[]}]"#))) }
    let done = [(said.status, said.schema)] + (said.other.map { [($0.status, $0.schema)] } ?? [])
    var responses = done.map { status, schema -> (String, ServiceJSON) in
      let content =
        schema.map { ##"{"application/json":{"schema":{"$ref":"#/components/schemas/\##($0)"}}}"## }
        ?? #"{"\#(said.contentType)":{"schema":{"type":"string"}}}"#
      return (String(status), .raw(#"{"description":"done","content":\#(content)}"#))
    }
    for range in ["4XX", "5XX"] {
      responses.append(
        (
          range,
          .raw(
            ##"{"description":"not done","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}}"##
          )
        ))
    }
    // Answered as unable, and as able, in the same form.
    if route == .readiness {
      responses.insert(
        (
          "503",
          .raw(
            ##"{"description":"not ready","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Readiness"}}}}"##
          )
        ),
        at: 1)
    }
    members.append(("responses", .object(responses)))
    return .object(members)
  }
}

extension Route {
  /// Whether it is for programs; the console's files are for browsers.
  var isDescribed: Bool { self != .console && self != .consoleFile }
}

/// What one operation takes and gives.
struct OpenAPIOperation {
  var summary: String
  var parameters: [ServiceJSON] = []
  var body: String?
  var status = 200
  /// What else it may be answered with when it is done, as a dry run is.
  var other: (status: Int, schema: String)?
  /// Nil: it is answered with text of `contentType`.
  var schema: String?
  var contentType = "application/json"

  static func of(_ route: Route) -> OpenAPIOperation {
    switch route {
    case .postEvents: appending
    case .getEvents:
      OpenAPIOperation(
        summary:
          "Records as NDJSON, one line each, byte for byte as they were sent unless they hold a line break; "
          + "what is no JSON as recordText or recordBase64.",
        parameters: [
          query("from", place), query("to", place), query("limit", number(1, 100_000)),
          query("untimed", #"{"enum":["skip","include","append-time"]}"#),
          query("page", #"{"type":"integer","minimum":0}"#),
        ],
        contentType: "application/x-ndjson")
    case .getProducer: OpenAPIOperation(summary: "How far a producer came.", schema: "Producer")
    case .getStatus: OpenAPIOperation(summary: "The log, ingest and every destination.", schema: "Status")
    case .getStatusStream:
      OpenAPIOperation(
        summary:
          "The status as server-sent events named status, one a second, until the service ends or an hour is over.",
        contentType: "text/event-stream")
    case .getStatusHistory:
      OpenAPIOperation(summary: "Where everything stood in the last quarter of an hour.", schema: "History")
    case .getSegments:
      OpenAPIOperation(
        summary: "The newest segments, newest first, and how far they are compressed.",
        parameters: [query("limit", number(1, 200))], schema: "Segments")
    case .getSettings:
      OpenAPIOperation(
        summary: "What the service is configured to do, without secrets, and when a change is taken up.",
        schema: "Settings")
    case .getDestinations: OpenAPIOperation(summary: "Every destination.", schema: "Destinations")
    case .getAttempts: OpenAPIOperation(summary: "The newest attempts, newest first.", schema: "Attempts")
    case .getDeadLetters:
      OpenAPIOperation(
        summary: "Records the destination refused.",
        parameters: [query("from", number(0, Int.max)), query("limit", number(1, 1000))], schema: "DeadLetters")
    case .getDeadLetter: OpenAPIOperation(summary: "One of them, by its number.", schema: "DeadLetter")
    case .redeliver:
      OpenAPIOperation(
        summary: "Delivers dead letters again: those that are left, all, or one; or says how many those are.",
        body: body(##"{"$ref":"#/components/schemas/Redeliver"}"##, isRequired: false), status: 202,
        other: (200, "Redelivering"), schema: "Redelivering")
    case .pause:
      OpenAPIOperation(
        summary: "Begins no batch from now on, over restarts as well.",
        body: body(#"{"type":"object","properties":{"reason":{"type":["string","null"]}}}"#, isRequired: false),
        schema: "Destination")
    case .resume: OpenAPIOperation(summary: "Ends a pause, whoever put it on.", schema: "Destination")
    case .retry: OpenAPIOperation(summary: "Ends a wait after trouble: tries now.", schema: "Destination")
    case .seek:
      OpenAPIOperation(
        summary: "Puts the cursor anywhere in the log, and says where it stood.",
        body: body(#"{"type":"object","required":["to"],"properties":{"to":{"type":"string"}}}"#), schema: "Sought")
    case .getReplays: OpenAPIOperation(summary: "Every replay that is kept.", schema: "Replays")
    case .postReplay: replaying
    case .getReplay: OpenAPIOperation(summary: "How far a replay is.", schema: "Replay")
    case .deleteReplay: OpenAPIOperation(summary: "Stops a replay and forgets it.", schema: "Ended")
    case .getMe: OpenAPIOperation(summary: "Whose key this is, and what it may do.", schema: "Me")
    case .getKeys: OpenAPIOperation(summary: "Every key, without what proves it.", schema: "Keys")
    case .postKey:
      OpenAPIOperation(
        summary: "Makes a key. Its token is shown this once.",
        body: body(##"{"$ref":"#/components/schemas/NewKey"}"##), status: 201, schema: "Token")
    case .rotateKey:
      OpenAPIOperation(
        summary: "Gives a key another secret.",
        body: body(
          #"{"type":"object","properties":{"graceSeconds":{"type":"integer","minimum":0,"maximum":2592000}}}"#,
          isRequired: false),
        schema: "Token")
    case .deleteKey: OpenAPIOperation(summary: "Revokes a key.", schema: "Ended")
    case .metrics: OpenAPIOperation(summary: "Metrics for Prometheus.", contentType: "text/plain")
    case .health: OpenAPIOperation(summary: "Whether the process answers.", schema: "Health")
    case .readiness: OpenAPIOperation(summary: "Whether it takes events.", schema: "Readiness")
    case .openAPI: OpenAPIOperation(summary: "This document.", schema: "Document")
    case .console, .consoleFile: OpenAPIOperation(summary: "The console.", contentType: "text/html")
    }
  }

  private static let place = #"{"type":"string","maxLength":48}"#
  private static func number(_ low: Int, _ high: Int) -> String {
    #"{"type":"integer","minimum":\#(low),"maximum":\#(high)}"#
  }

  private static func query(_ name: String, _ schema: String) -> ServiceJSON {
    .raw(#"{"name":"\#(name)","in":"query","schema":\#(schema)}"#)
  }

  private static func header(_ name: String, _ schema: String) -> ServiceJSON {
    .raw(#"{"name":"\#(name)","in":"header","schema":\#(schema)}"#)
  }

  private static func body(_ schema: String, isRequired: Bool = true) -> String {
    #"{"required":\#(isRequired),"content":{"application/json":{"schema":\#(schema)}}}"#
  }

  private static var appending: OpenAPIOperation {
    OpenAPIOperation(
      summary: "Appends events. Answered when they are on stable storage.",
      parameters: [
        query("onError", #"{"type":"string","enum":["reject","skip"]}"#),
        header("Idempotency-Key", #"{"type":"string","minLength":1,"maxLength":255,"pattern":"^[!-~]+$"}"#),
        header("Penstock-Producer", ##"{"$ref":"#/components/schemas/Name"}"##),
        header("Penstock-Sequence", number(1, Int.max)), header("Penstock-Resume-After", number(0, Int.max)),
      ],
      body:
        ##"{"required":true,"content":{"application/json":{"schema":{"oneOf":[{"$ref":"#/components/schemas/Event"},{"type":"array","items":{"$ref":"#/components/schemas/Event"}}]}},"application/x-ndjson":{"schema":{"type":"string"}}}}"##,
      schema: "Appended")
  }

  private static var replaying: OpenAPIOperation {
    OpenAPIOperation(
      summary: "Delivers a window of the log once more, or says what that would be.",
      body: body(##"{"$ref":"#/components/schemas/NewReplay"}"##), status: 202,
      other: (200, "ReplayEstimate"), schema: "ReplayBegun")
  }
}
