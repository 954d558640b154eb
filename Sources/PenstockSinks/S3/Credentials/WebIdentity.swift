import PenstockLog

/// A role with the token of an external identity provider, such as a Kubernetes service account.
struct WebIdentity: Sendable, Hashable {
  var tokenFile: String
  var role: String
  var sessionName: String
  /// The source of these settings, for messages.
  var source: String

  static let defaultSessionName = "penstock"
}

/// Exchanges a web identity's token for credentials: AssumeRoleWithWebIdentity of the Security Token Service. AWS
/// Security Token Service API Reference, version 2011-06-15.
extension CredentialServices {
  private static let service = "the security token service"
  private static let timeout = Duration.seconds(10)

  func assume(_ identity: WebIdentity) async throws(S3CredentialError) -> ResolvedCredentials {
    let endpoint = try tokenServiceURL()
    // Read the file each time: the issuer replaces it before the token expires.
    guard let text = try readFile(identity.tokenFile) else {
      throw S3CredentialError(
        "\(identity.source) names the token file \(identity.tokenFile), which does not exist; mount it, or unset "
          + "the setting")
    }
    let token = String(text.drop(while: \.isWhitespace).prefix { !$0.isWhitespace })
    guard !token.isEmpty, token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
      text.split(whereSeparator: \.isWhitespace).count == 1
    else {
      throw S3CredentialError(
        "the token file \(identity.tokenFile) of \(identity.source) is empty or has no valid token")
    }
    let fields = [
      ("Action", "AssumeRoleWithWebIdentity"), ("Version", "2011-06-15"), ("RoleArn", identity.role),
      ("RoleSessionName", identity.sessionName), ("WebIdentityToken", token),
    ]
    let form = fields.map { "\($0.0)=\(PercentEncoding.encode($0.1.utf8))" }.joined(separator: "&")
    let answer = try await ask(
      TransportRequest(
        method: "POST", url: endpoint,
        headers: [
          (name: "content-type", value: "application/x-www-form-urlencoded; charset=utf-8"),
          (name: "accept", value: "application/xml"),
        ], body: Array(form.utf8), timeout: Self.timeout), token: Secret(token))
    return try TokenServiceAnswer.read(answer.body, source: "\(Self.service) for \(identity.role)")
  }

  /// The region's endpoint, unless the environment sets another one, as for AWS tools.
  private func tokenServiceURL() throws(S3CredentialError) -> String {
    for name in ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"] {
      guard let text = value(name) else { continue }
      guard let url = try? DestinationURL(text), url.query == nil else {
        throw S3CredentialError("\(name) is not a URL that begins with http:// or https://")
      }
      return url.string()
    }
    return "https://sts.\(region).amazonaws.com\(region.hasPrefix("cn-") ? ".cn" : "")/"
  }

  private func ask(_ request: TransportRequest, token: Secret) async throws(S3CredentialError) -> TransportResponse {
    var problem = ""
    for _ in 0..<Self.attempts {
      let answer: TransportResponse
      do throws(TransportError) { answer = try await transport.send(request) } catch {
        problem = "did not respond: \(error)"
        continue
      }
      if answer.status == 200 { return answer }
      let words = TokenServiceAnswer.problem(answer.body)
      problem = "answered \(answer.status)"
      if let words { problem += ", " + OutcomeClassifier.excerpt(Array(words.text.utf8), secrets: [token]) }
      let isTransient = answer.status == 429 || answer.status >= 500 || words?.isTransient == true
      guard isTransient else {
        throw S3CredentialError("\(Self.service) \(problem); check the token, the role and its trust policy")
      }
    }
    throw S3CredentialError(
      "\(Self.service) \(problem), \(Self.attempts) times; will be retried later", isTemporary: true)
  }
}

/// The responses of the Security Token Service.
enum TokenServiceAnswer {
  private struct Success: Decodable {
    struct Result: Decodable {
      var Credentials: Keys
    }
    struct Keys: Decodable {
      var AccessKeyId: String
      var SecretAccessKey: String
      var SessionToken: String
      var Expiration: String
    }
    var AssumeRoleWithWebIdentityResult: Result
  }

  private struct Refusal: Decodable {
    struct Body: Decodable {
      var Code: String
      var Message: String?
    }
    var Error: Body
  }

  static func read(_ bytes: [UInt8], source: String) throws(S3CredentialError) -> ResolvedCredentials {
    guard let keys = S3Documents.read(Success.self, bytes)?.AssumeRoleWithWebIdentityResult.Credentials else {
      throw S3CredentialError("the response of \(source) is not a document with credentials", isTemporary: true)
    }
    let credentials = S3Credentials(
      accessKeyID: keys.AccessKeyId, secretAccessKey: Secret(keys.SecretAccessKey),
      sessionToken: Secret(keys.SessionToken))
    if let problem = credentials.problem { throw S3CredentialError("from \(source), \(problem)") }
    return ResolvedCredentials(
      credentials: credentials, expiration: try CredentialDocument.expiration(keys.Expiration, source: source),
      source: source)
  }

  /// The text of an error response, and whether a retry may succeed.
  static func problem(_ bytes: [UInt8]) -> (text: String, isTransient: Bool)? {
    guard let error = S3Documents.read(Refusal.self, bytes)?.Error else { return nil }
    // IDPCommunicationError: the identity provider is not reachable at the moment.
    return ("\(error.Code): \(error.Message ?? "")", ["IDPCommunicationError", "Throttling"].contains(error.Code))
  }
}
