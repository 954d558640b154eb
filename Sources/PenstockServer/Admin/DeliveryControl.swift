package import PenstockDelivery
import PenstockLog

/// What a person can ask of a delivery while it runs. The seam between the service and ``PenstockDelivery/Delivery``.
package protocol DeliveryControl: Sendable {
  /// Begins no batch from now on, until ``unpause()``, over restarts as well.
  func pause() async throws(ControlError)
  func unpause() async throws(ControlError)
  /// Ends a wait after trouble: the next try is now.
  func retryNow()
}

/// Why something asked of a delivery was not done.
package enum ControlError: Error, Sendable, Hashable {
  /// This version cannot.
  case notSupported(String)
  /// Not at present; in words.
  case conflict(String)
  /// It was tried, and could not be made durable; in words.
  case failed(String)
}

extension Delivery: DeliveryControl {
  package func pause() async throws(ControlError) {
    do throws(LogError) { try await pause(reason: "") } catch { throw .failed("\(error)") }
  }

  package func unpause() async throws(ControlError) {
    do throws(LogError) { try await resume() } catch { throw .failed("\(error)") }
  }
}
