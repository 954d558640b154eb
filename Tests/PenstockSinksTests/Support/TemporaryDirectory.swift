import Foundation

func makeTemporaryDirectory() throws -> String {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent("penstock-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  return url.path
}

func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
  let path = try makeTemporaryDirectory()
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

func withTemporaryDirectory<Result>(
  isolation: isolated (any Actor)? = #isolation, _ body: (String) async throws -> Result
) async throws -> Result {
  let path = try makeTemporaryDirectory()
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try await body(path)
}

func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

func read(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

/// Paths of the files below a directory, relative to it, in order.
func files(below path: String) throws -> [String] {
  try FileManager.default.subpathsOfDirectory(atPath: path)
    .filter { name in
      var isDirectory: ObjCBool = false
      return FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isDirectory)
        && !isDirectory.boolValue
    }
    .sorted()
}

func link(_ path: String, _ newPath: String) throws {
  try FileManager.default.linkItem(atPath: path, toPath: newPath)
}

func removeFile(_ path: String) throws { try FileManager.default.removeItem(atPath: path) }
