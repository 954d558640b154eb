public import PenstockLog
public import ServiceLifecycle

/// A log in a service group: name it first, so that it is closed last, after the deliveries that read it.
extension Log: Service {
  /// Waits for graceful shutdown or cancellation, then closes the log.
  public func run() async throws {
    await gracefulShutdownOrCancellation()
    try await close()
  }
}

/// Returns when this task is asked to end, one way or the other.
private func gracefulShutdownOrCancellation() async {
  // The error says that the task was cancelled, which is one of the two things waited for.
  try? await gracefulShutdown()
}
