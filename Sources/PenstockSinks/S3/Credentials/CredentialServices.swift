import PenstockLog
import PenstockSupport

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Gets credentials over HTTP from the container's service, the machine's metadata service, or the Security Token
/// Service (``assume(_:)``).
struct CredentialServices: Sendable {
  let transport: any HTTPTransport
  /// The region of the Security Token Service.
  var region = "us-east-1"
  let environment: [String: String]
  let readFile: @Sendable (String) throws(S3CredentialError) -> String?

  /// Short, because both services are local, and a machine without them must not wait.
  private static let timeout = Duration.seconds(2)
  static let attempts = 3

  // MARK: Container

  func container() async throws(S3CredentialError) -> ResolvedCredentials? {
    guard let url = try containerURL() else { return nil }
    var headers: [(name: String, value: String)] = [(name: "accept", value: "application/json")]
    if let token = try containerToken() { headers.append((name: "authorization", value: token)) }
    let answer = try await ask("GET", url, headers, service: "the container's credential service")
    return try CredentialDocument.read(answer.body, source: "the container's credential service")
  }

  private func containerURL() throws(S3CredentialError) -> String? {
    if let path = value("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
      guard path.hasPrefix("/") else {
        throw S3CredentialError("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with a slash")
      }
      return "http://169.254.170.2" + path
    }
    guard let text = value("AWS_CONTAINER_CREDENTIALS_FULL_URI") else { return nil }
    guard let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(), let host = parts.host,
      scheme == "http" || scheme == "https"
    else {
      throw S3CredentialError(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL that begins with http:// or https://")
    }
    // Others could read a token that is sent without TLS over a network.
    guard scheme == "https" || Self.isLocal(host) else {
      throw S3CredentialError(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI names \(host) without TLS; that is only allowed for this machine and the "
          + "addresses of the container services, use https:// for others")
    }
    return text
  }

  private static func isLocal(_ host: String) -> Bool {
    let host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
    if ["localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"].contains(host.lowercased()) {
      return true
    }
    let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
    return numbers.count == 4 && numbers[0] == "127" && numbers.allSatisfy { UInt8($0) != nil }
  }

  private func containerToken() throws(S3CredentialError) -> String? {
    var token = value("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if let path = value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
      guard let text = try readFile(path) else {
        throw S3CredentialError("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names \(path), which does not exist")
      }
      token = text.split(whereSeparator: \.isNewline).first.map { String($0).trimmingBlanks() } ?? ""
    }
    guard token.map({ $0.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }) ?? true else {
      throw S3CredentialError("the container's authorization token has characters that are not allowed in a header")
    }
    return token
  }

  // MARK: Machine

  /// Nil if there is no metadata service, as outside Amazon EC2. Throws if the machine has no role.
  func instance() async throws(S3CredentialError) -> ResolvedCredentials? {
    guard value("AWS_EC2_METADATA_DISABLED")?.lowercased() != "true" else { return nil }
    var endpoint = value("AWS_EC2_METADATA_SERVICE_ENDPOINT") ?? "http://169.254.169.254"
    if endpoint.hasSuffix("/") { endpoint.removeLast() }
    let service = "the machine's metadata service"
    let session = TransportRequest(
      method: "PUT", url: endpoint + "/latest/api/token",
      headers: [(name: "x-aws-ec2-metadata-token-ttl-seconds", value: "21600")], timeout: .seconds(1))
    let token: String
    do throws(TransportError) {
      let answer = try await transport.send(session)
      guard answer.status == 200, !answer.body.isEmpty else { return nil }
      token = String(decoding: answer.body, as: UTF8.self).trimmingBlanks()
    } catch {
      return nil
    }
    let headers = [(name: "x-aws-ec2-metadata-token", value: token)]
    let list = endpoint + "/latest/meta-data/iam/security-credentials/"
    let roles = try await ask("GET", list, headers, service: service, missing: 404)
    guard roles.status == 200 else {
      throw S3CredentialError(
        "this machine has no role; attach an instance profile with access to the bucket, or set keys")
    }
    let role =
      String(decoding: roles.body, as: UTF8.self).split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    guard !role.isEmpty else {
      throw S3CredentialError(
        "this machine has no role; attach an instance profile with access to the bucket, or set keys")
    }
    let answer = try await ask(
      "GET", list + PercentEncoding.encode(role.utf8), headers, service: service)
    return try CredentialDocument.read(answer.body, source: "\(service), role \(role)")
  }

  // MARK: -

  private func ask(
    _ method: String, _ url: String, _ headers: [(name: String, value: String)], service: String, missing: Int? = nil
  ) async throws(S3CredentialError) -> TransportResponse {
    var problem = ""
    let request = TransportRequest(method: method, url: url, headers: headers, timeout: Self.timeout)
    for _ in 0..<Self.attempts {
      let answer: TransportResponse
      do throws(TransportError) {
        answer = try await transport.send(request)
      } catch {
        problem = "did not respond: \(error)"
        continue
      }
      if answer.status == 200 || answer.status == missing { return answer }
      problem = "answered \(statusWords(answer.status))"
      // Access is denied, so a retry does not help.
      if (400..<500).contains(answer.status), answer.status != 429 {
        throw S3CredentialError("\(service) \(problem); check the role and the authorization token")
      }
    }
    throw S3CredentialError("\(service) \(problem), \(Self.attempts) times; will be retried later", isTemporary: true)
  }

  func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
}

/// The response of both services, such as `{"AccessKeyId": …, "SecretAccessKey": …, "Token": …, "Expiration":
/// "2026-02-28T23:59:58Z"}`.
struct CredentialDocument: Decodable {
  private var AccessKeyId: String?
  private var SecretAccessKey: String?
  private var Token: String?
  private var Expiration: String?
  private var Code: String?
  private var Message: String?

  static func read(_ bytes: [UInt8], source: String) throws(S3CredentialError) -> ResolvedCredentials {
    guard let document = try? JSONDecoder().decode(Self.self, from: Data(bytes)) else {
      throw S3CredentialError("the response of \(source) is not a JSON document with credentials", isTemporary: true)
    }
    if let code = document.Code, code != "Success" {
      throw S3CredentialError(
        "\(source) answered \(code): \(document.Message ?? ""); check the role's trust policy", isTemporary: true)
    }
    guard let key = document.AccessKeyId, let secret = document.SecretAccessKey else {
      throw S3CredentialError("\(source) answered without AccessKeyId or SecretAccessKey", isTemporary: true)
    }
    let credentials = S3Credentials(
      accessKeyID: key, secretAccessKey: Secret(secret), sessionToken: document.Token.map { Secret($0) })
    if let problem = credentials.problem { throw S3CredentialError("from \(source), \(problem)") }
    let expiration = try document.Expiration.map { (text) throws(S3CredentialError) in
      try Self.expiration(text, source: source)
    }
    return ResolvedCredentials(credentials: credentials, expiration: expiration, source: source)
  }

  static func expiration(_ text: String, source: String) throws(S3CredentialError) -> Timestamp {
    guard let time = CivilTime(internetDate: text) else {
      throw S3CredentialError("\(source) returned the expiration \"\(text)\", which is not a date and time")
    }
    // A year beyond the range of nanoseconds means never; a time before 1970 means now.
    return Timestamp(seconds: Double(max(0, time.secondsSince1970)))
  }
}
