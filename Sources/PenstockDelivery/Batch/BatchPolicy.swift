import PenstockLog

/// When a batch is closed. The first limit that is reached counts. Limits count what is delivered: events that the
/// sink's ``Sink/selection`` leaves out do not count.
public struct BatchPolicy: Sendable, Hashable {
  /// At most this many events; at least 1.
  public var maxRecords: Int
  /// At most this many bytes of events, of the selected fields, except for a single event that is larger; at least 1.
  /// The rendered body may be larger or smaller.
  public var maxBytes: Int
  /// How long the *first* event of a batch may wait for more. Later events do not restart the wait, and an idle log
  /// does not prolong it.
  public var maxWait: Duration
  /// A batch is closed at each multiple of this duration since 1970 in UTC: an hour means "at every full hour". Nil, or
  /// less than a nanosecond: no boundary.
  public var boundary: Duration?

  /// 500 records, 1 MiB, 5 seconds, no boundary: suits a webhook.
  public init(
    maxRecords: Int = 500, maxBytes: Int = 1 << 20, maxWait: Duration = .seconds(5), boundary: Duration? = nil
  ) {
    self.maxRecords = max(1, maxRecords)
    self.maxBytes = max(1, maxBytes)
    self.maxWait = max(.zero, maxWait)
    self.boundary = boundary
  }
}

/// The most that one batch of a sink may hold, whatever a delivery's policy says. Nil: no limit.
public struct BatchLimits: Sendable, Hashable {
  /// Records in one batch: 1 for a destination that takes one event at a time.
  public var maxRecords: Int?
  /// Record bytes in one batch, except for a single record that is larger.
  public var maxBytes: Int?

  /// The given limits, each raised to at least 1; nil is no limit.
  public init(maxRecords: Int? = nil, maxBytes: Int? = nil) {
    self.maxRecords = maxRecords.map { max(1, $0) }
    self.maxBytes = maxBytes.map { max(1, $0) }
  }
}

extension BatchPolicy {
  /// The same policy, limited to what a sink can do.
  public func limited(to limits: BatchLimits) -> BatchPolicy {
    var policy = self
    if let most = limits.maxRecords { policy.maxRecords = min(policy.maxRecords, most) }
    if let most = limits.maxBytes { policy.maxBytes = min(policy.maxBytes, most) }
    return policy
  }
}

extension BatchPolicy {
  /// The same policy where each event is sent by itself: nothing is gained by waiting for more.
  var forSingleEvents: BatchPolicy {
    BatchPolicy(maxRecords: SettledEvents.maxEvents, maxBytes: maxBytes, maxWait: .zero)
  }
}

/// Why a batch was closed.
public enum CloseReason: String, Sendable, Hashable, CaseIterable {
  /// It has ``BatchPolicy/maxRecords`` events.
  case records
  /// The next event would pass ``BatchPolicy/maxBytes``.
  case bytes
  /// Its first event waited for ``BatchPolicy/maxWait``.
  case age
  /// The time of day passed a ``BatchPolicy/boundary``.
  case boundary
  /// No more records were there, and the delivery does not wait for more.
  case caughtUp
  /// The records after it are lost: damaged, or deleted by retention.
  case gap
  /// Its range is as long as a range may be: 1,048,576 records that are not selected, or an hour without an event.
  case range
  /// The destination rejected a larger batch that contained it, or the record after it cannot be rendered.
  case split
  /// It was open already when this process took the cursor; why it was closed is no longer known.
  case reopened
}
