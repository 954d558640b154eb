import Logging
import PenstockDelivery
import PenstockLog
import PenstockServer
import PenstockToolSupport

extension Configuration.Destination {
  /// Creates the delivery of this destination, for `deliver` and `serve`.
  ///
  /// - Parameters:
  ///   - cursor: The cursor. Its holder owns the attempts file.
  ///   - log: The log's directory.
  func makeDelivery(
    from cursor: Cursor, source: any RecordSource, to sink: any Sink, log: String, giveUpAfter: Duration? = nil,
    environment: DeliveryEnvironment
  ) -> Delivery {
    var (options, environment) = (self.options, environment)
    options.retry.giveUpAfter = giveUpAfter
    environment.attempts = AttemptLog(at: AttemptLog.path(inLog: log, cursor: name), capacity: delivery.attempts)
    let letters = delivery.deadLetters.map {
      DeadLetterLog(in: LogAccess.deadLetters(of: log), cursor: name, policy: $0)
    }
    return Delivery(
      from: cursor, source: source, to: sink, options: options, deadLetters: letters,
      environment: environment)
  }

  /// The delivery settings, with the batches of this destination.
  var options: DeliveryOptions {
    var options = delivery.options
    options.policy = policy
    return options
  }

  /// The destination for a service. Creates and closes one sink, so that a configuration error shows before the service
  /// starts.
  func served(from file: String, log path: String, logger: Logger) async throws(Failure) -> ServiceDestination {
    await (try sink(from: file)).close()
    // A copy for each closure would be most of what an idle destination keeps.
    let shared = Shared(destination: self)
    return ServiceDestination(
      name: name, kind: kindName,
      options: ServiceDestination.Options(
        thresholds: delivery.thresholds, deadLetters: delivery.deadLetters.map { _ in LogAccess.deadLetters(of: path) },
        delivery: options, startAt: startAt, settings: { shared.destination.shownSettings }),
      makeDelivery: { cursor, log, router in
        shared.destination.makeDelivery(
          from: cursor, source: log, to: try shared.destination.makeSink(), log: path,
          environment: DeliveryEnvironment(logger: logger, router: router))
      }, makeReplaySink: { id in try shared.destination.makeSink(replay: id) })
  }

  private final class Shared: Sendable {
    let destination: Configuration.Destination

    init(destination: Configuration.Destination) { self.destination = destination }
  }

  private var kindName: String {
    switch kind {
    case .webhook: "webhook"
    case .s3: "s3"
    case .directory: "directory"
    }
  }
}
