public import PenstockSinks

/// How the reference receiver listens and what it believes, keeps and breaks.
public struct ReceiverConfiguration: Sendable {
  /// Where to listen; the loopback address unless set.
  public var host = "127.0.0.1"
  /// 0 takes a free port, which ``WebhookReceiver`` reports.
  public var port = 0
  /// Signing secrets (Standard Webhooks). When there are any, a request must be signed with one of them.
  public var secrets: [Secret] = []
  /// A header every request must have.
  public var requiredHeader: WebhookConfiguration.Header?
  /// How far a signature's time may be from now, in seconds.
  public var tolerance: Int64 = 300
  /// The query parameter that carries the event of a GET.
  public var parameter = "event"
  /// The file that receives each event of each batch once, a line feed after each; nil keeps none.
  public var output: String?
  /// The file that receives one line of JSON for each request, and from which a restarted receiver knows what it has
  /// seen; nil keeps that in memory only.
  public var ledger: String?
  /// Whether both files are synced before a request is answered.
  public var isSynced = false
  /// The share of requests, 0 to 1, that are answered 500 on purpose: half of them before anything is stored, half after.
  public var failureRate = 0.0
  /// A request whose body holds one of these is answered 422 and not stored, as a receiver does that cannot take some events.
  public var rejected: [String] = []
  /// Makes the failures the same in every run.
  public var seed: UInt64 = 1
  /// How long every answer is held back.
  public var delay: Duration = .zero
  /// The longest body, in bytes; 64 MiB unless set.
  public var maxBodyBytes = 64 << 20

  public init() {}
}

/// What a receiver has seen since it was started.
public struct ReceiverCounters: Sendable, Hashable, Codable {
  public var requests = 0
  /// Batches stored, each counted once.
  public var batches = 0
  /// Events stored.
  public var rows = 0
  /// Requests with an id and a body seen before.
  public var duplicates = 0
  /// Requests with an id seen before and another body: the sender broke its promise.
  public var violations = 0
  public var unauthorized = 0
  /// Requests that could not be read.
  public var malformed = 0
  /// Requests answered 422 on purpose.
  public var rejected = 0
  /// Answers of 500 on purpose, before and after storing.
  public var injectedFailures = 0

  public init() {}
}

/// Why a receiver cannot start or go on.
public struct ReceiverError: Error, Sendable, Hashable, CustomStringConvertible {
  public let message: String
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}
