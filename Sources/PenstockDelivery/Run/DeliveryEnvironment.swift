public import Logging
public import PenstockLog

/// What a delivery uses besides its cursor, source and destination: clocks, random bits, a logger, an observer
/// and where attempts are kept. A test injects its own.
public struct DeliveryEnvironment: Sendable {
  /// Measures waits.
  public var clock: any DeliveryClock
  /// Gives the time of day for intents, dead letters and pauses, and decides when a ``BatchPolicy/boundary`` has
  /// passed.
  public var wallClock: any WallClock
  /// Returns 64 random bits, for the jitter of retries.
  public var random: @Sendable () -> UInt64
  /// Receives trouble and pauses and, at the level debug, each batch.
  public var logger: Logger
  /// Called with every event of a batch. The delivery waits for it, so it must return soon.
  public var observer: (@Sendable (DeliveryObserverEvent) -> Void)?
  /// Keeps the newest attempts, of one delivery at a time. Nil: each delivery keeps its newest 100, in memory.
  public var attempts: AttemptLog?
  /// Reads the log for deliveries that want some of its events. All deliveries of a log in one process share it. Nil:
  /// each delivery reads the log for itself. A router of another log is not used.
  public var router: EventRouter?

  /// The system's clocks and random bits, a logger, no observer and attempts in memory, unless the caller passes
  /// others.
  public init(
    clock: any DeliveryClock = SystemDeliveryClock(), wallClock: any WallClock = SystemWallClock(),
    random: @escaping @Sendable () -> UInt64 = DeliveryEnvironment.systemRandom,
    logger: Logger = Logger(label: "penstock.delivery"), observer: (@Sendable (DeliveryObserverEvent) -> Void)? = nil,
    attempts: AttemptLog? = nil, router: EventRouter? = nil
  ) {
    self.clock = clock
    self.wallClock = wallClock
    self.random = random
    self.logger = logger
    self.observer = observer
    self.attempts = attempts
    self.router = router
  }

  /// 64 bits of the operating system's generator.
  public static let systemRandom: @Sendable () -> UInt64 = { UInt64.random(in: .min ... .max) }
}
