import PenstockSupport

/// `/openapi.json`. The paths come from the table of routes, so that none is missing; this file adds parameters and
/// answers. `Tests/EndToEnd/test_openapi.py` sends requests that are generated from the document.
enum OpenAPI {
  static let document: String = OrderedJSON.object([
    ("openapi", .string("3.1.0")),
    (
      "info",
      .object([
        ("title", .string("Penstock")), ("version", .string("1")),
        (
          "description",
          .string(
            "A durable event log that feeds webhooks and S3. Every error has the form of the schema Error. "
              + "Every path that accepts GET accepts HEAD, too."
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

  private static var paths: [(String, OrderedJSON)] {
    var order: [String] = []
    var operations: [String: [(String, OrderedJSON)]] = [:]
    for route in Route.allCases where route.isDescribed {
      if operations[route.pattern] == nil { order.append(route.pattern) }
      operations[route.pattern, default: []].append((route.method.rawValue.lowercased(), operation(route)))
    }
    return order.map { ($0, .object(operations[$0] ?? [])) }
  }

  private static func operation(_ route: Route) -> OrderedJSON {
    let description = OpenAPIOperation.of(route)
    var parameters = description.parameters
    for name in ["name", "id"] where route.pattern.contains("{\(name)}") {
      let schema = route == .getDeadLetter && name == "id" ? "Number" : "Name"
      parameters.append(
        .raw(
          ##"{"name":"\##(name)","in":"path","required":true,"schema":{"$ref":"#/components/schemas/\##(schema)"}}"##))
    }
    var members: [(String, OrderedJSON)] = [
      ("operationId", .string(route.rawValue)), ("summary", .string(description.summary)),
    ]
    if !parameters.isEmpty { members.append(("parameters", .array(parameters))) }
    if let body = description.body { members.append(("requestBody", .raw(body))) }
    if !AccessTable.isOpen(route) { members.append(("security", .raw(#"[{"key":[]}]"#))) }
    let successes =
      [(description.status, description.schema)] + (description.other.map { [($0.status, $0.schema)] } ?? [])
    var responses = successes.map { status, schema -> (String, OrderedJSON) in
      guard let schema else {
        let content = #"{"\#(description.contentType)":{"schema":{"type":"string"}}}"#
        return (String(status), .raw(#"{"description":"The request succeeded.","content":\#(content)}"#))
      }
      return (String(status), response("The request succeeded.", schema))
    }
    responses.append(("4XX", response("The service refused the request.", "Error")))
    responses.append(("5XX", response("The service failed, or cannot answer now.", "Error")))
    if route == .readiness {
      responses.insert(("503", response("The service is not ready.", "Readiness")), at: 1)
    }
    members.append(("responses", .object(responses)))
    return .object(members)
  }

  private static func response(_ description: String, _ schema: String) -> OrderedJSON {
    let content = ##"{"application/json":{"schema":{"$ref":"#/components/schemas/\##(schema)"}}}"##
    return .raw(#"{"description":"\#(description)","content":\#(content)}"#)
  }
}

extension Route {
  /// Whether the document describes the route: the console's files are for browsers only.
  var isDescribed: Bool { self != .console && self != .consoleFile }
}

/// The parameters and answers of one operation.
struct OpenAPIOperation {
  var summary: String
  var parameters: [OrderedJSON] = []
  var body: String?
  var status = 200
  /// Another successful answer, such as that of a dry run.
  var other: (status: Int, schema: String)?
  /// Nil: the answer is text of `contentType`.
  var schema: String?
  var contentType = "application/json"

  static func of(_ route: Route) -> OpenAPIOperation {
    switch route {
    case .postEvents: appending
    case .getEvents:
      OpenAPIOperation(
        summary:
          "Returns records as NDJSON, one on each line, byte for byte as they were sent unless they contain a line "
          + "break. A record that is not JSON is returned as recordText or recordBase64.",
        parameters: [
          query("from", position), query("to", position), query("limit", number(1, 100_000)),
          query("untimed", #"{"enum":["skip","include","append-time"]}"#),
          query("page", #"{"type":"integer","minimum":0}"#),
        ],
        contentType: "application/x-ndjson")
    case .getProducer:
      OpenAPIOperation(summary: "Returns the newest acknowledged sequence of a producer.", schema: "Producer")
    case .getStatus:
      OpenAPIOperation(
        summary: "Returns the status of the log, of ingest and of every destination.", schema: "Status")
    case .getStatusStream:
      OpenAPIOperation(
        summary:
          "Streams the status as server-sent events named status, one a second, for at most an hour.",
        contentType: "text/event-stream")
    case .getStatusHistory:
      OpenAPIOperation(
        summary: "Returns the positions of the log and its destinations during the last 15 minutes.",
        schema: "History")
    case .getSegments:
      OpenAPIOperation(
        summary: "Returns the newest segments, newest first, with their sizes and compression.",
        parameters: [query("limit", number(1, 200))], schema: "Segments")
    case .getSettings:
      OpenAPIOperation(
        summary: "Returns the configuration without secrets, and whether a change needs a reload or a restart.",
        schema: "Settings")
    case .getDestinations: OpenAPIOperation(summary: "Returns every destination.", schema: "Destinations")
    case .getAttempts:
      OpenAPIOperation(summary: "Returns the newest delivery attempts, newest first.", schema: "Attempts")
    case .getDeadLetters:
      OpenAPIOperation(
        summary: "Returns a page of the records that the destination rejected.",
        parameters: [query("from", number(0, Int.max)), query("limit", number(1, 1000))], schema: "DeadLetters")
    case .getDeadLetter: OpenAPIOperation(summary: "Returns one dead letter by its number.", schema: "DeadLetter")
    case .redeliver:
      OpenAPIOperation(
        summary:
          "Delivers dead letters again: the remaining ones, all, or one. A dry run returns their number.",
        body: body(##"{"$ref":"#/components/schemas/Redeliver"}"##, isRequired: false), status: 202,
        other: (200, "Redelivering"), schema: "Redelivering")
    case .pause:
      OpenAPIOperation(
        summary: "Pauses the destination durably, also across restarts: it starts no batch.",
        body: body(#"{"type":"object","properties":{"reason":{"type":["string","null"]}}}"#, isRequired: false),
        schema: "Destination")
    case .resume:
      OpenAPIOperation(summary: "Resumes the destination. No effect when it is not paused.", schema: "Destination")
    case .retry:
      OpenAPIOperation(summary: "Retries now instead of waiting for the backoff.", schema: "Destination")
    case .seek:
      OpenAPIOperation(
        summary: "Moves the cursor to any position in the log, and returns its former position. A batch in flight"
          + " refuses that, unless giveUpBatch is true: the receiver may hold the batch.",
        body: body(
          #"{"type":"object","required":["to"],"properties":{"to":{"type":"string"},"#
            + #""giveUpBatch":{"type":["boolean","null"]}}}"#),
        schema: "Sought")
    case .getReplays: OpenAPIOperation(summary: "Returns every stored replay.", schema: "Replays")
    case .postReplay: replaying
    case .getReplay: OpenAPIOperation(summary: "Returns the progress of a replay.", schema: "Replay")
    case .deleteReplay: OpenAPIOperation(summary: "Stops a replay and deletes its state.", schema: "Ended")
    case .getMe: OpenAPIOperation(summary: "Returns the key of this request and its role.", schema: "Me")
    case .getKeys: OpenAPIOperation(summary: "Returns every API key, without secrets.", schema: "Keys")
    case .postKey:
      OpenAPIOperation(
        summary: "Creates an API key. Only this answer shows its token.",
        body: body(##"{"$ref":"#/components/schemas/NewKey"}"##), status: 201, schema: "Token")
    case .rotateKey:
      OpenAPIOperation(
        summary: "Replaces the secret of an API key.",
        body: body(
          #"{"type":"object","properties":{"graceSeconds":{"type":"integer","minimum":0,"maximum":2592000}}}"#,
          isRequired: false),
        schema: "Token")
    case .deleteKey: OpenAPIOperation(summary: "Revokes an API key.", schema: "Ended")
    case .metrics: OpenAPIOperation(summary: "Returns metrics for Prometheus.", contentType: "text/plain")
    case .health: OpenAPIOperation(summary: "Returns 200 while the process answers.", schema: "Health")
    case .readiness:
      OpenAPIOperation(
        summary: "Returns 200 when the service accepts events, else 503 and the reason.", schema: "Readiness")
    case .openAPI: OpenAPIOperation(summary: "Returns this document.", schema: "Document")
    case .console, .consoleFile: OpenAPIOperation(summary: "Returns a file of the console.", contentType: "text/html")
    }
  }

  private static let position = #"{"type":"string","maxLength":48}"#
  private static func number(_ low: Int, _ high: Int) -> String {
    #"{"type":"integer","minimum":\#(low),"maximum":\#(high)}"#
  }

  private static func query(_ name: String, _ schema: String) -> OrderedJSON {
    .raw(#"{"name":"\#(name)","in":"query","schema":\#(schema)}"#)
  }

  private static func header(_ name: String, _ schema: String) -> OrderedJSON {
    .raw(#"{"name":"\#(name)","in":"header","schema":\#(schema)}"#)
  }

  private static func body(_ schema: String, isRequired: Bool = true) -> String {
    #"{"required":\#(isRequired),"content":{"application/json":{"schema":\#(schema)}}}"#
  }

  private static var appending: OpenAPIOperation {
    OpenAPIOperation(
      summary: "Appends events. The answer means that they are on stable storage, unless configured otherwise.",
      parameters: [
        query("onError", #"{"type":"string","enum":["reject","skip"]}"#),
        header("Idempotency-Key", #"{"type":"string","minLength":1,"maxLength":255,"pattern":"^[!-~]+$"}"#),
        header("Penstock-Producer", ##"{"$ref":"#/components/schemas/Name"}"##),
        header("Penstock-Sequence", number(1, Int.max)), header("Penstock-Resume-After", number(0, Int.max)),
      ],
      body:
        ##"""
        {"required":true,"content":{"application/json":{"schema":{"oneOf":[{"$ref":"#/components/schemas/Event"},{\##
        "type":"array","items":{"$ref":"#/components/schemas/Event"}}]}},"application/x-ndjson":{"schema":{\##
        "type":"string"}}}}
        """##,
      schema: "Appended")
  }

  private static var replaying: OpenAPIOperation {
    OpenAPIOperation(
      summary: "Delivers a window of the log again. A dry run returns an estimate.",
      body: body(##"{"$ref":"#/components/schemas/NewReplay"}"##), status: 202,
      other: (200, "ReplayEstimate"), schema: "ReplayBegun")
  }
}
