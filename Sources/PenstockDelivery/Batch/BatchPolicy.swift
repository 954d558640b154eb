/// When a batch is full, or old enough to be sent as it is. The first limit that is reached counts.
public struct BatchPolicy: Sendable, Hashable {
  /// At most this many records; at least 1.
  public var maxRecords: Int
  /// At most this many record bytes, but for a single record that is larger; at least 1. What a sink renders of them may
  /// be larger or smaller.
  public var maxBytes: Int
  /// How long the *first* record of a batch may wait for more. Later records do not start the wait again, and an idle log
  /// does not prolong it.
  public var maxWait: Duration
  /// A batch does not stay open past a multiple of this since 1970 in UTC: an hour gives "at every full hour". Nil for
  /// none. Below a nanosecond is taken as none.
  public var boundary: Duration?

  /// 500 records, 1 MiB, 5 seconds, no boundary: the window of a webhook.
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
  /// Record bytes in one batch, but for a single record that is larger.
  public var maxBytes: Int?

  public init(maxRecords: Int? = nil, maxBytes: Int? = nil) {
    self.maxRecords = maxRecords.map { max(1, $0) }
    self.maxBytes = maxBytes.map { max(1, $0) }
  }
}

extension BatchPolicy {
  /// The same policy with what a sink cannot do left out.
  public func limited(to limits: BatchLimits) -> BatchPolicy {
    var policy = self
    if let most = limits.maxRecords { policy.maxRecords = min(policy.maxRecords, most) }
    if let most = limits.maxBytes { policy.maxBytes = min(policy.maxBytes, most) }
    return policy
  }
}

/// Why a batch was closed where it was.
public enum CloseReason: String, Sendable, Hashable, CaseIterable {
  /// It has ``BatchPolicy/maxRecords``.
  case records
  /// The next record would pass ``BatchPolicy/maxBytes``.
  case bytes
  /// Its first record waited for ``BatchPolicy/maxWait``.
  case age
  /// The time of day passed a ``BatchPolicy/boundary``.
  case boundary
  /// Nothing more was there, and the delivery does not wait for more.
  case caughtUp
  /// The records behind it are lost: damaged, or taken by retention.
  case gap
  /// The destination rejected a larger batch that it is a part of, or the record behind it cannot be rendered.
  case split
  /// It was open already when this process took the cursor; why it was closed is no longer known.
  case reopened
}
