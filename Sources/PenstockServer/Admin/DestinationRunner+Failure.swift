import PenstockDelivery
import PenstockLog

extension DestinationRunner {
  /// Why the last delivery ended.
  struct Failure: Sendable, Hashable {
    let message: String
    /// The kind of the error, without any text of the destination.
    let kind: String

    init(_ error: any Error) {
      message = "\(error)"
      kind =
        switch error {
        case let failure as DeliveryFailure: failure.trouble.kind.rawValue
        case let error as LogError: error.code.description
        default: "failed"
        }
    }
  }
}
