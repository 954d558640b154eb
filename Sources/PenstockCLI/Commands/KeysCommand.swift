public import ArgumentParser
import Foundation
import PenstockLog
import PenstockToolSupport
public import PenstockServer

struct KeysCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys",
    abstract: "Makes, lists, rotates and revokes the keys of a service.",
    discussion: """
      Works on the file that the configuration names as server.keysFile. A running service takes changes up at SIGHUP, and \
      makes them itself through /v1/keys. The file holds hashes alone: a token is shown once, when it is made. What is changed \
      here is not in the service's audit log.

        penstock keys create --file keys.json --name ops --role companyAdmin
        penstock keys create --file keys.json --name web --role producer --app 74f72649
        TOKEN=$(penstock keys create --file keys.json --name ci --role producer)
        penstock keys list --file keys.json
        penstock keys rotate --file keys.json --id 1f2e3d4c5b6a7988 --grace 3600
        penstock keys revoke --file keys.json --id 1f2e3d4c5b6a7988
      """,
    subcommands: [Create.self, List.self, Rotate.self, Revoke.self])

  struct FileOption: ParsableArguments {
    @Option(help: ArgumentHelp("The file of keys.", valueName: "file")) var file: String
  }
}

extension Role: ExpressibleByArgument {}

extension KeysCommand {
  struct Create: ReportingCommand {
    static let spokenName = "keys create"
    static let configuration = CommandConfiguration(abstract: "Makes a key and prints its token, this once.")
    @OptionGroup var keys: FileOption
    @Option(help: "What people call it.") var name: String
    @Option(help: "What it may do.") var role: Role
    @Option(help: ArgumentHelp("The only app it is for.", valueName: "app_id")) var app: String?
    @Option(help: ArgumentHelp("Requests a second it may make.", valueName: "number")) var rate: Double?
    @Option(
      help: ArgumentHelp("Requests that may come at once; as many as a second's unless set.", valueName: "number"))
    var burst: Double?
    @OptionGroup var common: CommonOptions

    func validate() throws {
      if burst != nil, rate == nil { throw ValidationError("--burst needs --rate") }
    }

    func perform() async throws {
      let limit = rate.map { APIKey.RateLimit(requestsPerSecond: $0, burst: burst) }
      let made = try Keys.change(keys.file) { (store) throws(KeyStoreError) in
        try store.create(.init(name: name, role: role, appID: app, limit: limit))
      }
      Keys.show(made, json: common.json)
    }
  }

  struct List: ReportingCommand {
    static let spokenName = "keys list"
    static let configuration = CommandConfiguration(abstract: "Lists every key, without what proves it.")
    @OptionGroup var keys: FileOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let all = try Keys.change(keys.file) { (store) throws(KeyStoreError) in store.keys }
      tell(.object([("keys", .array(all.map(Keys.json)))]), Keys.table(all))
    }
  }

  struct Rotate: ReportingCommand {
    static let spokenName = "keys rotate"
    static let configuration = CommandConfiguration(
      abstract: "Gives a key another secret and prints its token, this once.")
    @OptionGroup var keys: FileOption
    @Option(help: "The key's id.") var id: String
    @Option(help: ArgumentHelp("For how long the former token is taken as well.", valueName: "seconds")) var grace = 0
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (0...2_592_000).contains(grace) else { throw ValidationError("--grace must be 0 to 2592000 (30 days)") }
    }

    func perform() async throws {
      let made = try Keys.change(keys.file) { (store) throws(KeyStoreError) in
        try store.rotate(id, grace: Int64(grace))
      }
      Keys.show(made, json: common.json)
    }
  }

  struct Revoke: ReportingCommand {
    static let spokenName = "keys revoke"
    static let configuration = CommandConfiguration(abstract: "Lets nobody in any more with a key.")
    @OptionGroup var keys: FileOption
    @Option(help: "The key's id.") var id: String
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      try Keys.change(keys.file) { (store) throws(KeyStoreError) in try store.revoke(id) }
      tell(.object([("revoked", .string(id))]), "revoked \(id); a running service takes that up at SIGHUP")
    }
  }
}

/// What these commands have in common.
private enum Keys {
  static func change<Value>(
    _ file: String, _ body: (APIKeyStore) throws(KeyStoreError) -> Value
  ) throws(Failure) -> Value {
    do throws(KeyStoreError) {
      return try body(try APIKeyStore(file))
    } catch {
      throw Failure(error.isAboutFile ? .cannot : .bad, "keys", error.message)
    }
  }

  static func json(_ key: APIKey) -> JSON {
    .object([
      ("id", .string(key.id)), ("name", .string(key.name)), ("role", .string(key.role.rawValue)),
      ("appId", .optional(key.appID)), ("requestsPerSecond", key.limit.map { .number($0.requestsPerSecond) } ?? .null),
      ("createdAt", .number(key.createdAt)), ("revokedAt", .optional(key.revokedAt)),
    ])
  }

  static func json(_ made: (key: APIKey, token: String)) -> JSON {
    .object([("key", json(made.key)), ("token", .string(made.token))])
  }

  /// The token alone on standard output, so that a script can keep it; words for people on standard error.
  static func show(_ made: (key: APIKey, token: String), json isJSON: Bool) {
    if isJSON { return Output.standard.line(json(made)) }
    Output.standard.line(made.token)
    Output.note(
      "This is the token of \(made.key.name) (\(made.key.role.rawValue)), key \(made.key.id). "
        + "It is not kept and cannot be shown again.")
  }

  static func table(_ keys: [APIKey]) -> String {
    if keys.isEmpty { return "no keys" }
    var rows = [["id", "name", "role", "app", "rate", "made", "state"]]
    for key in keys {
      rows.append([
        key.id, key.name, key.role.rawValue, key.appID ?? "all",
        key.limit.map { "\($0.requestsPerSecond)/s" } ?? "–",
        HumanFormat.time(Timestamp(seconds: Double(key.createdAt))),
        key.revokedAt == nil ? "good" : "revoked",
      ])
    }
    return HumanFormat.table(rows)
  }
}
