import PenstockLog
import Testing

@testable import PenstockSinks
import PenstockSupport

/// Every place credentials are looked for in, and every way in which a place says only half.
struct CredentialChainTests {
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

  @Test(arguments: [("9999-12-31T23:59:59Z", Int64.max), ("0000-01-01T00:00:00Z", 0)])
  func `credentials that end in a year beyond nanoseconds never expire, and those that ended long ago are no use`(
    text: String, nanoseconds: Int64
  ) throws {
    let document = #"{"AccessKeyId":"A","SecretAccessKey":"hunter2","Expiration":"\#(text)"}"#
    let found = try CredentialDocument.read(Array(document.utf8), source: "the service")
    #expect(found.expiration == Timestamp(nanoseconds: nanoseconds))
  }

  @Test func `the environment comes first, with its token`() async throws {
    let found = await CredentialSearch(
      ["AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_SESSION_TOKEN": "token"],
      files: ["/h/.aws/credentials": Self.file])
    let credentials = try found.result.get()
    #expect(credentials.credentials.accessKeyID == "ENV")
    #expect(credentials.credentials.sessionToken == Secret("token"))
    #expect(credentials.expiration == nil)
    #expect(found.requests.isEmpty)
  }

  @Test func `half a pair in the environment is an error that names the other half`() async {
    await CredentialSearch(["AWS_ACCESS_KEY_ID": "ENV"]).expectError("AWS_SECRET_ACCESS_KEY is not")
    await CredentialSearch(["AWS_SECRET_ACCESS_KEY": "hunter2"]).expectError("AWS_ACCESS_KEY_ID is not")
    await CredentialSearch(["AWS_ACCESS_KEY_ID": "a b", "AWS_SECRET_ACCESS_KEY": "hunter2"]).expectError(
      "the environment")
  }

