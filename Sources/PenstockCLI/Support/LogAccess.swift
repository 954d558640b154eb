import PenstockLog

/// Opening logs the way commands need it.
enum LogAccess {
  /// Opens for writing. Asks a few times for a lock that is held: `deliver` and `recover` hold it for a moment.
  static func open(_ path: String, _ configuration: LogConfiguration = LogConfiguration()) async throws(LogError) -> Log
  {
    for _ in 0..<20 {
      do throws(LogError) {
        return try await Log.open(at: path, configuration: configuration)
      } catch {
        guard error.code == .locked, Interruption.received == nil else { throw error }
      }
      try? await Task.sleep(for: .milliseconds(20))
    }
    return try await Log.open(at: path, configuration: configuration)
  }

  /// Where the dead letters of a log's cursors are: beside the log, as `LOG.deadletters`.
  static func deadLetters(of path: String) -> String {
    var path = path
    while path.count > 1, path.last == "/" { path.removeLast() }
    return path + ".deadletters"
  }

  /// Throws `.notALog` where opening for writing would make a log.
  static func requireLog(_ path: String) throws(LogError) {
    guard try LogDirectory.exists(POSIXFileSystem(), LogPaths(path)) else {
      throw LogError(.notALog, "there is no log here; `penstock append --log` makes one", place: .init(path: path))
    }
  }

  /// Lets a writer's recovery look at what a crash has left, unless nothing can be left or a writer is at work.
  ///
  /// A reader shows only what the writer is known to have made durable; after a power cut that can be less than what is.
  static func recoverIfNeeded(
    _ path: String, _ configuration: LogConfiguration
  ) async throws(LogError) -> RecoveryReport? {
    if let inspector = try? LogInspector(path), inspector.isClosedCleanly { return nil }
    try requireLog(path)
    do throws(LogError) {
      let log = try await Log.open(at: path, configuration: configuration)
      try await log.close()
      return log.recovery
    } catch {
      switch error.code {
      case .locked: return nil
      // A reader may be allowed where a writer is not.
      case .readOnlyFormat: return nil
      case .io where (error.cause as? FileSystemError)?.isForbidden == true: return nil
      default: throw error
      }
    }
  }
}

extension FileSystemError {
  fileprivate var isForbidden: Bool { code == .permissionDenied || code == .readOnlyFileSystem }
}
