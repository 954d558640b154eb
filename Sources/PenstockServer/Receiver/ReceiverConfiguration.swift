public import PenstockSinks

/// The address, files, checks and deliberate failures of the reference receiver.
public struct ReceiverConfiguration: Sendable {
  /// The host to listen on; by default the loopback address.
  public var host = "127.0.0.1"
  /// The TCP port; 0 takes a free port, which ``WebhookReceiver`` reports.
  public var port = 0
  /// Signing secrets (Standard Webhooks). When there are any, each request must be signed with one of them.
  public var secrets: [Secret] = []
  /// A header that every request must have; nil: none.
  public var requiredHeader: WebhookConfiguration.Header?
  /// The largest difference between a signature's time and now, in seconds.
  public var tolerance: Int64 = 300
  /// The query parameter that carries the event of a GET.
  public var parameter = "event"
  /// The file that receives each event of each batch once, one on a line; nil: no file.
  public var output: String?
  /// The file that receives one line of JSON for each request. A restarted receiver reads it to recognise duplicates;
  /// nil: duplicates are known in memory only.
  public var ledger: String?
  /// Whether both files are synced before a request is answered.
  public var isSynced = false
  /// The share of requests, 0 to 1, answered 500 on purpose: half of them before storing, half after.
  public var failureRate = 0.0
  /// A request whose body contains one of these texts is answered 422 and not stored, like an event that a receiver
  /// cannot accept.
  public var rejected: [String] = []
  /// The seed of the deliberate failures: the same seed gives the same failures.
  public var seed: UInt64 = 1
  /// How long the receiver delays every answer.
  public var delay: Duration = .zero
  /// The longest body, in bytes. Default 64 MiB.
  public var maxBodyBytes = 64 << 20

  /// The defaults.
  public init() {}
}

/// What a receiver has counted since it was started.
public struct ReceiverCounters: Sendable, Hashable, Codable {
  /// Requests received.
  public var requests = 0
  /// Batches stored, each counted once.
  public var batches = 0
  /// Events stored.
  public var rows = 0
  /// Requests with an id and a body seen before.
  public var duplicates = 0
  /// Requests with a known id and another body: the sender broke its promise.
  public var violations = 0
  /// Requests refused because of their signature or key.
  public var unauthorized = 0
  /// Requests that the receiver could not read.
  public var malformed = 0
  /// Requests answered 422 on purpose.
  public var rejected = 0
  /// Requests answered 500 on purpose, before or after storing.
  public var injectedFailures = 0

  /// Nothing received yet.
  public init() {}
}

/// Why a receiver cannot start or continue.
public struct ReceiverError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The explanation, for operators.
  public let message: String
  /// An error with its explanation.
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}
