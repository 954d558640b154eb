import Foundation
import Testing

/// Runs `body` with a copy of files that an earlier version wrote, and the empty directories that a repository does not
/// keep.
func withGoldenCopy(of name: String, _ body: (String) async throws -> Void) async throws {
  let golden = try #require(Bundle.module.url(forResource: "Golden/\(name)", withExtension: nil))
  try await withTemporaryDirectory { directory in
    let copy = directory + "/log"
    try FileManager.default.copyItem(atPath: golden.path, toPath: copy)
    for name in ["quarantine", "cursors"] {
      try? FileManager.default.createDirectory(atPath: copy + "/" + name, withIntermediateDirectories: false)
    }
    try await body(copy)
  }
}
