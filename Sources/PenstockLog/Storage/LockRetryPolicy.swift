/// How long the opening of a log waits for a lock that another process holds.
///
/// A process that recovers a log releases its lock as soon as it has looked. Waiting for a writer is useless, with two
/// exceptions: a killed process may still be exiting, and a process that recovers may not have marked the lock yet.
enum LockRetryPolicy {
  static let pause = Duration.milliseconds(20)
  /// Ten seconds, for a recovery.
  static let attempts = 500
  /// 0.4 s, for a writer.
  static let attemptsForWriter = 20

  static func isWorthwhile(_ attempt: Int, _ holder: LogDirectory.Holder) -> Bool {
    switch holder {
    case .writer: attempt < attemptsForWriter
    case .recovery: attempt < attempts
    }
  }
}
