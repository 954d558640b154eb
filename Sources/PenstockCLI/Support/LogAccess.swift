import PenstockLog
import PenstockToolSupport

/// Opening logs the way commands need it.
enum LogAccess {
  /// Where the dead letters of a log's cursors are: beside the log, as `LOG.deadletters`.
  static func deadLetters(of path: String) -> String {
    var path = path
    while path.count > 1, path.last == "/" { path.removeLast() }
    return path + ".deadletters"
  }

  /// Throws `.notALog` where opening for writing would make a log.
  static func requireLog(_ path: String) throws(LogError) {
    guard try LogDirectory.exists(POSIXFileSystem(), LogPaths(path)) else {
      throw LogError(.notALog, "there is no log here; `penstock append --log` makes one", location: .init(path: path))
    }
  }

  /// Lets a writer's recovery look at what a crash has left, unless nothing can be left or a writer is at work.
  ///
  /// A reader shows only what the writer is known to have made durable; after a power cut that can be less than what is.
  static func recoverIfNeeded(
    _ path: String, _ configuration: LogConfiguration
  ) throws(LogError) -> RecoveryReport? {
    if let inspector = try? LogInspector(path), inspector.isClosedCleanly { return nil }
    try requireLog(path)
    do throws(LogError) {
      // Says that it only recovers, so that a writer that starts meanwhile waits for it.
      let writer = try LogOpening.open(path, configuration, .system, as: .recovery)
      try writer.close()
      return writer.recovery
    } catch {
      switch error.code {
      case .locked: return nil
      // A reader may be allowed where a writer is not.
      case .readOnlyFormat: return nil
      case .io where (error.cause as? FileSystemError)?.isForbidden == true: return nil
      // What a crash left can wait: readers see what the writer is known to have made durable, and cursors need no room.
      case .noSpace:
        Output.note("penstock: the disk is full, so the log was not recovered; reading what is known to be durable")
        return nil
      default: throw error
      }
    }
  }
}

extension FileSystemError {
  fileprivate var isForbidden: Bool { code == .permissionDenied || code == .readOnlyFileSystem }
}
