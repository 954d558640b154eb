public import PenstockLog
public import ServiceLifecycle

/// A log in a service group. Name it first, so that the group closes it last, after the deliveries that read it.
extension Log: Service {
  /// Waits for graceful shutdown or cancellation, then closes the log.
  public func run() async throws {
    await gracefulShutdownOrCancellation()
    try await close()
  }
}

/// Returns on graceful shutdown or cancellation.
private func gracefulShutdownOrCancellation() async {
  // The error means that the task was cancelled, which also ends the wait.
  try? await gracefulShutdown()
}
