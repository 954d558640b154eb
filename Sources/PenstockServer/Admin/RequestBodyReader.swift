import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// Reads the small JSON bodies of the admin API.
enum SmallBody {
  struct Refusal: Error { let answer: Answer }
  static let limit = 64 << 10

  /// Reads a body of at most `limit` bytes within a time limit. The time is checked when a piece arrives; the
  /// connection's idle timeout stops a client that sends nothing.
  static func read(_ request: Request, within limit: Duration = .seconds(60)) async throws(Refusal) -> [UInt8] {
    var bytes: [UInt8] = []
    let deadline = ContinuousClock.now + limit
    do {
      for try await chunk in request.body {
        guard ContinuousClock.now < deadline else { throw Refusal(answer: .tooSlow) }
        guard bytes.count + chunk.readableBytes <= Self.limit else { throw tooLong }
        bytes.append(contentsOf: chunk.readableBytesView)
      }
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      throw Refusal(answer: Answer.failure(400, "truncated", "the body ended too early").ending)
    }
    return bytes
  }

  /// Reads and decodes a body; an empty body counts as `{}`.
  static func decode<Value: Decodable>(_ type: Value.Type, from request: Request) async throws(Refusal) -> Value {
    var bytes = try await read(request)
    if bytes.isEmpty { bytes = Array("{}".utf8) }
    do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
      throw Refusal(answer: .failure(400, "bad_request", "the body is not the JSON that /openapi.json describes"))
    }
  }

  private static var tooLong: Refusal {
    Refusal(answer: Answer.failure(413, "body_too_long", "the body is longer than \(limit) bytes").ending)
  }
}
