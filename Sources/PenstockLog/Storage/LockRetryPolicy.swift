/// How long the opening of a log waits for a lock that another process has. Whoever recovers a log lets go as soon as it has looked; under a writer
/// it is of no use to wait, except for the moment in which a process that was killed still ends, or one that recovers has not said so yet.
package enum LockRetryPolicy {
  package static let pause = Duration.milliseconds(20)
  /// Ten seconds, for a recovery.
  package static let attempts = 500
  /// 0.4 s, for a writer.
  package static let attemptsForWriter = 20

  package static func isWorthwhile(_ attempt: Int, _ holder: LogDirectory.Holder) -> Bool {
    switch holder {
    case .writer: attempt < attemptsForWriter
    case .recovery: attempt < attempts
    }
  }
}
