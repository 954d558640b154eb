import Foundation
import PenstockDelivery
import PenstockServer
import PenstockSinks
import PenstockToolSupport

/// The limit of open files, checked before a command starts its work.
enum OpenFiles {
  /// Raises the soft limit to the hard limit. Exits when even the runtime's own descriptors do not fit.
  static func raise() {
    OpenFileLimit.raise()
    let need = OpenFileNeed(eventLoops: EventLoops.count, destinations: []).count
    guard let limit = OpenFileLimit.current, limit < need else { return }
    Output.note(
      "penstock: this process may open \(limit) files, but needs \(need)\n"
        + "  raise the limit of open files (ulimit -n)"
    )
    Foundation.exit(ExitStatus.cannot.rawValue)
  }

  /// Throws when these deliveries need more descriptors than the limit. Otherwise bounds their connections, and starts
  /// the event loops, which open their descriptors. A service bounds the connections by itself.
  static func reserve(
    for destinations: [Configuration.Destination], isService: Bool
  ) throws(Failure) {
    let need = OpenFileNeed(
      eventLoops: EventLoops.count,
      destinations: destinations.map {
        OpenFileNeed.Destination(
          maxInFlight: $0.delivery.options.maxInFlight, hasDeadLetters: $0.delivery.deadLetters != nil)
      }, isService: isService)
    if let problem = need.complaint(limit: OpenFileLimit.current) {
      let fewer = isService ? "" : "; or deliver to fewer destinations at once with --only"
      throw Failure(.cannot, "tooManyOpenFiles", problem.message, advice: problem.advice + fewer)
    }
    if !isService { ConnectionBudget.shared.limit = need.connections(of: OpenFileLimit.current) }
    EventLoops.prepare()
  }
}
