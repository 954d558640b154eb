import PenstockDelivery
import PenstockLog
import Synchronization

/// Signs requests to one bucket and sends them: with credentials that are still good, and in the store's time.
///
/// Everything else about an answer is its reader's business. Two answers are put right here, once per request, because they
/// say nothing of what was asked: a clock that differs too much from the store's, and credentials that have run out.
final class S3Client: Sendable {
  let address: S3Address
  private let region: String
  private let timeout: Duration
  private let credentials: any S3CredentialProvider
  private let transport: any HTTPTransport
  /// Transports that this client made.
  private let owned: [any HTTPTransport]
  private let clock: any WallClock
  /// What is added to our time to get the store's.
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

  /// An answer with the time it came, and what it says without secrets.
  struct Answer {
    var response: TransportResponse
    var detail: S3Detail
    /// In the store's time.
    var now: Timestamp

    var after: Duration? { response.header("Retry-After").flatMap { RetryAfter.parse($0, now: now) } }
  }

  /// Throws when no answer came, or nobody could sign.
  func send(_ request: S3Request) async throws(S3Failure) -> Answer {
    var (mayCorrect, mayReplace) = (true, true)
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

  /// Whether an answer says that credentials are of no more use. A HEAD is answered without a document, so there a 400
  /// may say it too: Amazon S3 gives it for a token that ran out. And 403 may always: a missing right, or keys that
  /// were replaced.
  private static func doubt(_ request: S3Request, _ response: TransportResponse, _ detail: S3Detail) -> Doubt? {
    if detail.saysCredentialsEnded { return .certain }
    switch response.status {
    case 400: return request.method == "HEAD" && detail.code == nil ? .possible : nil
    case 401, 403: return detail.code == "RequestTimeTooSkewed" ? nil : .possible
    default: return nil
    }
  }

  /// Our time, as far as we know how far it is from the store's.
  private var now: Timestamp {
    Timestamp(nanoseconds: clock.now().nanoseconds &+ skew.withLock { $0 }.wholeNanoseconds)
  }

  private func currentCredentials() async throws(S3Failure) -> S3Credentials {
    do throws(S3CredentialError) { return try await credentials.current() } catch { throw .credentials(error) }
  }

  /// Whether the answer said that our clock is wrong, and by how much.
  ///
  /// A HEAD is answered without a document, so there a 403 with a date far from ours counts as well. Less than a minute is
  /// no reason for any store, and would be asked for again and again.
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

/// Why a request got no answer from the store.
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

/// An answer of S3 in words, without secrets.
struct S3Detail: Hashable {
  let code: String?
  let reason: String

  init(_ response: TransportResponse, secrets: [Secret]) {
    let isFailure = !(200..<300).contains(response.status)
    // A long answer that is no failure is data.
    let body = isFailure || response.body.count < 1024 ? S3ErrorBody(response.body) : nil
    code = body?.code
    let words =
      body.map { "\($0.code): \($0.message ?? "")" }
      ?? (isFailure ? String(decoding: response.body.prefix(2048), as: UTF8.self) : "")
    let excerpt = OutcomeClassifier.excerpt(Array(words.utf8), secrets: secrets)
    reason = "the store answered \(statusWords(response.status))" + (excerpt.isEmpty ? "" : ", \(excerpt)")
  }

  /// Temporary credentials do; so do permanent ones that have been replaced.
  var saysCredentialsEnded: Bool {
    ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId"]
      .contains(code ?? "")
  }
}