  @Test func `the shared file is read by section, and nested settings and comments are none`() async throws {
    let files = ["/h/.aws/credentials": Self.file]
    #expect(await CredentialSearch([:], files: files).key == "DEFAULT")
    let other = try await CredentialSearch(["AWS_PROFILE": "other"], files: files).result.get()
    #expect(other.credentials.accessKeyID == "OTHER")
    #expect(other.credentials.sessionToken == Secret("token"))
    // A profile asked for by name is meant, whatever keys the environment has.
    let keys = ["AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "hunter2"]
    #expect(await CredentialSearch(keys, files: files, profile: "other").key == "OTHER")
    #expect(await CredentialSearch(["AWS_EC2_METADATA_DISABLED": "true"], files: ["/x": Self.file]).key == nil)
    #expect(await CredentialSearch(["AWS_SHARED_CREDENTIALS_FILE": "/x"], files: ["/x": Self.file]).key == "DEFAULT")
  }

  @Test func `the configuration file has its sections called profile`() async {
    let text =
      "[profile p]\naws_access_key_id=P\naws_secret_access_key=hunter2\n[default]\n"
      + "aws_access_key_id=D\naws_secret_access_key=hunter2"
    #expect(await CredentialSearch([:], files: ["/h/.aws/config": text], profile: "p").key == "P")
    #expect(await CredentialSearch([:], files: ["/h/.aws/config": text]).key == "D")
    #expect(await CredentialSearch(["AWS_CONFIG_FILE": "/c"], files: ["/c": text]).key == "D")
    // A region alone is no reason to stop looking in the other file.
    let both = ["/h/.aws/credentials": "[default]\nregion = x", "/h/.aws/config": text]
    #expect(await CredentialSearch([:], files: both).key == "D")
  }

  @Test func `profiles that say half, or something else, or nothing, are errors that name the fix`() async {
    let files = ["/h/.aws/credentials": Self.file]
    await CredentialSearch([:], files: files, profile: "half").expectError("aws_secret_access_key is not", "[half]")
    await CredentialSearch([:], files: files, profile: "role").expectError("role_arn", "not supported")
    await CredentialSearch([:], files: files, profile: "none").expectError("no profile \"none\"", "/h/.aws/credentials")
    await CredentialSearch([:], files: ["/h/.aws/credentials": "[x]\naws_secret_access_key=hunter2"], profile: "x")
      .expectError("aws_access_key_id is not")
  }

  @Test func `the container's service is asked at its own address, with the token`() async throws {
    let relative = await CredentialSearch(
      ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret"],
      .answer(200, [], Self.document))
    let credentials = try relative.result.get()
    #expect(credentials.credentials.accessKeyID == "SERVICE")
    #expect(credentials.credentials.sessionToken == Secret("t"))
    #expect(credentials.expiration == Timestamp(nanoseconds: 1_772_344_800_000_000_000))
    #expect(relative.requests.first?.url == "http://169.254.170.2/v2/x")
    #expect(relative.requests.first?.header("authorization") == "secret")
    let full = await CredentialSearch(
      [
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:8080/x",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/token",
      ], files: ["/token": "from file\n"], .answer(200, [], Self.document))
    #expect(full.key == "SERVICE")
    #expect(full.requests.first?.header("authorization") == "from file")
  }

  @Test(arguments: [
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/x", "without TLS"),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.example.com/x", "without TLS"),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "ftp://127.0.0.1/x", "http://"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "x", "slash"),
  ])
  func `a container's address that is none, or leads away without TLS, is refused before anything is sent`(
    name: String, value: String, words: String
  ) async {
    let found = await CredentialSearch([name: value, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hunter2"])
    found.expectError(words)
    #expect(found.requests.isEmpty)
  }

  @Test func `a container's service that fails is asked three times; one that refuses, once`() async {
    let environment = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"]
    let down = await CredentialSearch(environment, .answer(500), .fail(.timeout), .answer(503))
    down.expectError("answered 503", "3 times", temporary: true)
    let refused = await CredentialSearch(environment, .answer(401))
    refused.expectError("answered 401", "token")
    await CredentialSearch(environment, .answer(200, [], "{}")).expectError("AccessKeyId", temporary: true)
    await CredentialSearch(environment, .answer(200, [], "x")).expectError("JSON", temporary: true)
    let date = Self.document.split(separator: "2026").joined(separator: "soon")
    await CredentialSearch(environment, .answer(200, [], date)).expectError("not a date")
    await CredentialSearch([
      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/t",
    ]).expectError("/t", "does not exist")
  }

  @Test func `the machine's service is asked with a session token`() async throws {
    let found = await CredentialSearch(
      [:], .answer(200, [], "session"), .answer(200, [], "role/a\n"), .answer(200, [], Self.document))
    #expect(found.key == "SERVICE")
    #expect(found.requests.map(\.method) == ["PUT", "GET", "GET"])
    #expect(found.requests[0].url == "http://169.254.169.254/latest/api/token")
    #expect(found.requests[0].header("x-aws-ec2-metadata-token-ttl-seconds") == "21600")
    #expect(found.requests[2].url.hasSuffix("/latest/meta-data/iam/security-credentials/role%2Fa"))
    #expect(found.requests[2].header("x-aws-ec2-metadata-token") == "session")
    let elsewhere = await CredentialSearch(
      ["AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1/"], .fail(.connectionRefused))
    #expect(elsewhere.requests.first?.url == "http://127.0.0.1:1/latest/api/token")
  }

  @Test func `without anything, the error says what there could be`() async {
    let outside = await CredentialSearch([:], .fail(.timeout))
    outside.expectError("AWS_ACCESS_KEY_ID", "/h/.aws/credentials", "role")
    let disabled = await CredentialSearch(["AWS_EC2_METADATA_DISABLED": "TRUE"])
    disabled.expectError("no credentials")
    #expect(disabled.requests.isEmpty)
    let roleless = await CredentialSearch([:], .answer(200, [], "session"), .answer(404))
    roleless.expectError("instance profile")
    let failing = await CredentialSearch(
      [:], .answer(200, [], "session"), .answer(200, [], "r"),
      .answer(200, [], #"{"Code":"Failed","Message":"assume"}"#))
    failing.expectError("Failed", "trust policy", temporary: true)
  }

  @Test func `dates of RFC 3339 are read, others are not`() {
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
