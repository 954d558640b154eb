import PenstockLog
import Testing

@testable import PenstockSinks

/// The role of a web identity, and sources of credentials that are announced and of no use.
@Suite("Credentials of a web identity")
struct WebIdentityTests {
  private typealias Found = (
    result: Result<ResolvedCredentials, S3CredentialError>, requests: [TransportRequest], left: Int
  )

  private func resolve(
    _ environment: [String: String], files: [String: String] = [:], profile: String? = nil,
    region: String = "eu-west-1",
    _ steps: ScriptedTransport.Step...
  ) async -> Found {
    let transport = ScriptedTransport(steps)
    let chain = S3CredentialChain(
      profile: profile, region: region, transport: transport, clock: FixedClock(),
      environment: ["HOME": "/h"].merging(environment) { $1 }, readFile: { files[$0] })
    return (await chain.resolve(), transport.requests, transport.stepsLeft)
  }

  private func expectError(_ found: Found, _ words: String..., temporary: Bool = false) {
    guard case .failure(let error) = found.result else {
      Issue.record("credentials were found: \(found.result)")
      return
    }
    for word in words { #expect(error.message.contains(word), "\(error)") }
    #expect(error.isTemporary == temporary && !error.message.contains("hunter2"), "\(error)")
  }

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

  @Test("are those of the role, from the region's own service, before anything that stands in files")
  func assumed() async throws {
    let files = ["/token": "hunter2.a+b\n", "/h/.aws/credentials": Self.keys]
    let found = await resolve(Self.variables, files: files, ScriptedTransport.answer(200, [], Self.answer))
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
      String(decoding: request.body, as: UTF8.self)
        == "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
        + "&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fwriter&RoleSessionName=penstock"
        + "&WebIdentityToken=hunter2.a%2Bb"
    )
    // Keys in the environment are meant first, as by every AWS tool.
    let keys = ["AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"].merging(Self.variables) { $1 }
    #expect(try await resolve(keys, files: files).result.get().credentials.accessKeyID == "ENV")
  }

  @Test(
    "are asked for where AWS tools are told to",
    arguments: [
      (["AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9000"], "eu-west-1", "http://127.0.0.1:9000/"),
      (
        ["AWS_ENDPOINT_URL_STS": "https://sts.test/x", "AWS_ENDPOINT_URL": "https://no.test"], "eu-west-1",
        "https://sts.test/x"
      ),
      (["AWS_ENDPOINT_URL": "https://minio.test"], "eu-west-1", "https://minio.test/"),
      ([:], "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/"),
    ] as [([String: String], String, String)])
  func endpoint(variables: [String: String], region: String, url: String) async {
    let found = await resolve(
      Self.variables.merging(variables) { $1 }, files: ["/token": "web.identity"], region: region,
      ScriptedTransport.answer(200, [], Self.answer))
    #expect(found.requests.map(\.url) == [url])
  }

