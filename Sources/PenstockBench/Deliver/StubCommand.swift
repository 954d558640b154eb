import ArgumentParser
import Foundation
import PenstockToolSupport

extension BenchCommand {
  /// What the benches of deliveries start as a process of its own: a receiver that costs next to nothing.
  struct Stub: BenchTool {
    static let spokenName = "stub"
    static let configuration = CommandConfiguration(
      abstract: "A receiver that takes everything, for the benches of deliveries.", shouldDisplay: false)
    @Option(help: "accept, refuse or hang.") var mode = StubMode.accept
    @OptionGroup var common: CommonOptions

    /// First the port, then a line for each request.
    func perform() async throws {
      let server = try StubServer(mode) { request in Output.standard.line(request.line) }
      Output.standard.line(String(server.port))
      Output.standard.flush()
      server.run()
    }
  }
}

extension StubMode: ExpressibleByArgument {}

/// A stub in a process of its own, and what it has heard.
final class StubProcess: Sendable {
  private let child: ChildProcess
  private let requests: RequestLog
  let port: Int
  var url: String { "http://127.0.0.1:\(port)" }

  init(_ mode: StubMode, errors: String) throws(Failure) {
    let pipe = try ChildPipe()
    child = try ChildProcess(["stub", "--mode", mode.rawValue], output: pipe.writing, errors: errors, environment: [:])
    close(pipe.writing)
    let requests = RequestLog()
    pipe.forEachLine { requests.add($0) }
    self.requests = requests
    guard let port = requests.waitForPort() else {
      throw Failure(.cannot, "spawn", "the stub did not start; see \(errors)")
    }
    self.port = port
  }

  /// Every request so far.
  var heard: [StubRequest] { requests.all }

  func forget() { requests.forget() }

  func end() { child.end() }
}

/// What a stub has said.
///
/// `@unchecked Sendable`: `condition` protects everything.
private final class RequestLog: @unchecked Sendable {
  private let condition = NSCondition()
  private var port: Int?
  private var requests: [StubRequest] = []

  func add(_ line: Data) {
    let words = String(decoding: line, as: UTF8.self).split(separator: " ")
    condition.withLock {
      if port == nil {
        port = words.first.flatMap { Int($0) }
        condition.broadcast()
      } else if words.count == 4 {
        requests.append(
          StubRequest(
            method: String(words[0]), contentLength: Int(words[1]) ?? 0, range: String(words[2]),
            arrived: UInt64(words[3]) ?? 0))
      }
    }
  }

  func waitForPort() -> Int? {
    condition.withLock {
      let deadline = Date(timeIntervalSinceNow: 10)
      while port == nil, condition.wait(until: deadline) {}
      return port
    }
  }

  var all: [StubRequest] { condition.withLock { requests } }

  func forget() { condition.withLock { requests = [] } }
}
