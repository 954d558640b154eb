import PenstockDelivery
import PenstockLog
import PenstockSupport
import Synchronization

/// Signs and sends requests to one bucket, with valid credentials and the store's time.
///
/// The client corrects two errors, once per request, because they do not concern the request itself: a clock that
/// differs from the store's, and expired credentials. The caller interprets every other response.
final class S3Client: Sendable {
  let address: S3Address
  private let region: String
  private let timeout: Duration
  private let credentials: any S3CredentialProvider
  private let transport: any HTTPTransport
  /// The transports that this client created and closes.
  private let owned: [any HTTPTransport]
  private let clock: any WallClock
  /// The store's time minus the local time.
  private let skew = Mutex(Duration.zero)

  init(
    _ configuration: S3Configuration, transport: (any HTTPTransport)?, clock: any WallClock,
    credentials: (any S3CredentialProvider)? = nil
  ) throws(SinkError) {
    address = try S3Address(configuration)
    region = configuration.region
    timeout = configuration.timeout
    let own = transport == nil ? try configuration.makeTransports() : nil
    self.transport = transport ?? own?.store ?? AsyncHTTPTransport()
    owned = own.map { [$0.store, $0.services] } ?? []
    self.clock = clock
    if let credentials {
      self.credentials = credentials
    } else if let credentials = configuration.credentials {
      self.credentials = FixedCredentials(credentials: credentials)
    } else {
      let chain = S3CredentialChain(
        profile: configuration.profile, region: configuration.region, transport: own?.services ?? self.transport,
        clock: clock)
      self.credentials = CachedCredentials(chain, clock: clock)
    }
  }

  /// A response with its time and a description without secrets.
  struct Answer {
    var response: TransportResponse
    var detail: S3Detail
    /// In the store's time.
    var now: Timestamp

    var after: Duration? { response.header("Retry-After").flatMap { RetryAfter.parse($0, now: now) } }
  }

  /// Throws if there is no response or there are no credentials.
  func send(_ request: S3Request) async throws(S3Failure) -> Answer {
    var (mayCorrect, mayReplace) = (true, true)
    // Hashed once, however often it is signed.
    var request = request
    request.bodyDigest = request.bodyDigest ?? Digest.sha256(request.body)
    while true {
      let (credentials, signedAt) = (try await currentCredentials(), now)
      let signed = address.signed(
        request, region: region, credentials: credentials, timeout: timeout, at: signedAt)
      let response: TransportResponse
      do throws(TransportError) { response = try await transport.send(signed) } catch { throw .transport(error) }
      let detail = S3Detail(response, secrets: credentials.secrets)
      if mayCorrect, correctClock(response, detail, signedAt: signedAt) {
        mayCorrect = false
        continue
      }
      if mayReplace, let doubt = Self.doubt(request, response, detail) {
        mayReplace = false
        if await self.credentials.replace(credentials, isCertain: doubt == .certain) { continue }
      }
      return Answer(response: response, detail: detail, now: now)
    }
  }

  private enum Doubt { case certain, possible }

  /// Whether a response says that the credentials are invalid. A response to HEAD has no body, so a 400 may mean that:
  /// Amazon S3 returns it for an expired token. A 403 always may: a missing permission, or replaced keys.
  private static func doubt(_ request: S3Request, _ response: TransportResponse, _ detail: S3Detail) -> Doubt? {
    if detail.saysCredentialsEnded { return .certain }
    switch response.status {
    case 400: return request.method == "HEAD" && detail.code == nil ? .possible : nil
    case 401, 403: return detail.code == "RequestTimeTooSkewed" ? nil : .possible
    default: return nil
    }
  }

  /// The store's time: the local time with the known difference.
  private var now: Timestamp {
    Timestamp(nanoseconds: clock.now().nanoseconds &+ skew.withLock { $0 }.wholeNanoseconds)
  }

  private func currentCredentials() async throws(S3Failure) -> S3Credentials {
    do throws(S3CredentialError) { return try await credentials.current() } catch { throw .credentials(error) }
  }

  /// Corrects the clock difference if the response says that the clock is wrong. Returns whether it did.
  ///
  /// A response to HEAD has no body, so a 403 with a different date counts, too. No store rejects a difference of less
  /// than one minute; correcting it would only repeat requests.
  private func correctClock(_ response: TransportResponse, _ detail: S3Detail, signedAt: Timestamp) -> Bool {
    let mayBeSkew = detail.code == "RequestTimeTooSkewed" || (detail.code == nil && response.status == 403)
    guard mayBeSkew, let date = response.header("Date"), let seconds = RetryAfter.parseDate(date) else { return false }
    let ahead = Duration.seconds(seconds) - .nanoseconds(signedAt.nanoseconds)
    guard ahead > .seconds(60) || ahead < .seconds(-60) else { return false }
    skew.withLock { $0 += ahead }
    return true
  }

  func close() async {
    for transport in owned { await transport.close() }
  }
}

/// Why a request got no response from the store.
enum S3Failure: Error {
  case transport(TransportError)
  case credentials(S3CredentialError)

  var outcome: DeliveryOutcome {
    switch self {
    case .transport(let error): OutcomeClassifier.classify(error)
    case .credentials(let error):
      error.isTemporary ? .retry(reason: error.message, after: nil) : .refused(reason: error.message)
    }
  }
}

/// The description of an S3 response, without secrets.
struct S3Detail: Hashable {
  let code: String?
  let reason: String

  init(_ response: TransportResponse, secrets: [Secret]) {
    let isFailure = !(200..<300).contains(response.status)
    // A long successful response is data.
    let body = isFailure || response.body.count < 1024 ? S3ErrorBody(response.body) : nil
    code = body?.code
    let words =
      body.map { "\($0.code): \($0.message ?? "")" }
      ?? (isFailure ? String(decoding: response.body.prefix(2048), as: UTF8.self) : "")
    let excerpt = OutcomeClassifier.excerpt(Array(words.utf8), secrets: secrets)
    reason = "the store answered \(statusWords(response.status))" + (excerpt.isEmpty ? "" : ", \(excerpt)")
  }

  /// Whether the credentials are expired or were replaced.
  var saysCredentialsEnded: Bool {
    ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId"]
      .contains(code ?? "")
  }
}
