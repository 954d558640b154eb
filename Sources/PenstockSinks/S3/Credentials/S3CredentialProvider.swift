import PenstockLog

/// Where signatures get their credentials from.
protocol S3CredentialProvider: Sendable {
  /// Credentials that are good for the next request.
  func current() async throws(S3CredentialError) -> S3Credentials

  /// Told that a store no longer takes these; returns whether there are others now.
  ///
  /// - Parameter isCertain: False where the answer may have another reason. These stay in use then, unless others are
  ///   found, and whoever gives them is not asked more often than each half minute.
  func replace(_ refused: S3Credentials, isCertain: Bool) async -> Bool
}

/// Why there are no credentials, and what to do about it.
public struct S3CredentialError: Error, Sendable, Hashable, CustomStringConvertible {
  public let message: String
  /// Whether it may pass by itself: a metadata service that does not answer at the moment.
  public let isTemporary: Bool

  init(_ message: String, isTemporary: Bool = false) {
    self.message = message
    self.isTemporary = isTemporary
  }

  public var description: String { message }
}

/// Credentials that were given as they are.
struct FixedCredentials: S3CredentialProvider {
  let credentials: S3Credentials
  func current() async throws(S3CredentialError) -> S3Credentials { credentials }
  func replace(_ refused: S3Credentials, isCertain: Bool) async -> Bool { false }
}

/// Credentials with the time at which they end.
struct ResolvedCredentials: Sendable, Hashable {
  var credentials: S3Credentials
  /// Nil for those that do not end by themselves.
  var expiration: Timestamp?
  /// For people, as in `the environment`.
  var source: String
}

/// Keeps what a resolver found until shortly before it ends. However many ask, the resolver is asked once at a time.
actor CachedCredentials: S3CredentialProvider {
  private let resolve: @Sendable () async -> Result<ResolvedCredentials, S3CredentialError>
  private let clock: any WallClock
  private var cached: ResolvedCredentials?
  private var retryAt: Timestamp?
  /// When it was last looked whether there are others.
  private var doubted: Timestamp?
  private var asking: Task<Result<ResolvedCredentials, S3CredentialError>, Never>?

  /// Replaced five minutes before they end, like every AWS tool does; a failure to do so is tried again each half minute
  /// while the old ones last.
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
    // Somebody else may have had them replaced meanwhile.
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
    // Only the one who asked tidies up; the others are given the same answer.
    asking = nil
    if case .success(let found) = result {
      cached = found
      retryAt = nil
    }
    return result
  }
}
