import Foundation
import PenstockSinks

@testable import PenstockServer

func withTemporaryDirectory<Result>(
  isolation: isolated (any Actor)? = #isolation, _ body: (String) async throws -> Result
) async throws -> Result {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent("penstock-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: url) }
  return try await body(url.path)
}

func write(_ text: String, to path: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }

func read(_ path: String) throws -> String {
  String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
}

func append(_ text: String, to path: String) throws { try write(try read(path) + text, to: path) }

/// A receiver's files in a directory.
func configuration(
  in directory: String, _ change: (inout ReceiverConfiguration) -> Void = { _ in }
) -> ReceiverConfiguration {
  var configuration = ReceiverConfiguration()
  configuration.output = directory + "/rows"
  configuration.ledger = directory + "/ledger"
  change(&configuration)
  return configuration
}

func request(_ id: String?, _ body: String, range: String? = nil) -> ReceivedRequest {
  ReceivedRequest(id: id, range: range, body: Array(body.utf8))
}

enum POSIXPermissions {
  static func of(_ path: String) throws -> Int? {
    (try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue
  }
}
