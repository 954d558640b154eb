import Foundation
import PenstockDelivery
import PenstockLog
import PenstockServer
import PenstockSinks
import PenstockToolSupport

/// Webhooks of one process on one log, each with what the service gives it: a cursor, a sink with connections of its
/// own, signatures, attempts in a file and dead letters.
struct WebhookFleet: Sendable {
  struct Settings: Sendable {
    var destinations = 1
    /// Whose filters the destinations have.
    var events: AppEvents
    var port = 0
    var maxEvents = 500
    var maxWait = Duration.seconds(5)
    var isSingle = false
    var maxInFlight = 1
  }

  /// What a run took.
  struct Finding: Codable, Sendable {
    var seconds = 0.0
    /// Of this process.
    var processorSeconds = 0.0
    /// The most that was resident since the process began.
    var peakBytes = 0
  }

  let log: Log
  private let deliveries: [Delivery]

  /// What all deliveries of the process share.
  private static func environment(of log: Log) -> DeliveryEnvironment {
    DeliveryEnvironment(router: EventRouter(of: log))
  }

  /// Takes every cursor, and sends nothing yet.
  init(_ log: Log, _ settings: Settings) async throws {
    self.log = log
    try Self.checkOpenFiles(settings)
    let shared = Self.environment(of: log)
    var deliveries: [Delivery] = []
    for number in 0..<settings.destinations {
      let name = "webhook-\(number)"
      var environment = shared
      environment.attempts = AttemptLog(at: AttemptLog.path(inLog: log.path, cursor: name))
      deliveries.append(
        Delivery(
          from: try await log.cursor(named: name), source: log, to: try Self.sink(number, settings),
          options: DeliveryOptions(maxInFlight: settings.maxInFlight),
          deadLetters: DeadLetterLog(in: log.path + ".deadletters", cursor: name), environment: environment))
    }
    self.deliveries = deliveries
  }

  private static func sink(_ number: Int, _ settings: Settings) throws -> WebhookSink {
    var configuration = WebhookConfiguration(url: "http://127.0.0.1:\(settings.port)/\(number)")
    configuration.filter = try settings.events.filter(of: number, among: settings.destinations)
    configuration.secrets = [Secret(DeliverProcess.secret)]
    configuration.addresses = .publicAndPrivate
    (configuration.maxRecords, configuration.maxWait) = (settings.maxEvents, settings.maxWait)
    configuration.batching = settings.isSingle ? .single : .array
    return try WebhookSink(configuration)
  }

  private static func checkOpenFiles(_ settings: Settings) throws(Failure) {
    let each = OpenFileNeed.Destination(maxInFlight: settings.maxInFlight, hasDeadLetters: true)
    let need = OpenFileNeed(
      eventLoops: ProcessInfo.processInfo.activeProcessorCount,
      destinations: Array(repeating: each, count: settings.destinations))
    guard let (message, advice) = need.complaint(limit: OpenFileLimit.current) else { return }
    throw Failure(.cannot, "openFiles", message, advice: advice)
  }

  /// Delivers everything that is in the log.
  func catchUp() async throws -> Finding {
    let end = log.end
    return try await measure {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for delivery in deliveries { group.addTask { _ = try await delivery.run(untilCaughtUpWith: end) } }
        try await group.waitForAll()
      }
    }
  }

  /// Appends at a fixed rate while it delivers. First each app gets one event, without a moment, so that every webhook
  /// that gets any has a connection. Each later event carries the moment at which its turn is, also when the append is
  /// late. The finding is of the time in which events were appended.
  func deliver(_ events: AppEvents, rate: Int, seconds: Double) async throws -> Finding {
    try await withThrowingTaskGroup(of: Finding?.self) { group in
      for delivery in deliveries {
        group.addTask {
          try await delivery.run() as Void
          return nil
        }
      }
      group.addTask {
        let finding = try await append(events, rate: rate, seconds: seconds)
        for delivery in deliveries { delivery.stop() }
        return finding
      }
      var found: Finding?
      for try await finding in group { found = finding ?? found }
      guard let found else { throw Failure(.bad, "bench", "the deliveries ended before the last event") }
      return found
    }
  }

  private func append(_ events: AppEvents, rate: Int, seconds: Double) async throws -> Finding {
    try await log.append(events.batch(0..<events.apps), durability: .disk)
    try await untilDelivered(events.apps)
    let plan = LivePlan(rate: rate, seconds: seconds)
    let started = BenchClock.now() + 10_000_000
    let finding = try await measure {
      for turn in 0..<plan.turns {
        let moment = started + UInt64(turn) * plan.step
        let now = BenchClock.now()
        if now < moment { try await Task.sleep(for: .nanoseconds(moment - now)) }
        let first = events.apps + turn * plan.size
        try await log.append(events.batch(first..<(first + plan.size), at: moment), durability: .disk)
      }
    }
    try await untilDelivered(events.apps + plan.count)
    return finding
  }

  /// Throws when that takes longer than two minutes.
  private func untilDelivered(_ count: Int) async throws {
    let deadline = ContinuousClock.now + .seconds(120)
    while true {
      var delivered = 0
      for delivery in deliveries { delivered += await delivery.progress.events }
      if delivered >= count { return }
      guard ContinuousClock.now < deadline else {
        throw Failure(.bad, "bench", "only \(delivered) of \(count) events were delivered within two minutes")
      }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  private func measure(_ work: () async throws -> Void) async throws -> Finding {
    let before = processorSeconds()
    var finding = Finding()
    finding.seconds = try await PenstockBench.seconds(work)
    finding.processorSeconds = processorSeconds() - before
    finding.peakBytes = ProcessMemory(of: getpid()).peak
    return finding
  }
}

/// When which events are appended: so many times a second, or less often where that would be less than one.
struct LivePlan: Sendable {
  /// Events of one append.
  let size: Int
  let turns: Int
  /// Nanoseconds from one append to the next.
  let step: UInt64
  var count: Int { turns * size }

  init(rate: Int, seconds: Double, turnsASecond: Int = 100) {
    size = max(1, rate / turnsASecond)
    turns = max(1, Int(seconds * Double(rate) / Double(size)))
    step = UInt64(1e9 * Double(size) / Double(rate))
  }
}
