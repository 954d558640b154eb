#if Sinks
  public import CoreMetrics
  public import PenstockDelivery
  import PenstockLog
  import Synchronization
  public import Tracing

  /// Records metrics of a delivery. Pass ``observe(_:)`` to the delivery as its observer.
  ///
  /// The dimension is `destination`, the cursor's name.
  public final class DeliveryMetrics: Sendable {
    private let delivered, records, retries, halts, splits, deadLetters: Counter
    /// Dead letters whose commit has not been observed yet.
    private let deadLettered = Mutex<Set<DeliveryID>>([])
    private let attempt: [String: Timer]

    /// Makes the destination's metrics.
    public init(destination: String, factory: any MetricsFactory = MetricsSystem.factory) {
      let make = MetricMaker(factory: factory, dimensions: [("destination", destination)])
      delivered = make.counter("delivery_batches_total")
      records = make.counter("delivery_records_total")
      retries = make.counter("delivery_retries_total")
      halts = make.counter("delivery_halts_total")
      splits = make.counter("delivery_splits_total")
      deadLetters = make.counter("delivery_dead_letters_total")
      attempt = Dictionary(
        uniqueKeysWithValues: DeliveryOutcome.names.map {
          ($0, make.timer("delivery_attempt_duration_seconds", [("outcome", $0)]))
        })
    }

    /// Counts an event of a delivery. Safe to call from any thread.
    @Sendable public func observe(_ event: DeliveryObserverEvent) {
      switch event {
      case .opened: break
      case .answered(_, let number, let outcome, let duration):
        attempt[outcome.name]?.record(duration)
        if number > 1 { retries.increment() }
      case .split: splits.increment()
      case .deadLettered(let intent, _):
        deadLetters.increment()
        deadLettered.withLock { _ = $0.insert(intent.id) }
      case .committed(let intent, _):
        // The commit of a dead letter is not a delivery.
        if deadLettered.withLock({ $0.remove(intent.id) }) != nil { return }
        delivered.increment()
        records.increment(by: intent.end - intent.first)
      case .halted: halts.increment()
      case .paused, .resumed: break
      }
    }
  }

  /// Makes a span of every delivery attempt. Pass ``observe(_:)`` to the delivery as its observer.
  public final class DeliveryTracing: Sendable {
    private let destination: String
    private let tracer: any Tracer

    /// Makes spans with the destination as their attribute.
    public init(destination: String, tracer: any Tracer = InstrumentationSystem.tracer) {
      self.destination = destination
      self.tracer = tracer
    }

    /// Makes a span of an answered attempt. Safe to call from any thread.
    @Sendable public func observe(_ event: DeliveryObserverEvent) {
      guard case .answered(let intent, let attempt, let outcome, let duration) = event else { return }
      FinishedSpan.span("penstock.deliver", lasting: duration, tracer) {
        $0["penstock.destination"] = destination
        $0["penstock.delivery"] = intent.id.rawValue
        $0["penstock.records"] = intent.end - intent.first
        $0["penstock.attempt"] = attempt
        $0["penstock.outcome"] = outcome.name
      } isError: {
        outcome.name != "delivered"
      }
    }
  }

  extension DeliveryOutcome {
    fileprivate static let names = ["delivered", "retry", "rejected", "refused", "disabled", "conflict"]

    fileprivate var name: String {
      switch self {
      case .delivered: "delivered"
      case .retry: "retry"
      case .rejected: "rejected"
      case .refused: "refused"
      case .disabled: "disabled"
      case .conflict: "conflict"
      }
    }
  }
#endif
