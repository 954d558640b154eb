import PenstockDelivery
public import PenstockEvents

/// Where a webhook goes and how.
///
/// ## What is frozen
/// ``method``, ``batching``, ``fields``, ``filter``, ``replay``, ``parameter`` and ``maxParameterBytes`` shape a delivery's
/// bytes. A delivery under way keeps those it was planned with, across retries, restarts and changes of the configuration; new ones apply from
/// the next batch on. Everything else says how to reach the receiver: a change of it applies to the next attempt at once.
///
/// ## Files and variables
/// Secrets and certificates are read once, when ``Secret`` and the sink are made. A file that changes later counts from the next
/// start on; a start costs a destination nothing.
public struct WebhookConfiguration: Sendable {
  public enum Method: String, Sendable, CaseIterable {
    case post = "POST"
    case put = "PUT"
    /// One event a request, in a query parameter.
    case get = "GET"
  }

  public enum Batching: String, Sendable, CaseIterable {
    /// A JSON array of events.
    case array
    /// One event a request, as a bare object.
    case single
  }

  /// A header of every request; its value is treated as a secret, for API keys are sent this way.
  public struct Header: Sendable, Hashable {
    public var name: String
    public var value: Secret
    public init(_ name: String, _ value: Secret) {
      self.name = name
      self.value = value
    }

    /// `Authorization: Bearer <token>`.
    public static func bearer(_ token: Secret) -> Header {
      Header("Authorization", Secret("Bearer " + token.revealed))
    }
  }

  /// `http://` or `https://`. Redirects are not followed. The query is kept but never shown in messages.
  public var url: String
  public var method: Method = .post
  /// Ignored with ``Method/get``, which carries one event.
  public var batching: Batching = .array
  public var headers: [Header] = []
  /// Signing secrets as Standard Webhooks has them (`whsec_` and base64). Each signs; name the old and the new one while
  /// a receiver changes over. Empty: requests are not signed.
  public var secrets: [Secret] = []
  public var fields: FieldSelection = .all
  /// Which events are sent at all. A batch of which nothing remains is not sent, and counts as delivered.
  public var filter: EventFilter = .all
  /// The id of the replay that this sink is for: deliveries carry it in the header `webhook-replay`.
  public var replay: String?
  /// The query parameter for ``Method/get``.
  public var parameter = "event"
  /// The longest `parameter=value` for ``Method/get``, in bytes, percent-encoded: servers refuse longer lines.
  public var maxParameterBytes = 8000
  /// For one attempt: looking the host up, connecting, sending, and the answer.
  public var timeout: Duration = .seconds(30)
  /// For the TCP connection and the TLS handshake together.
  public var connectTimeout: Duration = .seconds(10)
  /// How long a connection is kept that nothing is sent over.
  public var idleTimeout: Duration = .seconds(60)
  public var httpVersions: TransportSettings.Versions = .automatic
  public var tls = TLS()
  /// Where the host's name may lead to: addresses of the public internet, unless set. Looked at with every new connection, and
  /// the address that was looked at is the one connected to.
  public var addresses = AddressPolicy.publicOnly

  /// The most events a delivery carries; 1 when it carries one at a time.
  public var maxRecords: Int {
    get { isSingle ? 1 : recordLimit }
    set { recordLimit = newValue }
  }
  /// The most bytes of events a delivery carries; an event that is longer goes alone. 1 MiB unless set.
  public var maxBytes = 1 << 20
  /// How long an event waits for others to go with it; 59 seconds at most, 5 unless set.
  public var maxWait: Duration = .seconds(5)
  private var recordLimit = 500

  /// Whether a request carries one event.
  var isSingle: Bool { method == .get || batching == .single }

  /// ``url`` as it may be shown: without its query, which can hold a key.
  package var shownURL: String { (try? DestinationURL(url).redacted) ?? "no URL" }

  public typealias TLS = TLSSettings

  public init(url: String) { self.url = url }
}

extension WebhookConfiguration {
  /// Throws for the first thing that cannot work.
  func validate() throws(SinkError) {
    if method == .get, parameter.isEmpty { throw SinkError("the query parameter for GET has no name") }
    guard maxParameterBytes > 0 else { throw SinkError("the limit for the query parameter must be above 0") }
    guard maxRecords > 0, maxBytes > 0 else { throw SinkError("the limits of a batch must be above 0") }
    guard maxWait >= .zero, maxWait <= .seconds(59) else { throw SinkError("a batch may wait 0 to 59 seconds") }
    try ReplayMark.validate(replay)
    _ = try WebhookPlan(self, events: replay == nil ? nil : .longest).encoded()
    guard timeout > .zero, connectTimeout > .zero, idleTimeout > .zero else {
      throw SinkError("the timeouts must be above 0")
    }
    for header in headers { try header.validate() }
  }
}

extension WebhookConfiguration {
  func validateQuery(_ url: DestinationURL) throws(SinkError) {
    guard method == .get, url.hasParameter(parameter) else { return }
    throw SinkError("the address has the query parameter \(parameter) already; an event would be the second")
  }

  /// Throws for an address that could never be connected to.
  func validateAddress(_ url: DestinationURL) throws(SinkError) {
    // A name is looked up when it is connected to; an address can be judged now, in whatever spelling.
    guard let literal = SystemHostResolver.literal(url.hostName), let objection = addresses.objection(to: literal)
    else {
      return
    }
    throw SinkError(objection.message(host: url.hostName))
  }

  var transportSettings: TransportSettings {
    var settings = TransportSettings()
    settings.connectTimeout = connectTimeout
    settings.idleTimeout = idleTimeout
    settings.versions = httpVersions
    settings.tls = tls
    settings.addresses = addresses
    return settings
  }
}

/// The query of ``url`` can hold a key: it shows in no description and no dump.
extension WebhookConfiguration: CustomReflectable {
  public var customMirror: Mirror {
    Mirror(
      self,
      children: [
        "url": shownURL, "method": method, "batching": batching,
        "headers": headers, "secrets": secrets, "fields": fields, "parameter": parameter,
        "maxParameterBytes": maxParameterBytes, "timeout": timeout, "connectTimeout": connectTimeout,
        "idleTimeout": idleTimeout, "httpVersions": httpVersions, "tls": tls, "addresses": addresses,
        "maxRecords": maxRecords, "maxBytes": maxBytes, "maxWait": maxWait,
      ], displayStyle: .struct)
  }
}

extension WebhookConfiguration.Header {
  /// Headers that a delivery sets itself, or that would change where a request ends.
  private static let reserved: Set<String> = [
    "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "idempotency-key",
    "webhook-id", "webhook-timestamp", "webhook-signature", "webhook-replay", "webhook-test", "x-penstock-range",
    "x-penstock-log",
  ]

  fileprivate func validate() throws(SinkError) {
    let symbols = Set("!#$%&'*+-.^_`|~".utf8)
    let isToken = name.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || symbols.contains($0)
    }
    guard !name.isEmpty, isToken else { throw SinkError("\"\(name)\" cannot be the name of a header") }
    guard !Self.reserved.contains(name.lowercased()) else {
      throw SinkError("the header \(name) is set by the delivery itself")
    }
    guard value.revealed.utf8.allSatisfy({ ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 }) else {
      throw SinkError("the value of the header \(name) contains a line break or another control character")
    }
  }
}
