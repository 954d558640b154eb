import Foundation
import PenstockSupport
import PenstockToolSupport

/// What a figure must reach.
struct BenchTarget {
  enum Figure: String { case ratio, ours }
  let figure: Figure
  let bound: Double
  let isFloor: Bool

  static func atLeast(_ bound: Double, _ figure: Figure = .ratio) -> Self {
    Self(figure: figure, bound: bound, isFloor: true)
  }
  static func atMost(_ bound: Double, _ figure: Figure = .ratio) -> Self {
    Self(figure: figure, bound: bound, isFloor: false)
  }

  func isMet(ours: Double, ratio: Double?) -> Bool {
    guard let value = figure == .ours ? ours : ratio, value.isFinite else { return false }
    return isFloor ? value >= bound : value <= bound
  }

  var json: JSON {
    .object([
      ("of", .string(figure.rawValue)), ("bound", .number(bound)),
      ("direction", .string(isFloor ? "atLeast" : "atMost")),
    ])
  }

  func words(_ unit: String) -> String {
    let number = bound >= 1000 ? HumanFormat.count(Int(bound)) : String(format: "%g", bound)
    return (isFloor ? "≥ " : "≤ ") + (figure == .ratio ? "\(number) ×" : "\(number) \(unit)")
  }
}

/// One line of the table: ours next to the probe, measured in turn, round by round.
struct BenchRow {
  let id: String
  let measure: String
  let unit: String
  /// What the probe is, in words.
  let probeIs: String
  var targets: [BenchTarget]
  var note: String?
  /// Whether ours divided by the probe says anything.
  let isCompared: Bool
  var rounds: [(ours: Double, probe: Double?)] = []

  init(
    _ id: String, _ measure: String, _ unit: String, against probe: String = "nothing", _ targets: BenchTarget...,
    note: String? = nil, isCompared: Bool = true
  ) {
    (self.id, self.measure, self.unit, probeIs) = (id, measure, unit, probe)
    (self.targets, self.note, self.isCompared) = (targets, note, isCompared)
  }

  var ours: Double { Samples.median(rounds.map(\.ours)) }
  var probe: Double? {
    let probes = rounds.compactMap(\.probe)
    return probes.isEmpty ? nil : Samples.median(probes)
  }
  /// Each round's own, so that a disk that was slow for a while was slow for both.
  var ratios: [Double] { isCompared ? rounds.compactMap { round in round.probe.map { round.ours / $0 } } : [] }
  var ratio: Double? { ratios.isEmpty ? nil : Samples.median(ratios) }
  var isMet: Bool? { targets.isEmpty ? nil : targets.allSatisfy { $0.isMet(ours: ours, ratio: ratio) } }

  mutating func add(_ ours: Double, _ probe: Double? = nil) { rounds.append((ours, probe)) }

  var json: JSON {
    .object([
      ("id", .string(id)), ("measure", .string(measure)), ("unit", .string(unit)), ("ours", .number(ours)),
      ("probe", probe.map { .number($0) } ?? .null), ("probeIs", .string(probeIs)),
      ("ratio", ratio.map { .number($0) } ?? .null), ("targets", .array(targets.map(\.json))),
      ("met", isMet.map { .bool($0) } ?? .null), ("note", .optional(note)),
      ("eachRound", .array(rounds.map { .array([.number($0.ours), $0.probe.map { .number($0) } ?? .null]) })),
    ])
  }

  var words: [String] {
    func figure(_ value: Double) -> String {
      guard value.isFinite else { return "–" }
      return value.magnitude >= 1000 ? HumanFormat.count(Int(value)) : String(format: "%.4g", value)
    }
    return [
      measure, "\(figure(ours)) \(unit)", probe.map { figure($0) } ?? "–",
      ratio.map { String(format: "%.2f", $0) } ?? "–", targets.map { $0.words(unit) }.joined(separator: ", "),
      isMet.map { $0 ? "yes" : "NO" } ?? "",
    ]
  }
}

/// A line of a plot.
struct BenchSeries {
  /// Which plot it belongs to.
  let plot: String
  let name: String
  var points: [(Double, Double)]

  var json: JSON {
    .object([
      ("plot", .string(plot)), ("name", .string(name)),
      ("points", .array(points.map { .array([.number($0.0), .number($0.1)]) })),
    ])
  }
}

/// What one bench found.
struct BenchReport {
  let bench: String
  let parameters: [(String, JSON)]
  var rows: [BenchRow] = []
  var series: [BenchSeries] = []

  func json(_ machine: JSON) -> JSON {
    .object(
      [("bench", .string(bench))] + parameters + [
        ("rows", .array(rows.map(\.json))), ("series", .array(series.map(\.json))), ("machine", machine),
      ])
  }

  /// The table, and below it what each probe is.
  func words(_ machine: String) -> String {
    let table = HumanFormat.table(
      [["median of the rounds", "ours", "probe", "ratio", "target", "met"]] + rows.map(\.words), right: [1, 2, 3])
    let probes = rows.filter { !$0.measure.hasPrefix(" ") }
      .map { "  \($0.measure): \($0.probeIs)\($0.note.map { ". \($0)" } ?? "")" }
    return table + "\n\nagainst\n" + probes.joined(separator: "\n") + "\n" + machine
  }
}
