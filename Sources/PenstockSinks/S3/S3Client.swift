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
  private let ownsTransport: Bool
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
    self.transport = transport ?? AsyncHTTPTransport()
    ownsTransport = transport == nil
    self.clock = clock
    if let credentials {
      self.credentials = credentials
    } else if let credentials = configuration.credentials {
      self.credentials = FixedCredentials(credentials: credentials)
    } else {
      self.credentials = CachedCredentials(
        S3CredentialChain(profile: configuration.profile, transport: self.transport, clock: clock), clock: clock)
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
    var mayCorrect = true
    while true {
      let (credentials, signedAt) = (try await currentCredentials(), now)
      let signed = address.signed(
        request, region: region, credentials: credentials, timeout: timeout, at: signedAt)
      let response: TransportResponse
      do throws(TransportError) { response = try await transport.send(signed) } catch { throw .transport(error) }
      let detail = S3Detail(response, secrets: credentials.secrets)
      if mayCorrect {
        mayCorrect = false
        if correctClock(response, detail, signedAt: signedAt) { continue }
        if detail.saysCredentialsEnded, await self.credentials.replace(credentials) { continue }
      }
      return Answer(response: response, detail: detail, now: now)
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
    if ownsTransport { await transport.close() }
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
