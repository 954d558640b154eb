import PenstockDelivery
public import PenstockEvents
import PenstockLog

/// The configuration of a webhook destination.
///
/// ## What a change affects
/// ``method``, ``batching``, ``fields``, ``filter``, ``replay``, ``parameter`` and ``maxParameterBytes`` determine a
/// delivery's bytes. A delivery in flight keeps the values it was planned with, across retries, restarts and
/// configuration changes; new values apply from the next batch on. All other settings apply to the next attempt.
///
/// ## Files and variables
/// Secrets and certificates are read once, when ``Secret`` and the sink are created. A changed file applies after a
/// restart; a restart loses nothing.
public struct WebhookConfiguration: Sendable {
  /// The HTTP method of each request.
  public enum Method: String, Sendable, CaseIterable {
    /// The batch is the body of a POST request.
    case post = "POST"
    /// The batch is the body of a PUT request.
    case put = "PUT"
    /// One event per request, in a query parameter.
    case get = "GET"
  }

  /// What the body of a request holds.
  public enum Batching: String, Sendable, CaseIterable {
    /// A JSON array of events.
    case array
    /// One event per request, as a JSON object.
    case single
  }

  /// A header of every request. Its value is a secret, because it may be an API key.
  public struct Header: Sendable, Hashable {
    /// The header's name.
    public var name: String
    /// The header's value.
    public var value: Secret
    /// A header with this name and value.
    public init(_ name: String, _ value: Secret) {
      self.name = name
      self.value = value
    }

    /// `Authorization: Bearer <token>`.
    public static func bearer(_ token: Secret) -> Header {
      Header("Authorization", Secret("Bearer " + token.revealed))
    }
  }

  /// `http://` or `https://`. Redirects are not followed. The query is sent, but never shown in messages.
  public var url: String
  /// The HTTP method of each request. Default: POST.
  public var method: Method = .post
  /// Ignored with ``Method/get``, which sends one event per request.
  public var batching: Batching = .array
  /// Headers of every request, besides those of the signature.
  public var headers: [Header] = []
  /// Signing secrets of Standard Webhooks (`whsec_` and base64). Every secret signs each request; use the old and the
  /// new one during a rotation. Empty: requests are not signed.
  public var secrets: [Secret] = []
  /// The fields of each event to send. Default: all.
  public var fields: FieldSelection = .all
  /// Selects the events to send. A batch without a selected event is not sent, and counts as delivered.
  public var filter: EventFilter = .all
  /// The id of this sink's replay, sent in the header `webhook-replay`.
  public var replay: String?
  /// The query parameter for ``Method/get``.
  public var parameter = "event"
  /// The maximum length of `parameter=value` for ``Method/get``, in percent-encoded bytes, because servers reject long
  /// request lines. Default: 8000.
  public var maxParameterBytes = 8000
  /// The limit for one attempt: lookup, connection, request and response. Default: 30 seconds.
  public var timeout: Duration = .seconds(30)
  /// The limit for the TCP connection and the TLS handshake together. Default: 10 seconds.
  public var connectTimeout: Duration = .seconds(10)
  /// How long to keep an idle connection. Default: 60 seconds.
  public var idleTimeout: Duration = .seconds(60)
  /// Which versions of HTTP to use. Default: HTTP/2 where the server offers it.
  public var httpVersions: TransportSettings.Versions = .automatic
  /// The trusted authorities, and a client certificate.
  public var tls = TLS()
  /// The permitted addresses of the host. Default: the public internet. Checked for every new connection, which goes to
  /// exactly the checked address.
  public var addresses = AddressPolicy.publicOnly

  /// The maximum number of events per request. Default: 500. Always 1 with ``Batching/single`` and ``Method/get``.
  public var maxRecords: Int {
    get { sendsSingleEvents ? 1 : recordLimit }
    set { recordLimit = newValue }
  }
  /// The maximum bytes of events per delivery; a longer event is sent alone. Default: 1 MiB.
  public var maxBytes = 1 << 20
  /// The longest time an event waits for its batch to fill. Default: 5 seconds, at most 59 seconds.
  public var maxWait: Duration = .seconds(5)
  private var recordLimit = 500

  /// Whether a request has only one event.
  package var sendsSingleEvents: Bool { method == .get || batching == .single }

  /// ``url`` for messages: without its query, which can contain a key.
  package var shownURL: String { (try? DestinationURL(url).redacted) ?? "no URL" }

  /// The trusted authorities, and a client certificate.
  public typealias TLS = TLSSettings

  /// A POST of JSON arrays to this URL, unsigned. The sink checks the URL.
  public init(url: String) { self.url = url }
}

extension WebhookConfiguration {
  /// Throws for the first invalid setting.
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
    throw SinkError("the address already has the query parameter \(parameter), which is reserved for the event")
  }

  /// Throws for an address that is never allowed.
  func validateAddress(_ url: DestinationURL) throws(SinkError) {
    // A name is resolved and checked for each connection. An address, in any notation, can be checked now.
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
    // Each event in flight has a connection, unless the server speaks HTTP/2.
    if sendsSingleEvents { settings.maxConnections = SettledEvents.maxEvents }
    return settings
  }
}

/// The query of ``url`` can contain a key, so no description and no dump shows it.
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
  /// Headers that the delivery sets, or that would change the framing of a request.
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
    guard !name.isEmpty, isToken else { throw SinkError("\"\(name)\" is not a valid header name") }
    guard !Self.reserved.contains(name.lowercased()) else {
      throw SinkError("the header \(name) is reserved; the delivery sets it")
    }
    guard value.revealed.utf8.allSatisfy({ ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 }) else {
      throw SinkError("the value of the header \(name) contains a line break or another control character")
    }
  }
}
