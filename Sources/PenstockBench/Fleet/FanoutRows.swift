import PenstockToolSupport

/// The rows of one number of webhooks and one order of events.
struct FanoutRows {
  private let setting: FleetTrial.Setting
  private let isCompared: Bool
  private var rate: BenchRow
  private var processor: BenchRow
  /// Against ten webhooks; nil for ten or less, and where ten are not measured.
  private var ten: BenchRow?
  private var requests: BenchRow
  private var batch: BenchRow
  private var memory: BenchRow

  static let baseline = "one unfiltered webhook with as many requests"

  /// The number of webhooks that the targets name.
  private static let aimed = 1000

  init(_ setting: FleetTrial.Setting, isBesideTen: Bool) {
    self.setting = setting
    isCompared = setting.destinations > 1
    let id = "fanout.\(setting.order.rawValue).\(setting.destinations)"
    let (words, probe) = (HumanFormat.count(setting.destinations, "webhook"), isCompared ? Self.baseline : "nothing")
    rate = BenchRow(id, "\(words), \(setting.order.rawValue)", "events/s", against: probe)
    processor = BenchRow(id + ".processor", "  processor time", "s", against: probe)
    requests = BenchRow(id + ".requests", "  requests", "requests", against: probe)
    batch = BenchRow(id + ".batch", "  events in a request", "events", against: probe)
    memory = BenchRow(id + ".memory", "  peak memory", "MiB", against: probe)
    if isBesideTen, setting.destinations > 10 {
      ten = BenchRow(id + ".ten", "  processor time against 10 webhooks", "s", against: "10 webhooks")
    }
    guard setting.destinations == Self.aimed else { return }
    rate.targets = [.atLeast(60_000, .ours)]
    processor.targets = [.atMost(3)]
    ten?.targets = [.atMost(1.5)]
  }

  mutating func add(_ ours: FleetTrial.Finding, base: FleetTrial.Finding?, ten other: FleetTrial.Finding?) {
    let base = isCompared ? base : nil
    rate.add(ours.rate, base?.rate)
    processor.add(ours.fleet.processorSeconds, base?.fleet.processorSeconds)
    ten?.add(ours.fleet.processorSeconds, other?.fleet.processorSeconds)
    requests.add(Double(ours.requests), base.map { Double($0.requests) })
    batch.add(ours.batch, base?.batch)
    // Other kernels do not say: then there is no figure.
    if ours.peak > 0 { memory.add(ours.peak, base?.peak) }
  }

  var all: [BenchRow] { [rate, processor] + [ten].compactMap { $0 } + [requests, batch, memory] }

  /// A point of the plot: processor time by webhooks, ours and the base line's.
  var point: (ours: (Double, Double), base: (Double, Double)?) {
    let x = Double(setting.destinations)
    return ((x, processor.ours), processor.probe.map { (x, $0) })
  }
}

/// The rows of events that are appended while the webhooks run.
struct FanoutLiveRows {
  private var rows: [BenchRow]

  /// - Parameter isCompared: Whether one webhook is measured, too.
  init(destinations: Int, rate: Int, isCompared: Bool) {
    let id = "fanout.live.\(destinations)"
    let probe = isCompared && destinations > 1 ? "one unfiltered webhook" : "nothing"
    let words = "\(HumanFormat.count(destinations, "webhook")), live at \(HumanFormat.count(rate)) events/s"
    rows = [
      BenchRow(id + ".p50", words + ", p50", "ms", against: probe),
      BenchRow(id + ".p95", "  … p95", "ms", against: probe),
      BenchRow(id + ".cores", "  processors it keeps busy", "cores", against: probe),
    ]
  }

  mutating func add(_ ours: FleetTrial.Finding, base: FleetTrial.Finding?) {
    let (ours, base) = (Self.figures(ours), base.map(Self.figures))
    for index in rows.indices { rows[index].add(ours[index], base?[index]) }
  }

  var all: [BenchRow] { rows }

  private static func figures(_ finding: FleetTrial.Finding) -> [Double] {
    [finding.waits.percentile(0.5) / 1e3, finding.waits.percentile(0.95) / 1e3, finding.cores]
  }
}
