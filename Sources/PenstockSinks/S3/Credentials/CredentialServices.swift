import PenstockLog
import PenstockSupport

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The services that give credentials over HTTP: the container's, the machine's, and the one that gives a role for a
/// token (``assume(_:)``).
struct CredentialServices: Sendable {
  let transport: any HTTPTransport
  /// Whose token service is asked.
  var region = "us-east-1"
  let environment: [String: String]
  let readFile: @Sendable (String) throws(S3CredentialError) -> String?

  /// Both are on this machine or beside it; a machine without them must not be waited for.
  private static let timeout = Duration.seconds(2)
  static let attempts = 3

  // MARK: The container's

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
        "AWS_CONTAINER_CREDENTIALS_FULL_URI is not an address that begins with http:// or https://")
    }
    // A token sent in the clear to anywhere else could be read on the way.
    guard scheme == "https" || Self.isBesideUs(host) else {
      throw S3CredentialError(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI leads to \(host) without TLS; only this machine and the container services' "
          + "own addresses may be asked so, use https:// for others")
    }
    return text
  }

  private static func isBesideUs(_ host: String) -> Bool {
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
        throw S3CredentialError("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names \(path), which is not there")
      }
      token = text.split(whereSeparator: \.isNewline).first.map { String($0).trimmingBlanks() } ?? ""
    }
    guard token.map({ $0.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }) ?? true else {
      throw S3CredentialError("the container's authorization token has characters that no header may have")
    }
    return token
  }

  // MARK: The machine's

  /// Nil when there is no such service, as on a machine outside Amazon's, or no role.
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
        "this machine has no role; attach an instance profile that may write to the bucket, or set keys")
    }
    let role =
      String(decoding: roles.body, as: UTF8.self).split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    guard !role.isEmpty else {
      throw S3CredentialError(
        "this machine has no role; attach an instance profile that may write to the bucket, or set keys")
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
        problem = "gave no answer: \(error)"
        continue
      }
      if answer.status == 200 || answer.status == missing { return answer }
      problem = "answered \(statusWords(answer.status))"
      // Told that we may not: asking again is no use.
      if (400..<500).contains(answer.status), answer.status != 429 {
        throw S3CredentialError("\(service) \(problem); the role or the authorization token is not the one it expects")
      }
    }
    throw S3CredentialError("\(service) \(problem), \(Self.attempts) times; it is asked again later", isTemporary: true)
  }

  func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
}

/// What both services answer: `{"AccessKeyId": …, "SecretAccessKey": …, "Token": …, "Expiration": "2026-02-28T23:59:58Z"}`.
struct CredentialDocument: Decodable {
  private var AccessKeyId: String?
  private var SecretAccessKey: String?
  private var Token: String?
  private var Expiration: String?
  private var Code: String?
  private var Message: String?

  static func read(_ bytes: [UInt8], source: String) throws(S3CredentialError) -> ResolvedCredentials {
    guard let document = try? JSONDecoder().decode(Self.self, from: Data(bytes)) else {
      throw S3CredentialError("what \(source) answered is no JSON document with credentials", isTemporary: true)
    }
    if let code = document.Code, code != "Success" {
      throw S3CredentialError(
        "\(source) answered \(code): \(document.Message ?? ""); look at the role's trust policy", isTemporary: true)
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
      throw S3CredentialError("\(source) gave the expiration \"\(text)\", which is no date and time")
    }
    // A year that nanoseconds do not reach is as good as never, and one before 1970 as good as now.
    return Timestamp(seconds: Double(max(0, time.secondsSince1970)))
  }
}
