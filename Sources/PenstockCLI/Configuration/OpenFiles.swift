import Foundation
import PenstockDelivery
import PenstockServer
import PenstockSinks
import PenstockToolSupport

/// Descriptors: as many as this process may have, and whether they are enough, said before anything is begun.
enum OpenFiles {
  /// Takes what the process may have, and ends it where even the runtime's own descriptors would not fit.
  static func raise() {
    OpenFileLimit.raise()
    let need = OpenFileNeed(eventLoops: EventLoops.count, destinations: []).count
    guard let limit = OpenFileLimit.current, limit < need else { return }
    Output.note(
      "penstock: this process may have \(limit) files open, and needs \(need)\n"
        + "  raise the limit of open files (ulimit -n)"
    )
    Foundation.exit(ExitStatus.cannot.rawValue)
  }

  /// Throws where delivering to these would run out of descriptors halfway; else takes those of the event loops.
  static func reserve(
    for destinations: [Configuration.Destination], isService: Bool
  ) throws(Failure) {
    let need = OpenFileNeed(
      eventLoops: EventLoops.count,
      destinations: destinations.map {
        OpenFileNeed.Destination(
          maxInFlight: $0.delivery.options.maxInFlight, hasDeadLetters: $0.delivery.deadLetters != nil)
      }, isService: isService)
    if let complaint = need.complaint(limit: OpenFileLimit.current) {
      let fewer = isService ? "" : "; or deliver to fewer at once with --only"
      throw Failure(.cannot, "tooManyOpenFiles", complaint.message, advice: complaint.advice + fewer)
    }
    EventLoops.prepare()
  }
}
