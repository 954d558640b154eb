import Foundation

/// Runs `body` with a directory of its own, which is gone afterwards.
func withTemporaryDirectory<Result>(
  isolation actor: isolated (any Actor)? = #isolation, _ body: (String) async throws -> Result
) async throws -> Result {
  let directory = FileManager.default.temporaryDirectory.appendingPathComponent("penstock-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: directory) }
  return try await body(directory.path)
}
