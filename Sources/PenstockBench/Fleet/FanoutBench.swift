import ArgumentParser
import Foundation
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Fanout: BenchSubcommand {
    static let spokenName = "fanout"
    static let configuration = CommandConfiguration(
      abstract: "One log to many webhooks, each filtered to its apps, against one that gets everything.",
      discussion: """
        One process delivers to all webhooks, each with a cursor, connections and signatures of its own; this process \
        receives and answers at once. Together the webhooks want each event once, and the bench fails unless each has \
        arrived once, where it is wanted. The probe is one webhook without a filter that makes as many requests for \
        the same events. What counts is processor time of the process that delivers.

          penstock-bench fanout
          penstock-bench fanout --destinations 1 10 100 --events 20000 --rounds 1
          penstock-bench fanout --destinations 1000 10000 --orders mixed --json

        Mixed: the next event is of the next app. Clustered: up to a hundred events of one app, then of the next. All \
        events are in the log before the webhooks begin. Then, for the least and the most webhooks, they are appended \
        at a fixed rate; latency is from the moment at which an append is due to the answer, so it includes the time \
        that a batch waits for more events.
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Events in the log.") var events = 200_000
    @Option(help: "Apps that they have.") var apps = 1000
    @Option(
      parsing: .upToNextOption,
      help: ArgumentHelp("Numbers of webhooks; one alone has no filter.", valueName: "numbers"))
    var destinations = [1, 10, 100, 1000, 10_000]
    @Option(parsing: .upToNextOption, help: "mixed, clustered, or both.")
    var orders: [AppEvents.Order] = [.mixed, .clustered]
    @Option(help: "Events of a request, at most.") var batch = 500
    @Option(name: .customLong("seconds"), help: "How long events are appended live, in each round; 0: not at all.")
    var duration = 3.0
    @Option(help: "Events a second, live.") var rate = 1000
    @Option(help: "Milliseconds that an event waits for others of its batch, live.") var wait = 100
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1000...100_000_000).contains(events) else { throw ValidationError("--events must be 1000 to 100000000") }
      guard (1...events).contains(apps) else { throw ValidationError("--apps must be 1 to the number of events") }
      guard !destinations.isEmpty, destinations.allSatisfy((1...100_000).contains) else {
        throw ValidationError("--destinations must be 1 to 100000 each")
      }
      guard (1...100_000).contains(batch) else { throw ValidationError("--batch must be 1 to 100000") }
      guard duration == 0 || (0.1...3600).contains(duration) else {
        throw ValidationError("--seconds must be 0, or 0.1 to 3600")
      }
      guard (1...1_000_000).contains(rate) else { throw ValidationError("--rate must be 1 to 1000000") }
      guard (0...59_000).contains(wait) else { throw ValidationError("--wait must be 0 to 59000") }
    }

    func measure(in directory: String) async throws -> BenchReport {
      var bench = FanoutBench(self, directory)
      defer { bench.remove() }
      try await options.eachRound { try await bench.measure(round: $0) }
      return report(
        ("events", .number(events)), ("apps", .number(apps)), ("batch", .number(batch)), ("rate", .number(rate)),
        rows: bench.rows, series: bench.series)
    }
  }
}

/// `penstock-bench fanout`.
struct FanoutBench {
  private typealias Setting = FleetTrial.Setting

  private let command: BenchCommand.Fanout
  private let directory: String
  /// Rising, each once.
  private let sizes: [Int]
  private let orders: [AppEvents.Order]
  /// What is measured in each round, base lines too; complete after the first.
  private var settings: [Setting] = []
  private var baselines: [Setting: Setting] = [:]
  private var backlog: [Setting: FanoutRows] = [:]
  private var live: [Int: FanoutLiveRows] = [:]
  private var trials: [FleetTrial] = []

  init(_ command: BenchCommand.Fanout, _ directory: String) {
    self.command = command
    self.directory = directory
    sizes = Set(command.destinations).sorted()
    orders = AppEvents.Order.allCases.filter(command.orders.contains)
    for setting in fleets {
      backlog[setting] = FanoutRows(setting, isBesideTen: sizes.contains(10))
    }
    guard command.duration > 0 else { return }
    for size in extremes {
      live[size] = FanoutLiveRows(destinations: size, rate: command.rate, isCompared: sizes.first == 1)
    }
  }

  private var fleets: [Setting] {
    orders.flatMap { order in sizes.map { Setting(order: order, destinations: $0, batch: command.batch) } }
  }

  /// The least and the most webhooks.
  private var extremes: [Int] { Set([sizes.first, sizes.last].compactMap { $0 }).sorted() }

  mutating func measure(round: Int) async throws {
    var found: [Setting: FleetTrial.Finding] = [:]
    if settings.isEmpty {
      for setting in fleets { found[setting] = try await trial(setting).backlog(command.events) }
      findBaselines(found)
    }
    // Who goes first changes, so that what drifts is not always against the same.
    for setting in round.isMultiple(of: 2) ? settings : settings.reversed() where found[setting] == nil {
      found[setting] = try await trial(setting).backlog(command.events)
    }
    for setting in fleets {
      guard let ours = found[setting] else { continue }
      let ten = Setting(order: setting.order, destinations: 10, batch: command.batch)
      backlog[setting]?.add(ours, base: baselines[setting].flatMap { found[$0] }, ten: found[ten])
    }
    try await measureLive()
  }

  /// One webhook without a filter, with the limit of a batch that lets it make as many requests.
  private mutating func findBaselines(_ found: [Setting: FleetTrial.Finding]) {
    settings = fleets
    for setting in fleets {
      guard let requests = found[setting]?.requests, requests > 0 else { continue }
      let limit = (command.events + requests - 1) / requests
      let baseline = Setting(order: setting.order, destinations: 1, batch: limit)
      baselines[setting] = baseline
      if !settings.contains(baseline) { settings.append(baseline) }
    }
  }

  private mutating func measureLive() async throws {
    guard command.duration > 0 else { return }
    let plan = FleetTrial.Live(rate: command.rate, seconds: command.duration, wait: command.wait)
    var one: FleetTrial.Finding?
    for size in extremes {
      let finding = try await trial(Setting(destinations: size, batch: command.batch)).live(plan)
      if size == 1 { one = finding }
      live[size]?.add(finding, base: size == 1 ? nil : one)
    }
  }

  private mutating func trial(_ setting: Setting) -> FleetTrial {
    let trial = FleetTrial(directory: directory + "/trial-\(trials.count)", apps: command.apps, setting: setting)
    trials.append(trial)
    return trial
  }

  func remove() { for trial in trials { trial.remove() } }

  var rows: [BenchRow] {
    fleets.flatMap { backlog[$0]?.all ?? [] } + extremes.flatMap { live[$0]?.all ?? [] }
  }

  var series: [BenchSeries] {
    let ours = orders.map { order in
      BenchSeries(plot: Self.plot, name: order.rawValue, points: points(order).map(\.ours))
    }
    let base = orders.first.map { points($0).compactMap(\.base) } ?? []
    return ours + [BenchSeries(plot: Self.plot, name: FanoutRows.baseline, points: base)]
  }

  private static let plot = "fanout-processor"

  private func points(_ order: AppEvents.Order) -> [(ours: (Double, Double), base: (Double, Double)?)] {
    fleets.filter { $0.order == order }.compactMap { backlog[$0]?.point }
  }
}
