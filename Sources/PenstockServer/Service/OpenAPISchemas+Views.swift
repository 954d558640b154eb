import PenstockDelivery
import PenstockSupport

// The schemas of destinations, their attempts, and replays.

extension OpenAPISchemas {
  /// An object of required whole numbers.
  static func counts(_ names: [String]) -> String {
    let required = names.map { "\"\($0)\"" }.joined(separator: ",")
    let properties = names.map { #""\#($0)":{"type":"integer","minimum":0}"# }.joined(separator: ",")
    return #"{"type":"object","required":[\#(required)],"properties":{\#(properties)}}"#
  }

  /// One of these values.
  private static func oneOf(_ values: [String]) -> String {
    #"{"enum":[\#(values.map { "\"\($0)\"" }.joined(separator: ","))]}"#
  }

  private static func orNull(_ schema: String) -> String {
    ##"{"anyOf":[{"type":"null"},{"$ref":"#/components/schemas/\##(schema)"}]}"##
  }

  private static func list(_ member: String, of schema: String) -> OrderedJSON {
    .raw(
      ##"""
      {"type":"object","required":["\##(member)"],"properties":{"\##(member)":{"type":"array","items":{\##
      "$ref":"#/components/schemas/\##(schema)"}}}}
      """##
    )
  }

  private static let count = #"{"type":["integer","null"],"minimum":0}"#

  static let destinations: [(String, OrderedJSON)] = [
    ("Range", .raw(counts(["first", "end"]))),
    ("Destinations", list("destinations", of: "Destination")),
    (
      "Destination",
      .raw(
        ##"""
        {"type":"object","required":["name","kind","description","state","pause","committed","end","lag",\##
        "inFlight","attempts","retries","batches","records","events","bytes","deadLetters","trouble","lastTrouble",\##
        "nextTry","failure"],"properties":{"name":{"type":"string"},"kind":{"type":"string"},"description":{\##
        "type":["string","null"],"description":"null for a key of one app"},\##
        "state":\##(oneOf(DeliveryProgress.Activity.allCases.map(\.rawValue))),"pause":\##(orNull("Pause")),\##
        "committed":\##(count),"end":\##(count),"lag":\##(orNull("Lag")),"inFlight":\##(orNull("Range")),\##
        "attempts":\##(count),"retries":\##(count),"batches":\##(count),"records":\##(count),"events":\##(count),\##
        "bytes":\##(count),"deadLetters":\##(count),"trouble":\##(orNull("Trouble")),\##
        "lastTrouble":\##(orNull("Trouble")),"nextTry":{"type":["string","null"]},"failure":{"type":["string",\##
        "null"],"description":"for a key of one app only its kind"}}}
        """##
      )
    ),
    (
      "Sought",
      .raw(
        ##"""
        {"allOf":[{"$ref":"#/components/schemas/Destination"},{"type":"object","required":["formerCommitted"],\##
        "properties":{"formerCommitted":{"type":"integer","minimum":0,\##
        "description":"the former position of the cursor"}}}]}
        """##
      )
    ),
    (
      "Pause",
      .raw(
        #"""
        {"type":"object","required":["since","reason"],"properties":{"since":{"type":["string","null"]},"reason":{\#
        "type":"string"}}}
        """#
      )
    ),
    (
      "Trouble",
      .raw(
        #"""
        {"type":"object","required":["kind","message"],"properties":{\#
        "kind":\#(oneOf(DeliveryTrouble.Kind.allCases.map(\.rawValue))),"message":{"type":["string","null"],\#
        "description":"null for a key of one app"}}}
        """#
      )
    ),
    (
      "Lag",
      .raw(
        #"""
        {"type":"object","required":["records","bytes","seconds","recordsPerSecond","appendedPerSecond",\#
        "secondsToDrain","secondsToLoss","health","words"],"properties":{"records":{"type":"integer","minimum":0},\#
        "bytes":{"type":"integer","minimum":0},"seconds":{"type":["number","null"]},"recordsPerSecond":{\#
        "type":["number","null"]},"appendedPerSecond":{"type":["number","null"]},"secondsToDrain":{"type":["number",\#
        "null"]},"secondsToLoss":{"type":["number","null"]},"health":\#(oneOf(LagHealth.allCases.map(\.rawValue))),\#
        "words":{"type":"string"}}}
        """#
      )
    ),
    ("Attempts", list("attempts", of: "Attempt")),
    (
      "Attempt",
      .raw(
        ##"""
        {"type":"object","required":["number","time","range","delivery","attempt","outcome","milliseconds",\##
        "bodyBytes","words"],"properties":{"number":{"type":"integer","minimum":1},"time":{"type":"string"},\##
        "range":{"$ref":"#/components/schemas/Range"},"delivery":{"type":"string"},"attempt":{"type":"integer",\##
        "minimum":1},"outcome":\##(oneOf(Attempt.Outcome.allCases.map(\.description))),"milliseconds":{\##
        "type":"number","minimum":0},"bodyBytes":{"type":"integer","minimum":0},"words":{"type":"string"}}}
        """##
      )
    ),
  ]

  static let replays: [(String, OrderedJSON)] = [
    ("Replays", list("replays", of: "Replay")),
    (
      "Replay",
      .raw(
        ##"""
        {"type":"object","required":["id","destination","state","window","eventWindow","records","done",\##
        "secondsLeft","skipped","createdAt","finishedAt","failure"],"properties":{"id":{"type":"string"},\##
        "destination":{"type":"string"},"state":{"enum":["running","finished","stopped","failed"]},"window":{\##
        "$ref":"#/components/schemas/Range"},"eventWindow":{"type":["object","null"],"required":["from","to",\##
        "untimed"],"properties":{"from":{"type":["string","null"]},"to":{"type":["string","null"]},"untimed":{\##
        "enum":["skip","include","append-time"]}}},"records":{"type":"integer","minimum":0},"done":\##(count),\##
        "secondsLeft":{"type":["number","null"]},"skipped":{"type":"integer","minimum":0},"createdAt":{\##
        "type":"string"},"finishedAt":{"type":["string","null"]},"failure":{"type":["string","null"]}}}
        """##
      )
    ),
    (
      "ReplayBegun",
      .raw(
        #"""
        {"type":"object","required":["id","destination"],"properties":{"id":{"type":"string"},"destination":{\#
        "type":"string"}}}
        """#
      )
    ),
    (
      "ReplayEstimate",
      .raw(
        ##"""
        {"type":"object","required":["window","eventWindow","events","eventBytes","untimed","records","missing",\##
        "storedBytes","recordBytes","batches","seconds"],"properties":{"window":{\##
        "$ref":"#/components/schemas/Range"},"eventWindow":{"type":["object","null"],"required":["from","to",\##
        "untimed"],"properties":{"from":{"type":["string","null"]},"to":{"type":["string","null"]},"untimed":{\##
        "enum":["skip","include","append-time"]}}},"events":{"type":"integer","minimum":0},"eventBytes":{\##
        "type":"integer","minimum":0},"untimed":{"type":"integer","minimum":0},"records":{"type":"integer",\##
        "minimum":0},"missing":{"type":"integer","minimum":0},"storedBytes":{"type":"integer","minimum":0},\##
        "recordBytes":{"type":"integer","minimum":0},"batches":{"type":"integer","minimum":0},"seconds":{\##
        "type":["number","null"]}}}
        """##
      )
    ),
  ]
}
