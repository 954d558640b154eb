import Logging
import PenstockLog

/// Which delivery a log message is about. Made for each message, because thousands of deliveries would otherwise keep a
/// logger each.
struct DeliverySubject {
  private let cursor: String
  private let sink: any Sink

  init(_ lease: any CursorLease, _ sink: any Sink) { (cursor, self.sink) = (lease.name, sink) }

  func metadata(_ more: Logger.Metadata = [:]) -> Logger.Metadata {
    more.merging(["cursor": "\(cursor)", "destination": "\(sink.description)"]) { more, _ in more }
  }
}
