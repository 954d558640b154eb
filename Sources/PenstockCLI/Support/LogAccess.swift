import PenstockLog
import PenstockToolSupport

/// Checks and recovery before a command opens a log.
enum LogAccess {
  /// The directory of a log's dead letters: `LOG.deadletters`, next to the log.
  static func deadLetters(of path: String) -> String {
    var path = path
    while path.count > 1, path.last == "/" { path.removeLast() }
    return path + ".deadletters"
  }

  /// Throws `.notALog` when there is no log, so that opening for writing does not create one.
  static func requireLog(_ path: String) throws(LogError) {
    guard try LogDirectory.exists(POSIXFileSystem(), LogPaths(path)) else {
      throw LogError(.notALog, "there is no log here; `penstock append --log` creates one", location: .init(path: path))
    }
  }

  /// Recovers the log after a crash. Returns nil when the log was closed cleanly, or when recovery is not possible: a
  /// writer has the log open, this process may not write, or the disk is full.
  ///
  /// A reader shows only what a writer has published as durable. After a crash more may be durable; recovery finds it.
  static func recoverIfNeeded(
    _ path: String, _ configuration: LogConfiguration
  ) throws(LogError) -> RecoveryReport? {
    if let inspector = try? LogInspector(path), inspector.isClosedCleanly { return nil }
    try requireLog(path)
    do throws(LogError) {
      // Opened as a recovery, so that a writer that starts now waits for it.
      let writer = try LogOpening.open(path, configuration, .system, as: .recovery)
      try writer.close()
      return writer.recovery
    } catch {
      switch error.code {
      case .locked: return nil
      // Reading may be permitted where writing is not.
      case .readOnlyFormat: return nil
      case .io where (error.cause as? FileSystemError)?.isForbidden == true: return nil
      // Recovery can wait: readers see the published durable end, and cursors need no space.
      case .noSpace:
        Output.note("penstock: the disk is full, so the log was not recovered; reading up to the published durable end")
        return nil
      default: throw error
      }
    }
  }
}

extension FileSystemError {
  fileprivate var isForbidden: Bool { code == .permissionDenied || code == .readOnlyFileSystem }
}
