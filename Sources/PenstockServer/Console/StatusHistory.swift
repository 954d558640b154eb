import PenstockLog
import PenstockSupport

/// The positions of the log and its destinations during the last 15 minutes, for the charts of the console. A pure
/// value of bounded size. It is in memory only, because it describes this process.
struct StatusHistory: Sendable, Hashable {
  struct Sample: Sendable, Hashable {
    var time: Timestamp
    var end: Offset
    /// In the order of ``StatusHistory/destinations``; nil before a destination's first delivery.
    var committed: [Offset?]
  }

  /// The time between two samples.
  static let interval = Duration.seconds(5)
  static let capacity = 180

  let destinations: [String]
  private(set) var samples: [Sample] = []

  init(destinations: [String]) { self.destinations = destinations }

  /// Complexity: O(capacity).
  mutating func add(_ sample: Sample) {
    if samples.count == Self.capacity { samples.removeFirst() }
    samples.append(sample)
  }

  var json: OrderedJSON {
    .object([
      ("intervalSeconds", .number(Self.interval / .seconds(1))),
      ("times", .array(samples.map { .string(ServiceTime.text($0.time)) })),
      ("end", .array(samples.map { .number($0.end.rawValue) })),
      (
        "committed",
        .object(
          destinations.enumerated().map { index, name in
            (name, .array(samples.map { .optional($0.committed[index]?.rawValue) }))
          })
      ),
    ])
  }
}
