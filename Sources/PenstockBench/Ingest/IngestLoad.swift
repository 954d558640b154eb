import ArgumentParser
import Foundation
import PenstockSupport
import PenstockToolSupport
import Synchronization

/// How a body holds its events.
enum IngestForm: String, CaseIterable, ExpressibleByArgument, Sendable {
  case array, lines
}

extension BenchCommand {
  /// What `bench ingest` starts as a process of its own: clients that cost next to nothing.
  struct Load: BenchTool {
    static let spokenName = "load"
    static let configuration = CommandConfiguration(
      abstract: "Clients that send events, for the bench of ingest.", shouldDisplay: false)
    @Option(help: "The service's port on loopback.") var port: Int
    @Option(help: "The service's process, whose processor time is measured.") var service: Int32
    @Option(help: "A connection each.") var clients: Int
    @Option(help: "Events of a request.") var batch: Int
    @Option(help: "How long.") var seconds: Double
    @Option(help: "array or lines.") var form: IngestForm
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let bodies = IngestBodies(batch: batch, form: form)
      let load = try IngestLoad(port: port, clients: clients, requests: bodies.requests(port: port))
      Output.standard.line(JSON.encoding(try load.run(seconds: seconds, batch: batch, service: service)).text)
    }
  }
}

/// Bodies of generated events.
struct IngestBodies {
  /// Different events, at most: more than that would leave the caches of the client and be slow to make.
  static let events = 6400
  let bodies: [[UInt8]]
  private let form: IngestForm

  init(batch: Int, form: IngestForm) {
    self.form = form
    let generator = EventGenerator()
    bodies = (0..<max(1, Self.events / batch)).map { number in
      var body: [UInt8] = form == .array ? [UInt8(ascii: "[")] : []
      for event in (number * batch)..<((number + 1) * batch) {
        generator.append(event, to: &body)
        body.append(UInt8(ascii: form == .array ? "," : "\n"))
      }
      if form == .array { body[body.count - 1] = UInt8(ascii: "]") }
      return body
    }
  }

  /// Each as a whole request.
  func requests(port: Int) -> [[UInt8]] {
    let type = form == .array ? "application/json" : "application/x-ndjson"
    return bodies.map { body in
      let head = """
        POST /v1/events HTTP/1.1\r
        Host: 127.0.0.1:\(port)\r
        Content-Type: \(type)\r
        Content-Length: \(body.count)\r
        \r

        """
      return Array(head.utf8) + body
    }
  }
}

/// Clients with blocking sockets, a thread each.
struct IngestLoad {
  private let descriptors: [Int32]
  private let requests: [[UInt8]]

  init(port: Int, clients: Int, requests: [[UInt8]]) throws(Failure) {
    var descriptors: [Int32] = []
    for _ in 0..<clients { descriptors.append(try LoopbackSocket.connect(port: port)) }
    self.descriptors = descriptors
    self.requests = requests
  }

  private struct State {
    var times: [Double] = []
    var answered = 0
    var complaint: String?
  }

  /// Sends until the time is over and the last is answered.
  func run(seconds: Double, batch: Int, service: pid_t) throws(Failure) -> IngestFinding {
    let window = IngestWindow(seconds: seconds)
    let all = SharedState()
    let group = DispatchGroup()
    for (number, descriptor) in descriptors.enumerated() {
      group.enter()
      Thread { [requests] in
        let seen = Self.converse(descriptor, requests, from: number, window)
        all.state.withLock { state in
          state.times += seen.times
          state.answered += seen.answered
          state.complaint = state.complaint ?? seen.complaint
        }
        group.leave()
      }.start()
    }
    BenchClock.sleep(until: window.begin)
    let before = (processorSeconds(of: service), processorSeconds())
    BenchClock.sleep(until: window.end)
    let after = (processorSeconds(of: service), processorSeconds())
    group.wait()
    let seen = all.state.withLock { $0 }
    if let complaint = seen.complaint { throw Failure(.bad, "bench", complaint) }
    var finding = IngestFinding(window, seen.times, batch: batch)
    finding.acknowledged = seen.answered * batch
    if let begin = before.0, let end = after.0 { finding.service = (end - begin) / window.seconds }
    finding.clients = (after.1 - before.1) / window.seconds
    return finding
  }

  private final class SharedState: Sendable {
    let state = Mutex(State())
  }

  private static func converse(
    _ descriptor: Int32, _ requests: [[UInt8]], from first: Int, _ window: IngestWindow
  ) -> State {
    var (state, turn) = (State(), first)
    var reader = HTTPReader(descriptor, room: 16 << 10)
    while true {
      let began = BenchClock.now()
      if began >= window.end { return state }
      guard LoopbackSocket.send(requests[turn % requests.count][...], to: descriptor), let answer = reader.head(),
        reader.skip(answer.contentLength)
      else {
        state.complaint = "the service has ended a connection"
        return state
      }
      // The status stands where a request has its target.
      guard answer.target == "200" else {
        state.complaint = "a request was answered \(answer.target)"
        return state
      }
      window.note(began, &state.times)
      state.answered += 1
      turn += 1
    }
  }

  /// Runs `penstock-bench load` as a process of its own.
  static func run(_ arguments: [String], in directory: String) throws -> IngestFinding {
    let (file, errors) = (directory + "/load.json", directory + "/load.stderr")
    let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Failure(.cannot, "io", "could not write \(file)") }
    defer { close(descriptor) }
    let child = try ChildProcess(["load"] + arguments, output: descriptor, errors: errors, environment: [:])
    try child.finish("the clients", errors: errors)
    return try JSONDecoder().decode(IngestFinding.self, from: Data(contentsOf: URL(filePath: file)))
  }
}
