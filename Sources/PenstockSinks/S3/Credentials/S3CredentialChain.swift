import PenstockDelivery
import PenstockLog

/// Looks for credentials where AWS tools do, in their order:
///
/// 1. the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`;
/// 2. the shared files: `~/.aws/credentials` and `~/.aws/config` (`AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE`), in the
///    section named by the configuration, `AWS_PROFILE`, or `default`;
/// 3. the container's service: `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI`, with the token in
///    `AWS_CONTAINER_AUTHORIZATION_TOKEN` or in the file `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`;
/// 4. the machine's metadata service, with a session token (IMDSv2), unless `AWS_EC2_METADATA_DISABLED` is `true`.
///
/// The first place that says anything counts: half an answer is an error that names what is missing, never a reason to look
/// further, because credentials of somebody else might be found there. A profile that was asked for by name is looked for
/// in the shared files before the environment's keys are.
///
/// Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers".
struct S3CredentialChain: Sendable {
  let environment: [String: String]
  /// The content of a file; nil when there is none.
  let readFile: @Sendable (String) throws(S3CredentialError) -> String?
  let profile: String?
  let services: CredentialServices

  init(
    profile: String?, transport: any HTTPTransport, clock: any WallClock,
    environment: [String: String] = Platform.environment(),
    readFile: @escaping @Sendable (String) throws(S3CredentialError) -> String? = Self.readSmallFile
  ) {
    self.environment = environment
    self.readFile = readFile
    self.profile = profile ?? environment["AWS_PROFILE"].flatMap { $0.isEmpty ? nil : $0 }
    services = CredentialServices(transport: transport, environment: environment, readFile: readFile)
  }

  func resolve() async -> Result<ResolvedCredentials, S3CredentialError> {
    do throws(S3CredentialError) { return .success(try await find()) } catch { return .failure(error) }
  }

  private func find() async throws(S3CredentialError) -> ResolvedCredentials {
    if profile == nil, let found = try fromEnvironment() { return found }
    if let found = try fromFiles() { return found }
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

  private func fromFiles() throws(S3CredentialError) -> ResolvedCredentials? {
    let name = profile ?? "default"
    for (path, section) in [(credentialsPath, name), (configPath, name == "default" ? name : "profile \(name)")] {
      guard let text = try readFile(path) else { continue }
      let file = SharedFile(text)
      guard let values = file.sections[section] else { continue }
      let key = values["aws_access_key_id"].flatMap { $0.isEmpty ? nil : $0 }
      let secret = values["aws_secret_access_key"].flatMap { $0.isEmpty ? nil : $0 }
      guard key != nil || secret != nil else {
        let indirect = ["role_arn", "sso_session", "sso_start_url", "credential_process", "web_identity_token_file"]
        if let setting = indirect.first(where: { values[$0] != nil }) {
          throw S3CredentialError(
            "[\(section)] in \(path) uses \(setting), which is not supported; put keys there (aws configure "
              + "export-credentials prints some), or give the machine or the container the role")
        }
        continue
      }
      guard let key else { throw Self.half("aws_secret_access_key in [\(section)] of \(path)", "aws_access_key_id") }
      guard let secret else { throw Self.half("aws_access_key_id in [\(section)] of \(path)", "aws_secret_access_key") }
      return try Self.checked(
        S3Credentials(
          accessKeyID: key, secretAccessKey: Secret(secret),
          sessionToken: values["aws_session_token"].flatMap { $0.isEmpty ? nil : Secret($0) }),
        source: "[\(section)] in \(path)")
    }
    return nil
  }

  private static func checked(
    _ credentials: S3Credentials, source: String
  ) throws(S3CredentialError) -> ResolvedCredentials {
    if let problem = credentials.problem { throw S3CredentialError("in \(source) \(problem)") }
    return ResolvedCredentials(credentials: credentials, expiration: nil, source: source)
  }

  private static func half(_ present: String, _ missing: String) -> S3CredentialError {
    S3CredentialError("\(present) is set, and \(missing) is not; set both, or neither")
  }

  private func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

  private var credentialsPath: String { value("AWS_SHARED_CREDENTIALS_FILE") ?? inHome("credentials") }
  private var configPath: String { value("AWS_CONFIG_FILE") ?? inHome("config") }
  private func inHome(_ name: String) -> String { (value("HOME") ?? "~") + "/.aws/" + name }

  /// At most 1 MiB.
  static let readSmallFile: @Sendable (String) throws(S3CredentialError) -> String? = {
    (path) throws(S3CredentialError) in
    let bytes: [UInt8]
    do throws(PlatformError) {
      bytes = try Platform.contents(ofFile: path, limit: 1 << 20)
    } catch {
      if error.isMissing { return nil }
      throw S3CredentialError("\(path) cannot be read: \(error); make it readable, or name another file")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw S3CredentialError("\(path) is not UTF-8 text")
    }
    return text
  }
}

/// A file in the form of `~/.aws/credentials`: sections in brackets, `name = value`, comments behind `#` or `;`.
struct SharedFile {
  private(set) var sections: [String: [String: String]] = [:]

  /// Lenient, as every reader of these files is: what it does not understand it passes over.
  init(_ text: String) {
    var section: String?
    for line in text.split(whereSeparator: \.isNewline) {
      // A nested setting, as below `s3 =`, is none of ours.
      let isNested = line.first == " " || line.first == "\t"
      let line = String(line).trimmingBlanks()
      guard !line.isEmpty, !line.hasPrefix("#"), !line.hasPrefix(";") else { continue }
      if line.hasPrefix("["), let end = line.firstIndex(of: "]") {
        let words = line[line.index(after: line.startIndex)..<end].split { $0 == " " || $0 == "\t" }
        let name = words.joined(separator: " ")
        section = name
        sections[name, default: [:]] = sections[name] ?? [:]
      } else if let current = section, !isNested, let equals = line.firstIndex(of: "=") {
        let name = String(line[..<equals]).trimmingBlanks().lowercased()
        var value = String(line[line.index(after: equals)...]).trimmingBlanks()
        if let comment = value.range(ofComment: " #") ?? value.range(ofComment: " ;") {
          value = String(value[..<comment]).trimmingBlanks()
        }
        sections[current]?[name] = value
      }
    }
  }
}

extension String {
  fileprivate func range(ofComment mark: String) -> Index? {
    indices.first { self[$0...].hasPrefix(mark) }
  }
}
