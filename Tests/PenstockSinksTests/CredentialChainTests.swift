import PenstockLog
import Testing

@testable import PenstockSinks
import PenstockSupport

/// Every place credentials are looked for in, and every way in which a place says only half.
struct CredentialChainTests {
  private func resolve(
    _ environment: [String: String], files: [String: String] = [:], profile: String? = nil,
    _ steps: ScriptedTransport.Step...
  ) async -> (result: Result<ResolvedCredentials, S3CredentialError>, requests: [TransportRequest], left: Int) {
    let transport = ScriptedTransport(steps)
    let chain = S3CredentialChain(
      profile: profile, transport: transport, clock: FixedClock(),
      environment: ["HOME": "/h"].merging(environment) { $1 }, readFile: { files[$0] })
    return (await chain.resolve(), transport.requests, transport.stepsLeft)
  }

  private func key(_ result: Result<ResolvedCredentials, S3CredentialError>) -> String? {
    try? result.get().credentials.accessKeyID
  }

  private func expectError(
    _ result: Result<ResolvedCredentials, S3CredentialError>, _ words: String..., temporary: Bool = false,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    guard case .failure(let error) = result else {
      Issue.record("credentials were found: \(result)", sourceLocation: sourceLocation)
      return
    }
    for word in words { #expect(error.message.contains(word), "\(error)", sourceLocation: sourceLocation) }
    #expect(error.isTemporary == temporary, sourceLocation: sourceLocation)
    #expect(!error.message.contains("hunter2"), sourceLocation: sourceLocation)
  }

  private static let file = """
    # keys
    [default]
    aws_access_key_id = DEFAULT   # mine
    aws_secret_access_key=hunter2
    s3 =
      aws_access_key_id = NESTED
    [ other ]
    AWS_ACCESS_KEY_ID = OTHER
    aws_secret_access_key = hunter2
    aws_session_token = token
    [half]
    aws_access_key_id = HALF
    [role]
    role_arn = arn:aws:iam::1:role/x
    """
  private static let document =
    #"{"Code":"Success","AccessKeyId":"SERVICE","SecretAccessKey":"hunter2","Token":"t","#
    + #""Expiration":"2026-03-01T06:00:00Z"}"#

  @Test(
    "credentials that end in a year beyond nanoseconds never expire, and those that ended long ago are no use",
    arguments: [("9999-12-31T23:59:59Z", Int64.max), ("0000-01-01T00:00:00Z", 0)])
  func farExpiration(text: String, nanoseconds: Int64) throws {
    let document = #"{"AccessKeyId":"A","SecretAccessKey":"hunter2","Expiration":"\#(text)"}"#
    let found = try CredentialDocument.read(Array(document.utf8), source: "the service")
    #expect(found.expiration == Timestamp(nanoseconds: nanoseconds))
  }

  @Test("the environment comes first, with its token")
  func environment() async throws {
    let found = await resolve(
      ["AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_SESSION_TOKEN": "token"],
      files: ["/h/.aws/credentials": Self.file])
    let credentials = try found.result.get()
    #expect(credentials.credentials.accessKeyID == "ENV")
    #expect(credentials.credentials.sessionToken == Secret("token"))
    #expect(credentials.expiration == nil)
    #expect(found.requests.isEmpty)
  }

  @Test("half a pair in the environment is an error that names the other half")
  func halfEnvironment() async {
    expectError(await resolve(["AWS_ACCESS_KEY_ID": "ENV"]).result, "AWS_SECRET_ACCESS_KEY is not")
    expectError(await resolve(["AWS_SECRET_ACCESS_KEY": "hunter2"]).result, "AWS_ACCESS_KEY_ID is not")
    expectError(
      await resolve(["AWS_ACCESS_KEY_ID": "a b", "AWS_SECRET_ACCESS_KEY": "hunter2"]).result, "the environment")
  }

  @Test("the shared file is read by section, and nested settings and comments are none")
  func sharedFile() async throws {
    let files = ["/h/.aws/credentials": Self.file]
    #expect(key(await resolve([:], files: files).result) == "DEFAULT")
    let other = try await resolve(["AWS_PROFILE": "other"], files: files).result.get()
    #expect(other.credentials.accessKeyID == "OTHER")
    #expect(other.credentials.sessionToken == Secret("token"))
    // A profile asked for by name is meant, whatever keys the environment has.
    let keys = ["AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "hunter2"]
    #expect(key(await resolve(keys, files: files, profile: "other").result) == "OTHER")
    #expect(key(await resolve(["AWS_EC2_METADATA_DISABLED": "true"], files: ["/x": Self.file]).result) == nil)
    #expect(key(await resolve(["AWS_SHARED_CREDENTIALS_FILE": "/x"], files: ["/x": Self.file]).result) == "DEFAULT")
  }

  @Test("the configuration file has its sections called profile")
  func configFile() async {
    let text =
      "[profile p]\naws_access_key_id=P\naws_secret_access_key=hunter2\n[default]\n"
      + "aws_access_key_id=D\naws_secret_access_key=hunter2"
    #expect(key(await resolve([:], files: ["/h/.aws/config": text], profile: "p").result) == "P")
    #expect(key(await resolve([:], files: ["/h/.aws/config": text]).result) == "D")
    #expect(key(await resolve(["AWS_CONFIG_FILE": "/c"], files: ["/c": text]).result) == "D")
    // A region alone is no reason to stop looking in the other file.
    let both = ["/h/.aws/credentials": "[default]\nregion = x", "/h/.aws/config": text]
    #expect(key(await resolve([:], files: both).result) == "D")
  }

  @Test("profiles that say half, or something else, or nothing, are errors that name the fix")
  func badProfiles() async {
    let files = ["/h/.aws/credentials": Self.file]
    expectError(await resolve([:], files: files, profile: "half").result, "aws_secret_access_key is not", "[half]")
    expectError(await resolve([:], files: files, profile: "role").result, "role_arn", "not supported")
    expectError(await resolve([:], files: files, profile: "none").result, "no profile \"none\"", "/h/.aws/credentials")
    expectError(
      await resolve([:], files: ["/h/.aws/credentials": "[x]\naws_secret_access_key=hunter2"], profile: "x").result,
      "aws_access_key_id is not")
  }

  @Test("the container's service is asked at its own address, with the token")
  func container() async throws {
    let relative = await resolve(
      ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret"],
      ScriptedTransport.answer(200, [], Self.document))
    let credentials = try relative.result.get()
    #expect(credentials.credentials.accessKeyID == "SERVICE")
    #expect(credentials.credentials.sessionToken == Secret("t"))
    #expect(credentials.expiration == Timestamp(nanoseconds: 1_772_344_800_000_000_000))
    #expect(relative.requests.first?.url == "http://169.254.170.2/v2/x")
    #expect(relative.requests.first?.header("authorization") == "secret")
    let full = await resolve(
      [
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:8080/x",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/token",
      ], files: ["/token": "from file\n"], ScriptedTransport.answer(200, [], Self.document))
    #expect(key(full.result) == "SERVICE")
    #expect(full.requests.first?.header("authorization") == "from file")
  }

  @Test(
    "a container's address that is none, or leads away without TLS, is refused before anything is sent",
    arguments: [
      ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/x", "without TLS"),
      ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.example.com/x", "without TLS"),
      ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "ftp://127.0.0.1/x", "http://"),
      ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "x", "slash"),
    ])
  func containerAddress(name: String, value: String, words: String) async {
    let found = await resolve([name: value, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hunter2"])
    expectError(found.result, words)
    #expect(found.requests.isEmpty)
  }

  @Test("a container's service that fails is asked three times; one that refuses, once")
  func containerFails() async {
    let environment = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"]
    let down = await resolve(
      environment, ScriptedTransport.answer(500), ScriptedTransport.fail(.timeout), ScriptedTransport.answer(503))
    expectError(down.result, "answered 503", "3 times", temporary: true)
    let refused = await resolve(environment, ScriptedTransport.answer(401))
    expectError(refused.result, "answered 401", "token")
    expectError(
      await resolve(environment, ScriptedTransport.answer(200, [], "{}")).result, "AccessKeyId", temporary: true)
    expectError(await resolve(environment, ScriptedTransport.answer(200, [], "x")).result, "JSON", temporary: true)
    let date = Self.document.split(separator: "2026").joined(separator: "soon")
    expectError(await resolve(environment, ScriptedTransport.answer(200, [], date)).result, "not a date")
    expectError(
      await resolve(["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/t"])
        .result,
      "/t", "does not exist")
  }

  @Test("the machine's service is asked with a session token")
  func instance() async throws {
    let found = await resolve(
      [:], ScriptedTransport.answer(200, [], "session"), ScriptedTransport.answer(200, [], "role/a\n"),
      ScriptedTransport.answer(200, [], Self.document))
    #expect(key(found.result) == "SERVICE")
    #expect(found.requests.map(\.method) == ["PUT", "GET", "GET"])
    #expect(found.requests[0].url == "http://169.254.169.254/latest/api/token")
    #expect(found.requests[0].header("x-aws-ec2-metadata-token-ttl-seconds") == "21600")
    #expect(found.requests[2].url.hasSuffix("/latest/meta-data/iam/security-credentials/role%2Fa"))
    #expect(found.requests[2].header("x-aws-ec2-metadata-token") == "session")
    let elsewhere = await resolve(
      ["AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1/"], ScriptedTransport.fail(.connectionRefused))
    #expect(elsewhere.requests.first?.url == "http://127.0.0.1:1/latest/api/token")
  }

  @Test("without anything, the error says what there could be")
  func nothing() async {
    let outside = await resolve([:], ScriptedTransport.fail(.timeout))
    expectError(outside.result, "AWS_ACCESS_KEY_ID", "/h/.aws/credentials", "role")
    let disabled = await resolve(["AWS_EC2_METADATA_DISABLED": "TRUE"])
    expectError(disabled.result, "no credentials")
    #expect(disabled.requests.isEmpty)
    let roleless = await resolve(
      [:], ScriptedTransport.answer(200, [], "session"), ScriptedTransport.answer(404))
    expectError(roleless.result, "instance profile")
    let failing = await resolve(
      [:], ScriptedTransport.answer(200, [], "session"), ScriptedTransport.answer(200, [], "r"),
      ScriptedTransport.answer(200, [], #"{"Code":"Failed","Message":"assume"}"#))
    expectError(failing.result, "Failed", "trust policy", temporary: true)
  }

  @Test("dates of RFC 3339 are read, others are not")
  func dates() {
    #expect(CivilTime(internetDate: "2026-02-28T23:59:58Z")?.secondsSince1970 == 1_772_323_198)
    #expect(CivilTime(internetDate: "2026-02-28T23:59:58.123Z")?.secondsSince1970 == 1_772_323_198)
    for text in [
      "", "2026-02-28", "2026-13-28T23:59:58Z", "2026-02-28T23:59:58", "2026-02-28T23:59:58+01:00",
      "é26-02-28T23:59:58Z",
    ] {
      #expect(CivilTime(internetDate: text) == nil, "\(text)")
    }
  }
}
