/// `/openapi.json`: made from the table of routes, so that none is missing; what each takes and gives is said here. A test sends
/// requests made from it (`scripts/test-openapi`), and finds what is not true.
enum OpenAPI {
  static let document: String = ServiceJSON.object([
    ("openapi", .string("3.1.0")),
    (
      "info",
      .object([
        ("title", .string("Penstock")), ("version", .string("1")),
        (
          "description",
          .string("A durable event log that feeds webhooks and S3. Errors have one form; see the schema Error.")
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
    for route in Route.allCases {
      if operations[route.pattern] == nil { order.append(route.pattern) }
      operations[route.pattern, default: []].append((route.method.rawValue.lowercased(), operation(route)))
    }
    return order.map { ($0, .object(operations[$0] ?? [])) }
  }

  private static func operation(_ route: Route) -> ServiceJSON {
    let said = OpenAPIOperation.of(route)
    var parameters = said.parameters
    for name in ["name", "id"] where route.pattern.contains("{\(name)}") {
      parameters.append(
        .raw(##"{"name":"\##(name)","in":"path","required":true,"schema":{"$ref":"#/components/schemas/Name"}}"##))
    }
    var members: [(String, ServiceJSON)] = [
      ("operationId", .string(route.rawValue)), ("summary", .string(said.summary)),
    ]
    if !parameters.isEmpty { members.append(("parameters", .array(parameters))) }
    if let body = said.body { members.append(("requestBody", .raw(body))) }
    if !AccessTable.isOpen(route) { members.append(("security", .raw(#"[{"key":[]}]"#))) }
    let content =
      said.contentType == "application/json"
      ? ##"{"application/json":{"schema":{"$ref":"#/components/schemas/\##(said.schema)"}}}"##
      : #"{"\#(said.contentType)":{"schema":{"type":"string"}}}"#
    var responses: [(String, ServiceJSON)] = [
      (String(said.status), .raw(#"{"description":"done","content":\#(content)}"#))
    ]
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
            ##"{"description":"not ready","content":{"application/json":{"schema":{"$ref":"#/components/schemas/State"}}}}"##
          )
        ),
        at: 1)
    }
    members.append(("responses", .object(responses)))
    return .object(members)
  }
}

/// What one operation takes and gives.
struct OpenAPIOperation {
  var summary: String
  var parameters: [ServiceJSON] = []
  var body: String?
  var status = 200
  var schema = "Any"
  var contentType = "application/json"

  static func of(_ route: Route) -> OpenAPIOperation {
    switch route {
    case .postEvents: appending
    case .getEvents:
      OpenAPIOperation(
        summary: "Records as lines, byte for byte as they were sent.",
        parameters: [query("from", place), query("to", place), query("limit", number(1, 100_000))],
        contentType: "application/x-ndjson")
    case .getProducer: OpenAPIOperation(summary: "How far a producer came.", schema: "Producer")
    case .getStatus: OpenAPIOperation(summary: "The log, ingest and every destination.", schema: "Any")
    case .getDestinations: OpenAPIOperation(summary: "Every destination.", schema: "Destinations")
    case .getAttempts: OpenAPIOperation(summary: "The newest attempts, newest first.", schema: "Any")
    case .getDeadLetters:
      OpenAPIOperation(
        summary: "Records the destination refused.",
        parameters: [query("from", number(0, Int.max)), query("limit", number(1, 1000))], schema: "Any")
    case .pause:
      OpenAPIOperation(
        summary: "Begins no batch from now on, over restarts as well.",
        body: body(#"{"type":"object","properties":{"reason":{"type":["string","null"]}}}"#, isRequired: false),
        schema: "Any")
    case .resume: OpenAPIOperation(summary: "Ends a pause, whoever put it on.", schema: "Any")
    case .retry: OpenAPIOperation(summary: "Ends a wait after trouble: tries now.", schema: "Any")
    case .seek:
      OpenAPIOperation(
        summary: "Puts the cursor anywhere in the log.",
        body: body(#"{"type":"object","required":["to"],"properties":{"to":{"type":"string"}}}"#), schema: "Any")
    case .getReplays: OpenAPIOperation(summary: "Every replay that is kept.", schema: "Any")
    case .postReplay: replaying
    case .getReplay: OpenAPIOperation(summary: "How far a replay is.", schema: "Any")
    case .deleteReplay: OpenAPIOperation(summary: "Stops a replay and forgets it.", schema: "State")
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
    case .deleteKey: OpenAPIOperation(summary: "Revokes a key.", schema: "State")
    case .metrics: OpenAPIOperation(summary: "Metrics for Prometheus.", contentType: "text/plain")
    case .health: OpenAPIOperation(summary: "Whether the process answers.", schema: "State")
    case .readiness: OpenAPIOperation(summary: "Whether it takes events.", schema: "State")
    case .openAPI: OpenAPIOperation(summary: "This document.", schema: "Any")
    }
  }

  private static let place = #"{"type":"string","maxLength":40}"#
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
      body: body(##"{"$ref":"#/components/schemas/NewReplay"}"##), status: 202, schema: "Any")
  }
}

/// The shapes of what is taken and given.
enum OpenAPISchemas {
  static let all: [(String, ServiceJSON)] = [
    ("Any", .raw(#"{"type":"object"}"#)),
    ("Name", .raw(#"{"type":"string","minLength":1,"maxLength":64,"pattern":"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"}"#)),
    (
      "Error",
      .raw(
        #"{"type":"object","required":["error"],"properties":{"error":{"type":"object","required":["code","message"],"properties":{"code":{"type":"string"},"message":{"type":"string"},"record":{"type":["integer","null"]},"field":{"type":["string","null"]},"byte":{"type":["integer","null"]},"bodyByte":{"type":["integer","null"]}}}}}"#
      )
    ),
    (
      "Event",
      .raw(
        #"{"type":"object","properties":{"app_id":{"type":["string","null"]},"user_id":{"type":["string","null"]},"anonymous_user_id":{"type":["string","null"]},"event":{"type":["string","null"]},"platform":{"type":["string","null"]},"type":{"enum":["page","track","custom",null]},"ts":{"type":["number","null"]},"properties":{"type":["object","null"]},"traits":{"type":["object","null"]},"segments":{"type":["array","null"]},"paths":{"type":["array","null"]}}}"#
      )
    ),
    (
      "Appended",
      .raw(
        #"{"type":"object","required":["accepted"],"properties":{"accepted":{"type":"integer","minimum":0},"first":{"type":"integer","minimum":0},"last":{"type":"integer","minimum":0},"duplicate":{"type":"boolean"},"rejected":{"type":"integer","minimum":0},"results":{"type":"array","items":{"type":"object"}}}}"#
      )
    ),
    (
      "Producer",
      .raw(
        #"{"type":"object","required":["name","lastSequence","isCertain"],"properties":{"name":{"type":"string"},"lastSequence":{"type":["integer","null"]},"isCertain":{"type":"boolean"}}}"#
      )
    ),
    (
      "Destinations",
      .raw(#"{"type":"object","required":["destinations"],"properties":{"destinations":{"type":"array"}}}"#)
    ),
    ("State", .raw(#"{"type":"object"}"#)),
    (
      "Key",
      .raw(
        #"{"type":"object","required":["id","name","role","createdAt"],"properties":{"id":{"type":"string"},"name":{"type":"string"},"role":{"enum":["companyAdmin","appAdmin","producer","viewer"]},"appId":{"type":["string","null"]},"createdAt":{"type":"integer"},"revokedAt":{"type":["integer","null"]}}}"#
      )
    ),
    (
      "Keys",
      .raw(
        ##"{"type":"object","required":["keys"],"properties":{"keys":{"type":"array","items":{"$ref":"#/components/schemas/Key"}}}}"##
      )
    ),
    (
      "Token",
      .raw(
        ##"{"type":"object","required":["key","token"],"properties":{"key":{"$ref":"#/components/schemas/Key"},"token":{"type":"string"}}}"##
      )
    ),
    (
      "NewKey",
      .raw(
        #"{"type":"object","required":["name","role"],"properties":{"name":{"type":"string","minLength":1,"maxLength":100},"role":{"enum":["companyAdmin","appAdmin","producer","viewer"]},"appId":{"type":"string","minLength":1,"maxLength":200},"requestsPerSecond":{"type":"number","exclusiveMinimum":0},"burst":{"type":"number","minimum":1}}}"#
      )
    ),
    (
      "NewReplay",
      .raw(
        ##"{"type":"object","required":["destination"],"properties":{"id":{"type":"string","minLength":1,"maxLength":40},"destination":{"$ref":"#/components/schemas/Name"},"from":{"type":"string"},"to":{"type":"string"},"recordsPerSecond":{"type":"integer","minimum":1},"bytesPerSecond":{"type":"integer","minimum":1},"skipGaps":{"type":"boolean"},"dryRun":{"type":"boolean"}}}"##
      )
    ),
  ]
}
