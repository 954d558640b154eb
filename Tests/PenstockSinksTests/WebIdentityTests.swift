import PenstockLog
import Testing

@testable import PenstockSinks

/// The role of a web identity, and sources of credentials that are announced and of no use.
@Suite("Credentials of a web identity") struct WebIdentityTests {
  private static let role = "arn:aws:iam::123456789012:role/writer"
  private static let variables = ["AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": role]
  private static let keys = "[default]\naws_access_key_id = SOMEBODY\naws_secret_access_key = else"
  private static let answer = """
    <AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
      <AssumeRoleWithWebIdentityResult>
        <SubjectFromWebIdentityToken>system:serviceaccount:default:penstock</SubjectFromWebIdentityToken>
        <Credentials>
          <SessionToken>session</SessionToken>
          <SecretAccessKey>secret</SecretAccessKey>
          <Expiration>2026-03-01T06:00:00Z</Expiration>
          <AccessKeyId>ROLE</AccessKeyId>
        </Credentials>
      </AssumeRoleWithWebIdentityResult>
      <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>
    </AssumeRoleWithWebIdentityResponse>
    """

  @Test func `are those of the role, from the region's own service, before anything in files`() async throws {
    let files = ["/token": "hunter2.a+b\n", "/h/.aws/credentials": Self.keys]
    let found = await CredentialSearch(Self.variables, files: files, .answer(200, [], Self.answer))
    let resolved = try found.result.get()
    #expect(
      resolved.credentials
        == S3Credentials(accessKeyID: "ROLE", secretAccessKey: Secret("secret"), sessionToken: Secret("session")))
    #expect(resolved.expiration == Timestamp(nanoseconds: 1_772_344_800_000_000_000))
    let request = try #require(found.requests.first)
    #expect(request.method == "POST" && request.url == "https://sts.eu-west-1.amazonaws.com/")
    #expect(request.header("content-type")?.hasPrefix("application/x-www-form-urlencoded") == true)
    #expect(request.header("authorization") == nil)
    #expect(
      String(decoding: request.body, as: UTF8.self) == "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
        + "&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fwriter&RoleSessionName=penstock"
        + "&WebIdentityToken=hunter2.a%2Bb")
    // Keys in the environment are meant first, as by every AWS tool.
    let keys = ["AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"].merging(Self.variables) { $1 }
    #expect(try await CredentialSearch(keys, files: files).result.get().credentials.accessKeyID == "ENV")
  }

  @Test(
    arguments: [
      (["AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9000"], "eu-west-1", "http://127.0.0.1:9000/"),
      (
        ["AWS_ENDPOINT_URL_STS": "https://sts.test/x", "AWS_ENDPOINT_URL": "https://no.test"], "eu-west-1",
        "https://sts.test/x"
      ),
      (["AWS_ENDPOINT_URL": "https://minio.test"], "eu-west-1", "https://minio.test/"),
      ([:], "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/"),
    ] as [([String: String], String, String)])
  func `are asked for where AWS tools are directed to`(variables: [String: String], region: String, url: String) async {
    let found = await CredentialSearch(
      Self.variables.merging(variables) { $1 }, files: ["/token": "web.identity"], region: region,
      .answer(200, [], Self.answer))
    #expect(found.requests.map(\.url) == [url])
  }

  @Test func `may be in a profile, with a session name`() async throws {
    let config = "[profile pod]\nrole_arn = \(Self.role)\nweb_identity_token_file = /token\nrole_session_name = mine\n"
    let found = await CredentialSearch(
      [:], files: ["/token": "web.identity", "/h/.aws/config": config], profile: "pod", .answer(200, [], Self.answer))
    #expect(try found.result.get().credentials.accessKeyID == "ROLE")
    #expect(
      found.requests.first.map { String(decoding: $0.body, as: UTF8.self).contains("RoleSessionName=mine&") } == true)
  }

  @Test func `that cannot be had are never replaced by others`() async {
    let keys = ["/h/.aws/credentials": Self.keys]
    await CredentialSearch(Self.variables, files: keys).expectError("/token", "does not exist")
    for token in ["", "\n", "two words", "é"] {
      await CredentialSearch(Self.variables, files: keys.merging(["/token": token]) { $1 }).expectError(
        "no valid token")
    }
    await CredentialSearch(["AWS_WEB_IDENTITY_TOKEN_FILE": "/token"], files: keys).expectError("AWS_ROLE_ARN is not")
    await CredentialSearch(
      Self.variables.merging(["AWS_ENDPOINT_URL_STS": "sts"]) { $1 }, files: ["/token": "web.identity"]
    ).expectError("AWS_ENDPOINT_URL_STS")
    let refusal =
      "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not hunter2</Message></Error>"
      + "</ErrorResponse>"
    let refused = await CredentialSearch(
      Self.variables, files: keys.merging(["/token": "hunter2"]) { $1 }, .answer(403, [], refusal))
    refused.expectError("answered 403", "AccessDenied", "trust policy")
  }

  @Test func `are asked for three times where the service cannot answer just now`() async {
    let down = await CredentialSearch(
      Self.variables, files: ["/token": "web.identity"], .answer(503), .fail(.timeout),
      .answer(400, [], "<ErrorResponse><Error><Code>IDPCommunicationError</Code></Error></ErrorResponse>"))
    down.expectError("IDPCommunicationError", "3 times", temporary: true)
    #expect(down.stepsLeft == 0)
    let again = await CredentialSearch(
      Self.variables, files: ["/token": "web.identity"], .answer(500), .answer(200, [], Self.answer))
    #expect(again.key == "ROLE")
    await CredentialSearch(Self.variables, files: ["/token": "web.identity"], .answer(200, [], "<x/>")).expectError(
      "is not a document with credentials", temporary: true)
  }

  // MARK: Other sources

  @Test func `A credentials file without a usable section is refused, and no service is asked`() async {
    let dev = "[dev]\naws_access_key_id = DEV\naws_secret_access_key = s"
    await CredentialSearch([:], files: ["/h/.aws/credentials": dev]).expectError("no section [default]", "it has dev")
    await CredentialSearch([:], files: ["/h/.aws/credentials": "aws_access_key_id = X"]).expectError(
      "before the first section")
    let named = ["AWS_SHARED_CREDENTIALS_FILE": "/mounted"]
    await CredentialSearch(named).expectError("/mounted", "does not exist")
    for text in ["", "[default]\nregion = x", dev] {
      await CredentialSearch(named, files: ["/mounted": text]).expectError("/mounted has no section [default]")
    }
    // Nothing is announced by an empty file that nobody named, or by the name that stands for none.
    for environment in [[:], ["AWS_SHARED_CREDENTIALS_FILE": "/dev/null"]] {
      let none = await CredentialSearch(
        environment,
        files: ["/h/.aws/credentials": "# none yet\n", "/dev/null": "", "/h/.aws/config": "[default]\nregion = x"],
        .fail(.timeout))
      none.expectError("no credentials were found")
    }
  }

  @Test(arguments: ["role_arn = x\nsource_profile = default", "sso_session = x", "sso_start_url = x"])
  func `A profile that uses what is not supported is refused, whatever keys it has`(setting: String) async {
    let files = ["/h/.aws/credentials": Self.keys, "/h/.aws/config": "[default]\n\(setting)"]
    let found = await CredentialSearch([:], files: files)
    found.expectError("not supported", "[default] in /h/.aws/config")
    // AWS tools take keys of the credentials file before they start a process.
    let process = ["/h/.aws/credentials": Self.keys, "/h/.aws/config": "[default]\ncredential_process = x"]
    #expect(await CredentialSearch([:], files: process).key == "SOMEBODY")
    await CredentialSearch([:], files: ["/h/.aws/config": "[default]\ncredential_process = x"]).expectError(
      "not supported")
  }

  @Test(arguments: [
    ("[profile default]\naws_access_key_id = K\naws_secret_access_key = s", true),
    (
      "[default]\naws_access_key_id = X\naws_secret_access_key = s\n"
        + "[profile default]\naws_access_key_id = K\naws_secret_access_key = s",
      true
    ),
    ("[default]\n  aws_access_key_id = K\n  aws_secret_access_key = s\n", true),
    ("[default]\n\taws_access_key_id = K\n\n\taws_secret_access_key = s\n", true),
    ("  [default]\n  aws_access_key_id = K\n  aws_secret_access_key = s\n", true),
    ("\u{FEFF}[default]\r\naws_access_key_id = K\r\naws_secret_access_key = s\r\n", true),
    ("[default]\naws_access_key_id = K\naws_secret_access_key = s\ns3 =\n  aws_access_key_id = NESTED\n", true),
    ("[profile \"default\"]\naws_access_key_id = K\naws_secret_access_key = s", true),
    ("[default]\nregion = x\n  aws_access_key_id = NESTED\n  aws_secret_access_key = s\n", false),
  ])
  func `Shared files are read as AWS tools read them: profile default, settings further in, byte order marks`(
    text: String, isFound: Bool
  ) async {
    let environment = ["AWS_EC2_METADATA_DISABLED": "true"]
    #expect(await CredentialSearch(environment, files: ["/h/.aws/config": text]).key == (isFound ? "K" : nil))
    if !text.contains("profile") {
      #expect(await CredentialSearch(environment, files: ["/h/.aws/credentials": text]).key == (isFound ? "K" : nil))
    }
  }

  @Test func `A key or token with a line feed, or with blanks around it, is refused with the reason`() async {
    for (key, secret, token) in [
      ("K", "hunter2\n", ""), ("K\n", "s", ""), ("K", " hunter2", ""), ("K", "s", "hunter2\r\n"),
    ] {
      var variables = ["AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret]
      if !token.isEmpty { variables["AWS_SESSION_TOKEN"] = token }
      await CredentialSearch(variables).expectError("the environment")
    }
    #expect(S3Credentials(accessKeyID: "K", secretAccessKey: Secret("a\nb")).problem?.contains("line feed") == true)
    #expect(S3Credentials(accessKeyID: "K", secretAccessKey: Secret("with a blank")).problem == nil)
  }

  @Test func `The region is the environment's unless it is set`() {
    #expect(S3Configuration.region([:]) == "us-east-1")
    #expect(S3Configuration.region(["AWS_REGION": "", "AWS_DEFAULT_REGION": "b"]) == "b")
    #expect(S3Configuration.region(["AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"]) == "a")
    #expect(S3Configuration(bucket: "acme", region: "c").region == "c")
  }

  @Test func `A file of authorities that AWS_CA_BUNDLE names is read; one that cannot be read is an error`() throws {
    let configuration = S3Configuration(bucket: "acme")
    expectSinkError(containing: "/missing/ca.pem") {
      _ = try configuration.makeTransports(["AWS_CA_BUNDLE": "/missing/ca.pem"])
    }
    var own = configuration
    own.tls.authorities = "/missing/own.pem"
    expectSinkError(containing: "/missing/own.pem") { _ = try own.makeTransports([:]) }
  }
}
