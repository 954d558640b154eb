import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport
import Synchronization

/// What every bench takes.
struct BenchOptions: ParsableArguments {
  @Option(
    name: [.customLong("dir"), .customLong("log")],
    help: ArgumentHelp("The directory to measure in; a temporary one unless set.", valueName: "dir"))
  var directory: String?
  @Option(help: "Rounds; the median counts.") var rounds = 5

  func validate() throws {
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000") }
  }

  /// Measures round by round, and shows how far it is.
  func eachRound(_ measure: (_ number: Int) async throws -> Void) async throws {
    for number in 0..<rounds {
      try await measure(number)
      ProgressLine.shared.update(number + 1, "round \(number + 1) of \(rounds)")
    }
  }
}

/// A command of this program.
protocol BenchTool: ReportingCommand {}

extension BenchTool {
  static var programName: String { "penstock-bench" }
}

/// A bench: it measures in a directory of its own.
protocol BenchSubcommand: BenchTool {
  var options: BenchOptions { get }
  func measure(in directory: String) async throws -> BenchReport
}

extension BenchSubcommand {
  /// What was found, with the number of rounds among the parameters.
  func report(_ parameters: (String, JSON)..., rows: [BenchRow], series: [BenchSeries] = []) -> BenchReport {
    BenchReport(
      bench: Self.spokenName, parameters: [("rounds", .number(options.rounds))] + parameters, rows: rows,
      series: series)
  }

  /// Measures in a directory of its own, removes it, and tells what was found.
  func perform() async throws {
    let base = options.directory ?? NSTemporaryDirectory()
    let directory = base + "/penstock-bench-\(getpid())"
    do { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) } catch {
      throw Failure(.cannot, "io", "could not create \(directory): \(error.localizedDescription)")
    }
    let token = Signals.handle { _ in
      ChildProcess.endAll()
      FullDisk.endAll()
      try? FileManager.default.removeItem(atPath: directory)
      _exit(ExitStatus.interrupted.rawValue)
    }
    defer {
      Signals.forget(token)
      try? FileManager.default.removeItem(atPath: directory)
    }
    ProgressLine.shared.begin("measuring", total: nil)
    let report = try await measure(in: directory)
    let machine = Machine.json(directory)
    tell(report.json(machine), report.words(Machine.words(directory)))
  }
}

/// Numbers handed out once each, to any number of tasks.
final class Tickets: Sendable {
  private let next = Atomic(0)
  private let count: Int
  init(_ count: Int) { self.count = count }
  func take() -> Int? {
    let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
    return number < count ? number : nil
  }
}

/// What benches append.
enum BenchEvents {
  /// The defaults, without sealing: it runs during appends and after them, on the same processors, and the figure would
  /// be of both. `penstock-bench append` has a row with it.
  static let alone: LogConfiguration = {
    var configuration = LogConfiguration()
    configuration.sealing = .off
    return configuration
  }()

  /// Batches of generated events, at most 64 different ones, made before anything is measured.
  static func batches(of records: Int, for events: Int) -> [RecordBatch] {
    let generator = EventGenerator()
    let count = min(max(1, 64_000 / records), (events + records - 1) / records)
    return (0..<count).map { generator.batch(($0 * records)..<(($0 + 1) * records)) }
  }

  /// Appends from `producers` tasks, `turns` batches in all; returns when all is on stable storage. No task waits for a
  /// single batch: the queue's limit alone holds the producers back, and every block is synced as it fills.
  static func stream(_ log: Log, _ batches: [RecordBatch], turns: Int, producers: Int = 1) async throws {
    let tickets = Tickets(turns)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<producers {
        group.addTask {
          while let turn = tickets.take() { try await log.append(batches[turn % batches.count], durability: .accepted) }
        }
      }
      try await group.waitForAll()
    }
    try await log.sync()
  }

  /// A closed log of so many events, in batches of a thousand; returns the batches it was made of.
  static func fill(_ path: String, events: Int) async throws -> [RecordBatch] {
    let batches = batches(of: 1000, for: events)
    let log = try await Log.open(at: path, configuration: alone)
    try await stream(log, batches, turns: (events + 999) / 1000)
    try await log.close()
    return batches
  }

  /// Appends until the log is past its first segment: that one is filled with zeros step by step, the later ones ahead
  /// of time, and the later ones are what a service meets.
  static func warmUp(_ log: Log, _ batches: [RecordBatch]) async throws {
    while log.view.set.segments.count < 2 { try await stream(log, batches, turns: 64) }
  }

  /// Every block's place, in order, as far as the offset.
  static func blocks(_ view: LogView, from first: Offset, to end: Offset) throws -> [(Segment, BlockEntry)] {
    var blocks: [(Segment, BlockEntry)] = []
    var offset = first
    while offset < end, case .block(let segment, let entry) = try view.locate(offset) {
      blocks.append((segment, entry))
      offset = entry.endOffset
    }
    return blocks
  }
}
