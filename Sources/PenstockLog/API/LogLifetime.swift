internal import Logging

/// Kept by a log and by everything that is read, delivered or appended through it. When the last of them is let go of and
/// nobody has closed the log, it is closed then: otherwise its threads and its lock would stay until the process ends.
///
/// Nobody waits for that, and nobody can be told what goes wrong, so it is a warning in the log of the process.
package final class LogLifetime: Sendable {
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
      "a log was let go of without close(); it is closed in the background", metadata: ["path": "\(path)"])
  }
}
