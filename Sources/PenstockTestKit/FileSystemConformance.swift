public import PenstockLog

/// One promise of `FileSystem`, checkable on any implementation.
///
/// The same checks run against a real disk and against the simulated one. A simulation that allows more than the kernel
/// proves nothing.
public struct FileSystemCheck: Sendable, CustomStringConvertible {
  /// The promise, as a sentence.
  public let description: String
  private let body: @Sendable (ConformanceHarness) throws -> Void

  init(_ description: String, _ body: @escaping @Sendable (ConformanceHarness) throws -> Void) {
    self.description = description
    self.body = body
  }

  /// Checks the promise in `directory`, which exists, is empty and serves this check alone.
  ///
  /// - Throws: ``FileSystemViolation`` with what was seen, or the error of a call that should not have failed.
  public func check(_ fileSystem: any FileSystem, in directory: String) throws {
    try body(ConformanceHarness(disk: fileSystem, directory: directory))
  }
}

/// An answer of a file system that ``FileSystemConformance`` does not allow.
public struct FileSystemViolation: Error, Sendable, CustomStringConvertible {
  /// What was seen, and what was expected.
  public let description: String

  package init(description: String) { self.description = description }
}

/// What every `FileSystem` must do, as far as it can be seen without a crash.
public enum FileSystemConformance {
  /// All checks. Each needs a fresh, empty directory.
  public static let all: [FileSystemCheck] = opening + bytes + names + identity + locks + rangeLocks
}

/// A file system and a directory in it, with short names for the calls of the checks.
package struct ConformanceHarness {
  let disk: any FileSystem
  let directory: String

  package init(disk: any FileSystem, directory: String) {
    self.disk = disk
    self.directory = directory
  }

  package func path(_ name: String) -> String { directory + "/" + name }

  func open(_ name: String, _ mode: OpenMode) throws -> OpenFileHandle { try disk.open(path(name), mode) }

  /// Opens, runs and closes.
  func with<Result>(_ name: String, _ mode: OpenMode, _ body: (OpenFileHandle) throws -> Result) throws -> Result {
    let file = try open(name, mode)
    defer { disk.close(file) }
    return try body(file)
  }

  func create(_ name: String, _ bytes: [UInt8] = []) throws {
    try with(name, .create) { try write($0, bytes, at: 0) }
  }

  package func write(_ file: OpenFileHandle, _ bytes: [UInt8], at position: UInt64) throws {
    try bytes.withUnsafeBytes { try disk.writeAll(file, $0, at: position) }
  }

  package func read(_ file: OpenFileHandle, _ count: Int, at position: UInt64) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xee, count: count)
    let length = try bytes.withUnsafeMutableBytes { try disk.readAll(file, into: $0, at: position) }
    return Array(bytes[..<length])
  }

  func contents(_ name: String) throws -> [UInt8] {
    try with(name, .readOnly) { try read($0, Int(try disk.size($0)), at: 0) }
  }

  func expect<Value: Equatable>(_ value: Value, _ expected: Value, _ what: String) throws {
    guard value == expected else { throw FileSystemViolation(description: "\(what): \(value) instead of \(expected)") }
  }

  /// Expects a verb to fail, with `code` if one is given.
  func refuse(_ what: String, _ code: FileSystemError.Code? = nil, _ body: () throws -> Void) throws {
    do {
      try body()
    } catch let error as FileSystemError {
      if let code { try expect(error.code, code, what) }
      return
    }
    throw FileSystemViolation(description: "\(what): succeeded")
  }
}
