/// The limits and rules for one body of events.
package struct IngestRules: Sendable, Hashable {
  /// What the service does with a body in which some records are not valid events.
  package enum OnError: String, Sendable, Hashable, CaseIterable {
    /// The first invalid record rejects the whole body.
    case reject
    /// Invalid records are left out. The answer reports the result of each record.
    case skip
  }

  /// The longest body after decompression, in bytes.
  package var maxBodyBytes = 16 << 20
  /// The longest event, in bytes.
  package var maxEventBytes = 1 << 20
  /// The largest number of events in one body.
  package var maxEvents = 50_000
  /// The deepest nesting of arrays and objects in an event, with the event itself counted.
  package var depthLimit = 64
  package var onError = OnError.reject
  /// The `app_id` that every event must have; nil: any `app_id` or none.
  package var appID: String?

  package init() {}
}

/// The encoding of the events in a body.
package enum IngestFormat: Sendable, Hashable, CaseIterable {
  /// One array of events, or a single event.
  case json
  /// One event on each line.
  case ndjson

  /// The format of a media type, without its parameters; nil for an unsupported one. A missing type means JSON.
  package init?(contentType: String?) {
    guard let contentType else {
      self = .json
      return
    }
    switch Self.name(contentType) {
    case "application/json": self = .json
    case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines": self = .ndjson
    default: return nil
    }
  }

  /// Whether the type is the one that HTML forms and `curl -d` send.
  package static func isForm(contentType: String?) -> Bool {
    contentType.map(name) == "application/x-www-form-urlencoded"
  }

  private static func name(_ contentType: String) -> String {
    contentType.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
  }
}
