import PenstockLog

/// Where the log and its destinations stood in the last quarter of an hour, for the lines a console draws. A pure value of bounded
/// size; lost with the process, as what it shows is about this one.
struct StatusHistory: Sendable, Hashable {
  struct Sample: Sendable, Hashable {
    var time: Timestamp
    var end: Offset
    /// In the order of ``StatusHistory/destinations``; nil where no delivery has begun yet.
    var committed: [Offset?]
  }

  /// Between two samples.
  static let interval = Duration.seconds(5)
  static let capacity = 180

  let destinations: [String]
  private(set) var samples: [Sample] = []

  init(destinations: [String]) { self.destinations = destinations }

  /// O(capacity).
  mutating func add(_ sample: Sample) {
    if samples.count == Self.capacity { samples.removeFirst() }
    samples.append(sample)
  }

  var json: ServiceJSON {
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
