public import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport
public import PenstockServer

struct KeysCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys",
    abstract: "Creates, lists, rotates and revokes the API keys of a service.",
    discussion: """
      Changes the file that the configuration names as server.keysFile. A running service reads the file again on \
      SIGHUP; it can also change keys itself, at /v1/keys. The file contains only hashes: a token is shown once, when \
      the key is created. Changes made here are not in the service's audit log.

        penstock keys create --file keys.json --name ops --role companyAdmin
        penstock keys create --file keys.json --name web --role producer --app 74f72649
        TOKEN=$(penstock keys create --file keys.json --name ci --role producer)
        penstock keys list --file keys.json
        penstock keys rotate --file keys.json --id 1f2e3d4c5b6a7988 --grace 3600
        penstock keys revoke --file keys.json --id 1f2e3d4c5b6a7988
      """,
    subcommands: [Create.self, List.self, Rotate.self, Revoke.self])

  struct FileOption: ParsableArguments {
    @Option(help: ArgumentHelp("The keys file.", valueName: "file")) var file: String
  }
}

extension Role: ExpressibleByArgument {}

extension KeysCommand {
  struct Create: ReportingCommand {
    static let spokenName = "keys create"
    static let configuration = CommandConfiguration(
      abstract: "Creates a key and prints its token once.",
      discussion: "  penstock keys create --file keys.json --name web --role producer --app 74f72649")
    @OptionGroup var keys: FileOption
    @Option(help: "A name for the key.") var name: String
    @Option(help: "What the key permits.") var role: Role
    @Option(help: ArgumentHelp("Restrict the key to this app.", valueName: "app_id")) var app: String?
    @Option(help: ArgumentHelp("Maximum requests per second.", valueName: "number")) var rate: Double?
    @Option(
      help: ArgumentHelp("Maximum requests at once; the requests of one second by default.", valueName: "number"))
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
    static let configuration = CommandConfiguration(
      abstract: "Lists keys; secrets are not shown.", discussion: "  penstock keys list --file keys.json")
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
      abstract: "Rotates a key's secret and prints the new token once.",
      discussion: "  penstock keys rotate --file keys.json --id 1f2e3d4c5b6a7988 --grace 3600")
    @OptionGroup var keys: FileOption
    @Option(help: "The key's id.") var id: String
    @Option(help: ArgumentHelp("Grace period for the old token.", valueName: "seconds")) var grace = 0
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
    static let configuration = CommandConfiguration(
      abstract: "Revokes a key.", discussion: "  penstock keys revoke --file keys.json --id 1f2e3d4c5b6a7988")
    @OptionGroup var keys: FileOption
    @Option(help: "The key's id.") var id: String
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      try Keys.change(keys.file) { (store) throws(KeyStoreError) in try store.revoke(id) }
      tell(.object([("revoked", .string(id))]), "revoked \(id); a running service applies this on SIGHUP")
    }
  }
}

/// Shared by the `keys` subcommands.
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

  /// Prints only the token on standard output, so that a script can capture it. The explanation goes to standard error.
  static func show(_ made: (key: APIKey, token: String), json isJSON: Bool) {
    if isJSON { return Output.standard.line(json(made)) }
    Output.standard.line(made.token)
    Output.note(
      "This is the token of \(made.key.name) (\(made.key.role.rawValue)), key \(made.key.id). "
        + "It is not stored and cannot be shown again.")
  }

  static func table(_ keys: [APIKey]) -> String {
    if keys.isEmpty { return "no keys" }
    var rows = [["id", "name", "role", "app", "rate", "created", "state"]]
    for key in keys {
      rows.append([
        key.id, key.name, key.role.rawValue, key.appID ?? "all",
        key.limit.map { "\($0.requestsPerSecond)/s" } ?? "–",
        HumanFormat.time(Timestamp(seconds: Double(key.createdAt))),
        key.revokedAt == nil ? "active" : "revoked",
      ])
    }
    return HumanFormat.table(rows)
  }
}
