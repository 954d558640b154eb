/// What a body of events may be.
package struct IngestRules: Sendable, Hashable {
  /// What becomes of a body in which some records are no events.
  package enum OnError: String, Sendable, Hashable, CaseIterable {
    /// The first such record refuses the whole body.
    case reject
    /// They are left out, and the answer says of each record what became of it.
    case skip
  }

  /// The longest body, after decompression, in bytes.
  package var maxBodyBytes = 16 << 20
  /// The longest event, in bytes.
  package var maxEventBytes = 1 << 20
  /// The most events of one body.
  package var maxEvents = 50_000
  /// How many arrays and objects may be open at once in an event, itself included.
  package var depthLimit = 64
  package var onError = OnError.reject
  /// The only `app_id` that events may have, and then must; nil: any or none.
  package var appID: String?

  package init() {}
}

/// How a body holds its events.
package enum IngestFormat: Sendable, Hashable, CaseIterable {
  /// One array of events, or one event.
  case json
  /// An event on each line.
  case ndjson

  /// The format of a media type, without its parameters; nil for one that is not taken. No type at all is JSON.
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

  /// Whether it is what HTML forms and `curl -d` send.
  package static func isForm(contentType: String?) -> Bool {
    contentType.map(name) == "application/x-www-form-urlencoded"
  }

  private static func name(_ contentType: String) -> String {
    contentType.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
  }
}
