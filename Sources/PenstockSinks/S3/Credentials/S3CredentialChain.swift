import PenstockDelivery
import PenstockLog

/// Finds credentials in the sources of AWS tools, in the same order:
///
/// 1. the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`;
/// 2. a web identity: the token in the file `AWS_WEB_IDENTITY_TOKEN_FILE` for the role `AWS_ROLE_ARN`
///   (`AWS_ROLE_SESSION_NAME`);
/// 3. the shared files: `~/.aws/credentials` and `~/.aws/config` (`AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE`), in
///    the section named by the configuration, `AWS_PROFILE`, or `default`: keys, or `role_arn` with
///    `web_identity_token_file`;
/// 4. the container's service: `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI`, with the token in
///    `AWS_CONTAINER_AUTHORIZATION_TOKEN` or in the file `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`;
/// 5. the machine's metadata service, with a session token (IMDSv2), unless `AWS_EC2_METADATA_DISABLED` is `true`.
///
/// The first source with any setting counts. Incomplete settings there are an error that names the missing part: a
/// later source could have the credentials of a different account. A credentials file without a usable section, and a
/// profile with unsupported settings, are errors, too. With a named profile, the shared files come before the
/// environment.
///
/// Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers".
struct S3CredentialChain: Sendable {
  let environment: [String: String]
  /// The content of a file; nil if it does not exist.
  let readFile: @Sendable (String) throws(S3CredentialError) -> String?
  let profile: String?
  let services: CredentialServices

  init(
    profile: String?, region: String = "us-east-1", transport: any HTTPTransport, clock: any WallClock,
    environment: [String: String] = Platform.environment(),
    readFile: @escaping @Sendable (String) throws(S3CredentialError) -> String? = Self.readSmallFile
  ) {
    self.environment = environment
    self.readFile = readFile
    self.profile = profile ?? environment["AWS_PROFILE"].flatMap { $0.isEmpty ? nil : $0 }
    services = CredentialServices(
      transport: transport, region: region, environment: environment, readFile: readFile)
  }

  func resolve() async -> Result<ResolvedCredentials, S3CredentialError> {
    do throws(S3CredentialError) { return .success(try await find()) } catch { return .failure(error) }
  }

  private func find() async throws(S3CredentialError) -> ResolvedCredentials {
    if profile == nil, let found = try fromEnvironment() { return found }
    if profile == nil, let found = try await fromWebIdentity() { return found }
    if let found = try await fromFiles() { return found }
    if let profile {
      throw S3CredentialError(
        "there is no profile \"\(profile)\" with keys in \(credentialsPath) or \(configPath); add [\(profile)] with "
          + "aws_access_key_id and aws_secret_access_key, or unset AWS_PROFILE")
    }
    if let found = try await services.container() { return found }
    if let found = try await services.instance() { return found }
    throw S3CredentialError(
      "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, write them into \(credentialsPath), "
        + "or give the machine or the container a role")
  }

