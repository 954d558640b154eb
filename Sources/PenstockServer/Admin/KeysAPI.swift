import Hummingbird
import PenstockLog

/// `/v1/keys`: an app admin sees and changes the keys of the own app alone, and makes neither a company admin nor keys of others.
struct KeysAPI: Sendable {
  let store: APIKeyStore

  private struct NewKey: Decodable {
    var name: String
    var role: Role
    var appId: String?
    var requestsPerSecond: Double?
    var burst: Double?
  }
  private struct Rotation: Decodable { var graceSeconds: Int64? }

  /// - Parameter appID: the only app whose keys may be seen and changed; nil: all.
  func list(appID: String?) -> Answer {
    let keys = store.keys.filter { appID == nil || $0.appID == appID }
    return Answer(200, .object([("keys", .array(keys.map(\.json)))]))
  }

  func create(_ request: Request, appID: String?) async -> Answer {
    await changing {
      let body = try await SmallBody.decode(NewKey.self, from: request)
      if let appID, body.appId != appID || body.role == .companyAdmin {
        return .failure(403, "forbidden", "an appAdmin makes keys of the own app alone")
      }
      let limit = body.requestsPerSecond.map { APIKey.RateLimit(requestsPerSecond: $0, burst: body.burst) }
      let made = try store.create(.init(name: body.name, role: body.role, appID: body.appId, limit: limit))
      return Self.answer(201, made)
    }
  }

  func rotate(_ id: String, _ request: Request, appID: String?) async -> Answer {
    await changing {
      guard isVisible(id, appID) else { return AdminAPI.noSuch("key") }
      let grace = try await SmallBody.decode(Rotation.self, from: request).graceSeconds ?? 0
      guard (0...2_592_000).contains(grace) else {
        return .failure(400, "bad_request", "graceSeconds is 0 to 2592000 (30 days)")
      }
      return Self.answer(200, try store.rotate(id, grace: grace))
    }
  }

  func revoke(_ id: String, appID: String?) async -> Answer {
    await changing {
      guard isVisible(id, appID) else { return AdminAPI.noSuch("key") }
      try store.revoke(id)
      return Answer(200, .object([("id", .string(id)), ("state", .string("revoked"))]))
    }
  }

  private func isVisible(_ id: String, _ appID: String?) -> Bool {
    store.keys.contains { $0.id == id && (appID == nil || $0.appID == appID) }
  }

  /// The one answer with a token in it.
  private static func answer(_ status: Int, _ made: (key: APIKey, token: String)) -> Answer {
    Answer(status, .object([("key", made.key.json), ("token", .string(made.token))]))
  }

  private func changing(_ body: () async throws -> Answer) async -> Answer {
    do { return try await body() } catch let refusal as SmallBody.Refusal {
      return refusal.answer
    } catch let error as KeyStoreError {
      switch error.refusal {
      case .wrong(let words): return .failure(400, "bad_request", words)
      case .noSuchKey, .unknown: return AdminAPI.noSuch("key")
      case nil: return .failure(503, "failed", "the keys cannot be changed at present")
      }
    } catch {
      return .failure(500, "failed", "it could not be done")
    }
  }
}
