import Hummingbird
import PenstockLog
import PenstockSupport

/// `/v1/keys`. An app admin sees and changes only the keys of its own app, and cannot create a company admin.
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

  /// - Parameter appID: the only app whose keys the client may see and change; nil: all.
  func list(appID: String?) -> Answer {
    let keys = store.keys.filter { appID == nil || $0.appID == appID }
    return Answer(200, .object([("keys", .array(keys.map(\.json)))]))
  }

  func create(_ request: Request, appID: String?) async -> Answer {
    await changing {
      let body = try await SmallBody.decode(NewKey.self, from: request)
      if let appID, body.appId != appID || body.role == .companyAdmin {
        return .failure(403, "forbidden", "an appAdmin may create keys of its own app only")
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
        return .failure(400, "bad_request", "graceSeconds must be 0 to 2592000 (30 days)")
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

  /// The only answer that contains a token.
  private static func answer(_ status: Int, _ made: (key: APIKey, token: String)) -> Answer {
    Answer(status, .object([("key", made.key.json), ("token", .string(made.token))]))
  }

  private func changing(_ body: () async throws -> Answer) async -> Answer {
    do { return try await body() } catch let refusal as SmallBody.Refusal {
      return refusal.answer
    } catch let error as KeyStoreError {
      switch error.refusal {
      case .wrong(let message): return .failure(400, "bad_request", message)
      case .noSuchKey, .unknown: return AdminAPI.noSuch("key")
      case nil: return .failure(503, "failed", "the keys cannot be changed now")
      }
    } catch {
      return .failure(500, "failed", "the change could not be made")
    }
  }
}
