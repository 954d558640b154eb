import Foundation
import PenstockLog
import PenstockSinks
import Synchronization

@testable import PenstockServer

/// A directory for one test: it is made with the suite that has it, and removed with it.
@propertyWrapper final class TemporaryDirectory: Sendable {
  let wrappedValue = NSTemporaryDirectory() + "penstock-\(UUID().uuidString)"
  init() { try? FileManager.default.createDirectory(atPath: wrappedValue, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: wrappedValue) }
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
  (configuration.output, configuration.ledger) = (directory + "/rows", directory + "/ledger")
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

/// A file system that tells a test of its calls, on the thread that makes them, before they happen.
final class HookedFileSystem: PassingFileSystem {
  enum Verb: Hashable { case create, close, size, synchronize }
  typealias Hook = @Sendable (Verb, _ path: String) -> Void

  let base: any FileSystem
  private let hook = Mutex<Hook?>(nil)
  private let names = Mutex<[OpenFileHandle: String]>([:])

  init(_ base: any FileSystem) { self.base = base }

  /// Calls the hook from now on; nil: no hook.
  func onCall(_ hook: Hook?) { self.hook.withLock { $0 = hook } }

  private func tell(_ verb: Verb, _ file: OpenFileHandle) {
    guard let hook = hook.withLock({ $0 }) else { return }
    hook(verb, names.withLock { $0[file] ?? "" })
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
    if mode == .create { hook.withLock { $0 }?(.create, path) }
    let file = try base.open(path, mode)
    names.withLock { $0[file] = path }
    return file
  }
  func close(_ file: OpenFileHandle) {
    tell(.close, file)
    base.close(file)
  }
  func synchronize(_ file: OpenFileHandle) throws(FileSystemError) {
    tell(.synchronize, file)
    try base.synchronize(file)
  }
  func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 {
    tell(.size, file)
    return try base.size(file)
  }
  func rename(_ path: String, to newPath: String) throws(FileSystemError) {
    try base.rename(path, to: newPath)
    names.withLock { $0 = $0.mapValues { $0 == path ? newPath : $0 } }
  }
}
