import PenstockLog

/// Opens a log that the service keeps next to its own: idempotency keys or the audit.
///
/// Damage in such a log must not stop the service from accepting and delivering events. Lost records are gaps, which
/// the caller skips and reports. When damage prevents opening a directory as a log, the directory is moved aside and an
/// empty log replaces it.
enum SideLog {
  /// Opens the log, or an empty one in its place.
  ///
  /// - Returns: the log, and the path that the damaged log was moved to, if it was moved.
  /// - Throws: an error that is not damage and may pass or be repaired: a full disk, missing rights, another process, a
  ///   newer format, or an input/output error. An input/output error counts as damage only when it comes from a read
  ///   and occurs twice. Nothing is moved when this throws, because the log may still be intact.
  static func open(
    at path: String, configuration: LogConfiguration, environment: LogEnvironment
  ) async throws(LogError) -> (log: Log, movedAside: String?) {
    var met: FileSystemError?
    while true {
      do throws(LogError) {
        return (try await Log.open(at: path, configuration: configuration, environment: environment), nil)
      } catch {
        let unreadable = readError(error)
        // A single read error may be transient. The same error on the second opening means that the disk has lost the
        // data.
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

  /// Whether another attempt would fail in the same way.
  static func isDamage(_ error: LogError) -> Bool {
    switch error.code {
    case .damaged, .notALog, .undecidableTail: true
    default: (error.cause as? FileSystemError)?.code == .notADirectory
    }
  }

  /// The error, if a read failed with an input/output error. A failed write or sync says nothing about the data on
  /// disk. A sync may also report, once, a failed write of an earlier process that was killed.
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
        // Creating the new log syncs the parent directory, which makes this rename durable too.
        try fileSystem.rename(path, to: aside)
        return aside
      } catch {
        if error.code != .exists { return nil }
      }
    }
    return nil
  }
}

/// A damaged or unusable part of the service, other than the log, without which the service started.
package struct ServiceDamage: Sendable, Hashable {
  package enum Part: String, Sendable, Hashable, CaseIterable {
    case idempotencyKeys, audit, accessKeys
  }

  package var part: Part
  /// The problem, its effect, and what an operator can do.
  package var message: String

  package init(_ part: Part, _ message: String) {
    self.part = part
    self.message = message
  }
}