  private func fromEnvironment() throws(S3CredentialError) -> ResolvedCredentials? {
    let key = value("AWS_ACCESS_KEY_ID")
    let secret = value("AWS_SECRET_ACCESS_KEY")
    guard key != nil || secret != nil else { return nil }
    guard let key else { throw Self.half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID") }
    guard let secret else { throw Self.half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") }
    return try Self.checked(
      S3Credentials(
        accessKeyID: key, secretAccessKey: Secret(secret), sessionToken: value("AWS_SESSION_TOKEN").map { Secret($0) }),
      source: "the environment")
  }

  /// The role of a web identity, as in the environment of a Kubernetes pod with a service account's role.
  private func fromWebIdentity() async throws(S3CredentialError) -> ResolvedCredentials? {
    guard let tokenFile = value("AWS_WEB_IDENTITY_TOKEN_FILE") else { return nil }
    guard let role = value("AWS_ROLE_ARN") else { throw Self.half("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN") }
    return try await services.assume(
      WebIdentity(
        tokenFile: tokenFile, role: role,
        sessionName: value("AWS_ROLE_SESSION_NAME") ?? WebIdentity.defaultSessionName,
        source: "AWS_WEB_IDENTITY_TOKEN_FILE"))
  }

  private func fromFiles() async throws(S3CredentialError) -> ResolvedCredentials? {
    let name = profile ?? "default"
    let credentialsFile = try readFile(credentialsPath).map { SharedFile($0) }
    let configFile = try readFile(configPath).map { SharedFile($0) }
    let ofCredentials = Section(
      values: credentialsFile?.sections[name] ?? [:], source: "[\(name)] in \(credentialsPath)")
    let ofConfig = Section(
      values: configFile?.profile(name) ?? [:],
      source: "[\(name == "default" ? name : "profile \(name)")] in \(configPath)")
    // The order of AWS tools: a role, single sign-on, keys of the credentials file, a process, keys of the
    // configuration file.
    for section in [ofCredentials, ofConfig] {
      if let role = section["role_arn"] { return try await assume(role, section) }
      if let setting = ["sso_session", "sso_start_url", "sso_account_id"].first(where: { section[$0] != nil }) {
        throw Self.unsupported(setting, section)
      }
    }
    if let found = try Self.keys(of: ofCredentials) { return found }
    for section in [ofCredentials, ofConfig] where section["credential_process"] != nil {
      throw Self.unsupported("credential_process", section)
    }
    if let found = try Self.keys(of: ofConfig) { return found }
    if profile == nil { try refuseUnusable(credentialsFile) }
    return nil
  }

  /// Throws for a credentials file without a usable section. Ignoring it could find credentials of a different account.
  private func refuseUnusable(_ file: SharedFile?) throws(S3CredentialError) {
    let isNamed = value("AWS_SHARED_CREDENTIALS_FILE").map { $0 != "/dev/null" } ?? false
    guard let file else {
      guard isNamed else { return }
      throw S3CredentialError(
        "AWS_SHARED_CREDENTIALS_FILE names \(credentialsPath), which does not exist; correct or unset it")
    }
    guard isNamed || !file.sections.isEmpty || file.hasStraySettings else { return }
    let existing = file.sections.keys.sorted().joined(separator: ", ")
    throw S3CredentialError(
      "\(credentialsPath) has no section [default] with keys"
        + (file.hasStraySettings
          ? ", and settings before the first section" : existing.isEmpty ? "" : "; it has \(existing)")
        + ". Name a section with AWS_PROFILE or the setting profile, add [default], or remove the file to use the next "
        + "source")
  }

  /// A section of a shared file. A setting without a value counts as missing.
  private struct Section {
    var values: [String: String]
    /// For messages.
    var source: String
    subscript(_ name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }
  }

  private func assume(_ role: String, _ section: Section) async throws(S3CredentialError) -> ResolvedCredentials {
    guard let tokenFile = section["web_identity_token_file"] else { throw Self.unsupported("role_arn", section) }
    return try await services.assume(
      WebIdentity(
        tokenFile: tokenFile, role: role,
        sessionName: section["role_session_name"] ?? WebIdentity.defaultSessionName, source: section.source))
  }

  private static func unsupported(_ setting: String, _ section: Section) -> S3CredentialError {
    let hint = setting == "role_arn" ? " without web_identity_token_file" : ""
    return S3CredentialError(
      "\(section.source) uses \(setting)\(hint), which is not supported; put keys there (aws configure "
        + "export-credentials prints them), or give the machine or the container the role")
  }

  private static func keys(of section: Section) throws(S3CredentialError) -> ResolvedCredentials? {
    let (key, secret) = (section["aws_access_key_id"], section["aws_secret_access_key"])
    guard key != nil || secret != nil else { return nil }
    guard let key else { throw half("aws_secret_access_key in \(section.source)", "aws_access_key_id") }
    guard let secret else { throw half("aws_access_key_id in \(section.source)", "aws_secret_access_key") }
    return try checked(
      S3Credentials(
        accessKeyID: key, secretAccessKey: Secret(secret), sessionToken: section["aws_session_token"].map { Secret($0) }
      ),
      source: section.source)
  }

  private static func checked(
    _ credentials: S3Credentials, source: String
  ) throws(S3CredentialError) -> ResolvedCredentials {
    if let problem = credentials.problem { throw S3CredentialError("in \(source) \(problem)") }
    return ResolvedCredentials(credentials: credentials, expiration: nil, source: source)
  }

  private static func half(_ present: String, _ missing: String) -> S3CredentialError {
    S3CredentialError("\(present) is set, but \(missing) is not; set both, or neither")
  }

  private func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

  private var credentialsPath: String { value("AWS_SHARED_CREDENTIALS_FILE") ?? inHome("credentials") }
  private var configPath: String { value("AWS_CONFIG_FILE") ?? inHome("config") }
  private func inHome(_ name: String) -> String { (value("HOME") ?? "~") + "/.aws/" + name }

  /// Reads a file of at most 1 MiB. Blocks.
  static let readSmallFile: @Sendable (String) throws(S3CredentialError) -> String? = {
    (path) throws(S3CredentialError) in
    let bytes: [UInt8]
    do throws(PlatformError) {
      bytes = try Platform.contents(ofFile: path, limit: 1 << 20)
    } catch {
      if error.isMissing { return nil }
      throw S3CredentialError("\(path) cannot be read: \(error); make it readable, or name a different file")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw S3CredentialError("\(path) is not UTF-8 text")
    }
    return text
  }
}
