import PenstockLog

/// A log that a service keeps beside its own: idempotency keys, the audit.
///
/// What is damaged in it must not keep the service from taking and delivering events. Lost records are gaps, which the
/// caller skips and reports. A directory that cannot be opened as a log, because of damage, is moved aside and an empty
/// log takes its place.
enum SideLog {
  /// Opens it, or an empty one in its place.
  ///
  /// - Returns: the log, and where the damaged one was moved to, if it was.
  /// - Throws: what is no damage and may pass or be mended: a full disk, missing rights, another process, a newer
  ///   format, an input/output error that does not come from a read, or not twice. Nothing is moved then, because everything in it may still be whole.
  static func open(
    at path: String, configuration: LogConfiguration, environment: LogEnvironment
  ) async throws(LogError) -> (log: Log, movedAside: String?) {
    var met: FileSystemError?
    while true {
      do throws(LogError) {
        return (try await Log.open(at: path, configuration: configuration, environment: environment), nil)
      } catch {
        let unreadable = readError(error)
        // A read may fail once. The disk has lost it when the next opening meets the same.
        if let unreadable, met == nil {
          met = unreadable
          continue
        }
        guard isDamage(error) || (unreadable != nil && unreadable == met),
          let aside = moveAside(path, environment.fileSystem)
        else { throw error }
        return (try await Log.open(at: path, configuration: configuration, environment: environment), aside)
      }
    }
  }

  /// Whether trying again would meet the same.
  static func isDamage(_ error: LogError) -> Bool {
    switch error.code {
    case .damaged, .notALog, .undecidableTail: true
    default: (error.cause as? FileSystemError)?.code == .notADirectory
    }
  }

  /// The input/output error of a read. That of a write or a sync says nothing about what the disk holds: a sync reports
  /// once what became of a write before it, of a process that was killed too.
  private static func readError(_ error: LogError) -> FileSystemError? {
    guard let cause = error.cause as? FileSystemError, cause.code == .inputOutput, cause.verb == .read else {
      return nil
    }
    return cause
  }

  private static func moveAside(_ path: String, _ fileSystem: any FileSystem) -> String? {
    for number in 1...1000 {
      let aside = "\(path).damaged-\(number)"
      do throws(FileSystemError) {
        // Making the log that takes its place syncs the directory of both.
        try fileSystem.rename(path, to: aside)
        return aside
      } catch {
        if error.code != .exists { return nil }
      }
    }
    return nil
  }
}

/// Something beside the log that a service found damaged, or cannot use, and started without.
package struct ServiceDamage: Sendable, Hashable {
  package enum Part: String, Sendable, Hashable, CaseIterable {
    case idempotencyKeys, audit, accessKeys
  }

  package var part: Part
  /// What is wrong, what follows from it, and what to do.
  package var message: String

  package init(_ part: Part, _ message: String) {
    self.part = part
    self.message = message
  }
}
