import PenstockLog

/// Provides the credentials for signatures.
protocol S3CredentialProvider: Sendable {
  /// Credentials that are valid for the next request.
  func current() async throws(S3CredentialError) -> S3Credentials

  /// Replaces credentials that a store has rejected. Returns whether there are new ones.
  ///
  /// - Parameter isCertain: False if the rejection may have another reason. Then the credentials stay in use unless new
  ///   ones are found, and the source is asked at most every 30 seconds.
  func replace(_ refused: S3Credentials, isCertain: Bool) async -> Bool
}

/// Why there are no credentials, and what to do about it.
public struct S3CredentialError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The explanation, for operators. It holds no credential.
  public let message: String
  /// Whether a retry may succeed, as for a metadata service that does not respond.
  public let isTemporary: Bool

  init(_ message: String, isTemporary: Bool = false) {
    self.message = message
    self.isTemporary = isTemporary
  }

  public var description: String { message }
}

/// Configured credentials.
struct FixedCredentials: S3CredentialProvider {
  let credentials: S3Credentials
  func current() async throws(S3CredentialError) -> S3Credentials { credentials }
  func replace(_ refused: S3Credentials, isCertain: Bool) async -> Bool { false }
}

/// Credentials with their expiration.
struct ResolvedCredentials: Sendable, Hashable {
  var credentials: S3Credentials
  /// Nil for credentials that do not expire.
  var expiration: Timestamp?
  /// For messages, as in `the environment`.
  var source: String
}

/// Caches resolved credentials until shortly before they expire. Concurrent callers share one resolution.
actor CachedCredentials: S3CredentialProvider {
  private let resolve: @Sendable () async -> Result<ResolvedCredentials, S3CredentialError>
  private let clock: any WallClock
  private var cached: ResolvedCredentials?
  private var retryAt: Timestamp?
  /// When possibly invalid credentials were last resolved again.
  private var doubted: Timestamp?
  private var asking: Task<Result<ResolvedCredentials, S3CredentialError>, Never>?

  /// Credentials are renewed five minutes before they expire, as in all AWS tools. After a failure, the renewal is
  /// retried every 30 seconds while the old credentials are valid.
  private static let margin: Int64 = 300_000_000_000
  private static let pause: Int64 = 30_000_000_000

  init(_ chain: S3CredentialChain, clock: any WallClock) {
    self.init(clock: clock) { await chain.resolve() }
  }

  init(
    clock: any WallClock, resolve: @escaping @Sendable () async -> Result<ResolvedCredentials, S3CredentialError>
  ) {
    self.clock = clock
    self.resolve = resolve
  }

  func current() async throws(S3CredentialError) -> S3Credentials {
    let now = clock.now().nanoseconds
    if let cached {
      guard let end = cached.expiration?.nanoseconds, now >= end - Self.margin else { return cached.credentials }
      if now < end, let retryAt, now < retryAt.nanoseconds { return cached.credentials }
    }
    switch await ask() {
    case .success(let found): return found.credentials
    case .failure(let error):
      guard let cached, let end = cached.expiration?.nanoseconds, now < end else { throw error }
      retryAt = Timestamp(nanoseconds: now + Self.pause)
      return cached.credentials
    }
  }

  func replace(_ refused: S3Credentials, isCertain: Bool) async -> Bool {
    // Another task may already have replaced them.
    if let cached, cached.credentials != refused { return true }
    let now = clock.now().nanoseconds
    if !isCertain, let doubted, now >= doubted.nanoseconds, now < doubted.nanoseconds + Self.pause { return false }
    doubted = Timestamp(nanoseconds: now)
    if isCertain { cached = nil }
    guard case .success(let found) = await ask() else { return false }
    return found.credentials != refused
  }

  private func ask() async -> Result<ResolvedCredentials, S3CredentialError> {
    if let asking { return await asking.value }
    let task = Task { [resolve] in await resolve() }
    asking = task
    let result = await task.value
    // Only the task that started the resolution stores the result; the others share it.
    asking = nil
    if case .success(let found) = result {
      cached = found
      retryAt = nil
    }
    return result
  }
}