  @Test("may stand in a profile, with a session name")
  func inProfile() async throws {
    let config =
      "[profile pod]\nrole_arn = \(Self.role)\nweb_identity_token_file = /token\nrole_session_name = mine\n"
    let found = await resolve(
      [:], files: ["/token": "web.identity", "/h/.aws/config": config], profile: "pod",
      ScriptedTransport.answer(200, [], Self.answer))
    #expect(try found.result.get().credentials.accessKeyID == "ROLE")
    #expect(
      found.requests.first.map { String(decoding: $0.body, as: UTF8.self).contains("RoleSessionName=mine&") } == true)
  }

  @Test("that cannot be had are never made up for by somebody else's")
  func neverSkipped() async {
    let keys = ["/h/.aws/credentials": Self.keys]
    expectError(await resolve(Self.variables, files: keys), "/token", "does not exist")
    for token in ["", "\n", "two words", "é"] {
      expectError(await resolve(Self.variables, files: keys.merging(["/token": token]) { $1 }), "no valid token")
    }
    expectError(await resolve(["AWS_WEB_IDENTITY_TOKEN_FILE": "/token"], files: keys), "AWS_ROLE_ARN is not")
    expectError(
      await resolve(
        Self.variables.merging(["AWS_ENDPOINT_URL_STS": "sts"]) { $1 }, files: ["/token": "web.identity"]),
      "AWS_ENDPOINT_URL_STS")
    let refusal =
      "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not hunter2</Message></Error>"
      + "</ErrorResponse>"
    let refused = await resolve(
      Self.variables, files: keys.merging(["/token": "hunter2"]) { $1 }, ScriptedTransport.answer(403, [], refusal))
    expectError(refused, "answered 403", "AccessDenied", "trust policy")
  }

  @Test("are asked for three times where the service cannot answer just now")
  func service() async {
    let down = await resolve(
      Self.variables, files: ["/token": "web.identity"], ScriptedTransport.answer(503),
      ScriptedTransport.fail(.timeout),
      ScriptedTransport.answer(
        400, [], "<ErrorResponse><Error><Code>IDPCommunicationError</Code></Error></ErrorResponse>"))
    expectError(down, "IDPCommunicationError", "3 times", temporary: true)
    #expect(down.left == 0)
    let again = await resolve(
      Self.variables, files: ["/token": "web.identity"], ScriptedTransport.answer(500),
      ScriptedTransport.answer(200, [], Self.answer))
    #expect((try? again.result.get().credentials.accessKeyID) == "ROLE")
    expectError(
      await resolve(Self.variables, files: ["/token": "web.identity"], ScriptedTransport.answer(200, [], "<x/>")),
      "is not a document with credentials", temporary: true)
  }

  // MARK: Other sources

  @Test("A credentials file that is there, or named, and has no usable section is refused, and no service is asked")
  func unusableFile() async {
    let dev = "[dev]\naws_access_key_id = DEV\naws_secret_access_key = s"
    expectError(await resolve([:], files: ["/h/.aws/credentials": dev]), "no section [default]", "it has dev")
    expectError(await resolve([:], files: ["/h/.aws/credentials": "aws_access_key_id = X"]), "before the first section")
    let named = ["AWS_SHARED_CREDENTIALS_FILE": "/mounted"]
    expectError(await resolve(named), "/mounted", "does not exist")
    for text in ["", "[default]\nregion = x", dev] {
      expectError(await resolve(named, files: ["/mounted": text]), "/mounted has no section [default]")
    }
    // Nothing is announced by an empty file that nobody named, or by the name that stands for none.
    for environment in [[:], ["AWS_SHARED_CREDENTIALS_FILE": "/dev/null"]] {
      let none = await resolve(
        environment,
        files: ["/h/.aws/credentials": "# none yet\n", "/dev/null": "", "/h/.aws/config": "[default]\nregion = x"],
        ScriptedTransport.fail(.timeout))
      expectError(none, "no credentials were found")
    }
  }

  @Test(
    "A profile that uses what is not supported is refused, whatever keys stand beside it",
    arguments: ["role_arn = x\nsource_profile = default", "sso_session = x", "sso_start_url = x"])
  func unsupported(setting: String) async {
    let files = ["/h/.aws/credentials": Self.keys, "/h/.aws/config": "[default]\n\(setting)"]
    let found = await resolve([:], files: files)
    expectError(found, "not supported", "[default] in /h/.aws/config")
    // AWS tools take keys of the credentials file before they start a process.
    let process = ["/h/.aws/credentials": Self.keys, "/h/.aws/config": "[default]\ncredential_process = x"]
    #expect((try? await resolve([:], files: process).result.get().credentials.accessKeyID) == "SOMEBODY")
    expectError(await resolve([:], files: ["/h/.aws/config": "[default]\ncredential_process = x"]), "not supported")
  }

  @Test(
    "Shared files are read as AWS tools read them: profile default, settings further in, byte order marks",
    arguments: [
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
  func sharedFiles(text: String, isFound: Bool) async {
    let environment = ["AWS_EC2_METADATA_DISABLED": "true"]
    let found = await resolve(environment, files: ["/h/.aws/config": text])
    #expect((try? found.result.get().credentials.accessKeyID) == (isFound ? "K" : nil))
    if !text.contains("profile") {
      let keys = await resolve(environment, files: ["/h/.aws/credentials": text])
      #expect((try? keys.result.get().credentials.accessKeyID) == (isFound ? "K" : nil))
    }
  }

  @Test("A key or token with a line feed, or with blanks around it, is refused with the reason")
  func lineFeeds() async {
    for (key, secret, token) in [
      ("K", "hunter2\n", ""), ("K\n", "s", ""), ("K", " hunter2", ""), ("K", "s", "hunter2\r\n"),
    ] {
      var variables = ["AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret]
      if !token.isEmpty { variables["AWS_SESSION_TOKEN"] = token }
      expectError(await resolve(variables), "the environment")
    }
    #expect(
      S3Credentials(accessKeyID: "K", secretAccessKey: Secret("a\nb")).problem?.contains("line feed") == true)
    #expect(S3Credentials(accessKeyID: "K", secretAccessKey: Secret("with a blank")).problem == nil)
  }

  @Test("The region is the environment's unless it is set")
  func region() {
    #expect(S3Configuration.region([:]) == "us-east-1")
    #expect(S3Configuration.region(["AWS_REGION": "", "AWS_DEFAULT_REGION": "b"]) == "b")
    #expect(S3Configuration.region(["AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"]) == "a")
    #expect(S3Configuration(bucket: "acme", region: "c").region == "c")
  }

  @Test("A file of authorities that AWS_CA_BUNDLE names is read, and one that cannot be is told at once")
  func bundle() throws {
    let configuration = S3Configuration(bucket: "acme")
    expectSinkError(containing: "/missing/ca.pem") {
      _ = try configuration.makeTransports(["AWS_CA_BUNDLE": "/missing/ca.pem"])
    }
    var own = configuration
    own.tls.authorities = "/missing/own.pem"
    expectSinkError(containing: "/missing/own.pem") { _ = try own.makeTransports([:]) }
  }
}
