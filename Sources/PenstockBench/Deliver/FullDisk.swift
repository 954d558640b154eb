import Foundation
import Synchronization

/// A file system without room.
struct FullDisk {
  let path: String
  private static let mounted = Mutex<Set<String>>([])

  /// Nil where nothing can be mounted.
  init?(at path: String) {
    self.path = path
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    guard Self.run("mount", ["-t", "tmpfs", "-o", "size=16k", "penstock-full", path]) else { return nil }
    Self.mounted.withLock { _ = $0.insert(path) }
  }

  func end() { Self.end(path) }

  /// For a process that was asked to stop.
  static func endAll() {
    for path in mounted.withLock({ $0 }) { end(path) }
  }

  private static func end(_ path: String) {
    guard mounted.withLock({ $0.remove(path) }) != nil else { return }
    // At once also when a process that was just killed still holds a file.
    _ = run("umount", ["-l", path])
  }

  private static func run(_ program: String, _ arguments: [String]) -> Bool {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }
}
