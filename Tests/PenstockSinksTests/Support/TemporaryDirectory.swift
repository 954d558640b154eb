import Foundation

/// A directory for one test: it is made with the suite that has it, and removed with it.
@propertyWrapper final class TemporaryDirectory: Sendable {
  let wrappedValue = NSTemporaryDirectory() + "penstock-\(UUID().uuidString)"
  init() { try? FileManager.default.createDirectory(atPath: wrappedValue, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: wrappedValue) }
}

func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

func read(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

/// Paths of the files below a directory, relative to it, in order.
func files(below path: String) throws -> [String] {
  try FileManager.default.subpathsOfDirectory(atPath: path).filter { name in
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isDirectory)
      && !isDirectory.boolValue
  }.sorted()
}

/// The rows of exported objects below a directory: all of them but the manifest's entries, or those named.
func rows(below path: String, _ names: [String]? = nil) throws -> [String] {
  try (names ?? objects(below: path)).flatMap { name in
    String(decoding: try read(path + "/" + name), as: UTF8.self).split(separator: "\n").map(String.init)
  }
}

func objects(below path: String) throws -> [String] { try files(below: path).filter { !$0.contains("/_penstock/") } }
