import Foundation
import PenstockLog
import PenstockToolSupport
import Synchronization

/// `penstock serve` as a process of its own.
final class IngestService: Sendable {
  private let child: ChildProcess
  private let log: String
  private let errors: String
  private let events: Atomic<Int>
  let port: Int
  var pid: pid_t { child.pid }

  /// - Parameters:
  ///   - sealing: on or off.
  ///   - events: how many are in the log.
  ///   - destinations: what the file says below `destinations:`, in YAML.
  init(log: String, sealing: String, events: Int, destinations: String = "") throws {
    self.log = log
    self.events = Atomic(events)
    errors = log + ".stderr"
    let file = log + ".yaml"
    let settings = "log: { path: \(log), sealing: \(sealing) }\nserver: { listen: \"127.0.0.1:0\" }\n"
    try Data((settings + (destinations.isEmpty ? "" : "destinations:\n" + destinations)).utf8)
      .write(to: URL(filePath: file))
    let pipe = try ChildPipe()
    child = try ChildProcess(
      ["serve", "--config", file, "--json"], of: .sibling("penstock"), output: pipe.writing, errors: errors,
      environment: ["PENSTOCK_BENCH_SECRET": DeliverProcess.secret])
    close(pipe.writing)
    defer { close(pipe.reading) }
    guard let port = Self.port(pipe.reading) else {
      _ = child.wait()
      throw Failure(.cannot, "spawn", "penstock serve did not start: \(ChildProcess.lastWords(errors))")
    }
    self.port = port
  }

  /// The port in the line that it says when it listens; nil when it ends before.
  private static func port(_ descriptor: Int32) -> Int? {
    var said: [UInt8] = []
    while said.last != UInt8(ascii: "\n") {
      var byte: UInt8 = 0
      guard read(descriptor, &byte, 1) == 1 else { return nil }
      said.append(byte)
    }
    let address = String(decoding: said, as: UTF8.self).split(separator: ":").last
    return address.flatMap { Int($0.prefix { $0.isNumber }) }
  }

  /// So many more events were acknowledged.
  func expect(_ more: Int) { events.wrappingAdd(more, ordering: .relaxed) }

  /// Stops it as an operator would, and counts: exactly what was acknowledged must be in its log.
  func finish() async throws {
    child.send(SIGTERM)
    try child.finish("penstock serve", errors: errors)
    let reader = try await LogReader.open(at: log)
    defer { reader.close() }
    let (found, wanted) = (reader.end - reader.first, events.load(ordering: .relaxed))
    guard found == wanted else {
      throw Failure(.bad, "bench", "\(wanted) events were acknowledged, and \(found) are in the log")
    }
  }

  /// Ends it, whatever it is at.
  func end() { child.end() }
}
