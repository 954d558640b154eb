import PenstockDelivery
public import PenstockLog

/// What a ``ScriptedSink`` delivers to: keeps everything that ever arrived, across all sinks and deliveries.
public final class RecordingDestination: Sendable {
  /// A delivery that arrived.
  public struct Arrival: Hashable, Sendable {
    /// The batch's id.
    public let id: DeliveryID
    /// The records.
    public let range: Range<Offset>
    /// The content's SHA-256.
    public let contentDigest: [UInt8]
    /// The sink's plan.
    public let plan: [UInt8]
    /// The body as it was sent.
    public let bytes: [UInt8]
    /// The number of the attempt, from 1.
    public let attempt: Int
  }

  private let log = AsyncCondition<[Arrival]>([])

  private let rangesMayNotTouch: Bool

  /// Makes an empty destination.
  ///
  /// - Parameter rangesMayNotTouch: The delivery has a filter: records that it leaves out lie between ranges.
  public init(rangesMayNotTouch: Bool = false) { self.rangesMayNotTouch = rangesMayNotTouch }

  /// Everything that arrived, repetitions included.
  public var arrivals: [Arrival] { log.value }

  /// What a receiver that dedupes by id holds: each id's first arrival.
  public var distinct: [Arrival] {
    var seen: Set<DeliveryID> = []
    return arrivals.filter { seen.insert($0.id).inserted }
  }

  /// The distinct arrivals' bytes, one after another.
  public var content: [UInt8] { distinct.flatMap(\.bytes) }

  /// What breaks the promise made to a destination, in words; empty when nothing does.
  public var violations: [String] {
    var found: [String] = []
    var contents: [DeliveryID: Arrival] = [:]
    for arrival in arrivals {
      if let first = contents[arrival.id] {
        let isEqual =
          first.bytes == arrival.bytes && first.range == arrival.range && first.plan == arrival.plan
          && first.contentDigest == arrival.contentDigest
        if !isEqual { found.append("delivery \(arrival.id) came with two contents") }
      } else {
        contents[arrival.id] = arrival
      }
    }
    let ranges = distinct.map(\.range)
    for (earlier, later) in zip(ranges, ranges.dropFirst())
    where rangesMayNotTouch ? earlier.upperBound > later.lowerBound : earlier.upperBound != later.lowerBound {
      found.append("records \(later) came after \(earlier)")
    }
    return found
  }

  /// Returns when at least `count` deliveries have arrived, repetitions included.
  public func untilArrivals(_ count: Int) async { _ = await log.wait { $0.count >= count } }

  func take(_ delivery: DeliveryRequest) {
    let intent = delivery.intent
    log.update {
      $0.append(
        Arrival(
          id: intent.id, range: intent.first..<intent.end, contentDigest: delivery.body.contentDigest,
          plan: intent.plan, bytes: delivery.body.bytes, attempt: delivery.attempt))
    }
  }
}
