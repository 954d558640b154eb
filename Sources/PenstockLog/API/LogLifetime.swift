internal import Logging

/// A log holds this, and so does everything that reads, delivers or appends through it. It closes the log when the last
/// reference ends and no caller has closed the log. Otherwise the log's threads and its lock would stay until the
/// process ends.
///
/// No caller waits for that close, so its errors are a warning in the process's log.
final class LogLifetime: Sendable {
  private let committer: Committer
  private let cursors: CursorRegistry
  private let logger: Logger
  private let path: String

  init(_ committer: Committer, _ cursors: CursorRegistry, _ logger: Logger, path: String) {
    self.committer = committer
    self.cursors = cursors
    self.logger = logger
    self.path = path
  }

  deinit {
    guard committer.closeUnattended() else { return }
    cursors.close()
    logger.warning(
      "a log was released without close(); it is closed in the background", metadata: ["path": "\(path)"])
  }
}
