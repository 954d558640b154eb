import Foundation
import PenstockToolSupport
import Synchronization

/// The whole pipeline of the demo: append and deliver, kill both in the middle, recover, finish. Blocks its thread.
final class DemoRun: Sendable {
  let files: DemoFiles
  let total: Int
  private let settings: DemoSettings
  private let environment: [String: String]
  /// The offsets that the `append` processes acknowledged, in the order of the acknowledgements.
  private let acknowledged = Mutex<[ClosedRange<Int>]>([])

  /// The result of the run, besides its files.
  struct Outcome: Sendable {
    var acknowledged: [ClosedRange<Int>] = []
    var wasAppendKilled = false
    var wasDeliverKilled = false
    var recovery = ""
  }

  init(_ files: DemoFiles, total: Int, _ settings: DemoSettings) {
    self.files = files
    self.total = total
    self.settings = settings
    let secret = Data((0..<32).map { _ in UInt8.random(in: .min ... .max) }).base64EncodedString()
    environment = ["PENSTOCK_WEBHOOK_SECRET": "whsec_" + secret]
  }

  func run() throws -> Outcome {
    let receiver = try startReceiver()
    var outcome = Outcome()
    (outcome.wasAppendKilled, outcome.wasDeliverKilled) = try runUntilKilled()
    let end: Int
    (outcome.recovery, end) = try recover()
    try appendRest(from: end)
    say("delivering the rest")
    try finish(spawn(["deliver", "--config", files.configuration, "--until-caught-up", "--json"]))
    receiver.send(SIGTERM)
    try finish(receiver)
    outcome.acknowledged = acknowledged.withLock { $0 }
    return outcome
  }

  // MARK: The steps

  private func startReceiver() throws -> ChildProcess {
    let pipe = try ChildPipe()
    let arguments = ["receive", "--json", "--out", files.received, "--ledger", files.ledger]
    let receiver = try spawn(arguments, output: pipe.writing)
    close(pipe.writing)
    let address = Mutex<String?>(nil)
    pipe.forEachLine { line in
      guard let output = try? JSONDecoder().decode([String: String].self, from: line) else { return }
      address.withLock { $0 = $0 ?? output["listening"] }
    }
    try wait(for: "the receiver", receiver) { address.withLock { $0 } != nil }
    let url = address.withLock { $0 } ?? ""
    say("receiving webhooks on \(url)")
    do {
      try Data(settings.configuration(files, webhook: url).utf8).write(to: URL(filePath: files.configuration))
    } catch {
      throw Failure(.cannot, "io", "could not write \(files.configuration): \(error.localizedDescription)")
    }
    return receiver
  }

  /// Runs append and deliver at the same time, and kills each with SIGKILL in the middle of its work.
  private func runUntilKilled() throws -> (append: Bool, deliver: Bool) {
    let input = try ChildPipe()
    let append = try spawnAppend(input: input.reading)
    close(input.reading)
    // Append gets a part of the input that ends within a record. Then the pipe stays open until append is killed.
    feed(input.writing, bytes: max(files.size(of: files.input) * 6 / 10, 1))
    try wait(for: "the first acknowledgement", append) { self.acknowledgedCount > 0 }
    say("appending \(HumanFormat.count(total, "event")) and delivering them at the same time")
    let deliver = try spawn(["deliver", "--config", files.configuration, "--json"])
    let half = max(1, min(total * 4 / 10, total - 1))
    try wait(for: "acknowledgements", append) { self.acknowledgedCount >= half }
    append.send(SIGKILL)
    let appendEnding = append.wait()
    say(
      "killed append (SIGKILL, process \(append.pid)) after \(HumanFormat.count(acknowledgedCount)) acknowledged events"
    )
    let some = max(1, files.size(of: files.input) / 5)
    try wait(for: "deliveries", deliver) { self.files.size(of: self.files.received) >= some }
    deliver.send(SIGKILL)
    let deliverEnding = deliver.wait()
    say(
      "killed deliver (SIGKILL, process \(deliver.pid)) after \(HumanFormat.bytes(files.size(of: files.received))) "
        + "of webhooks")
    return (appendEnding == .killed(SIGKILL), deliverEnding == .killed(SIGKILL))
  }

  private func recover() throws -> (String, end: Int) {
    struct RecoverOutput: Decodable {
      struct Recovery: Decodable {
        let outcome: String
        let end: Int
        let cutBytes: Int
      }
      let recovery: Recovery
    }
    let pipe = try ChildPipe()
    let output = Mutex<RecoverOutput?>(nil)
    let isRead = DispatchSemaphore(value: 0)
    let child = try spawn(["recover", "--log", files.log, "--json"], output: pipe.writing)
    close(pipe.writing)
    pipe.forEachLine { line in
      output.withLock { $0 = try? JSONDecoder().decode(RecoverOutput.self, from: line) }
      isRead.signal()
    }
    try finish(child)
    _ = isRead.wait(timeout: .now() + 10)
    guard let recovery = output.withLock({ $0 })?.recovery else {
      throw Failure(.cannot, "demo", "penstock recover printed no report")
    }
    say("recovered the log: \(recovery.outcome), \(HumanFormat.count(recovery.end, "record")) in it")
    return (recovery.outcome, recovery.end)
  }

  private func appendRest(from record: Int) throws {
    guard record < total else { return }
    say("appending the rest")
    let input = try files.openInput(atRecord: record)
    let append = try spawnAppend(input: input)
    close(input)
    try finish(append)
  }

  // MARK: Children

  private func spawn(_ arguments: [String], input: Int32? = nil, output: Int32? = nil) throws(Failure) -> ChildProcess {
    try ChildProcess(arguments, input: input, output: output, errors: files.errors, environment: environment)
  }

  private func spawnAppend(input: Int32) throws -> ChildProcess {
    struct AppendOutput: Decodable {
      struct Range: Decodable {
        let first: Int
        let last: Int
      }
      let acknowledged: Range
    }
    let pipe = try ChildPipe()
    let batch = String(max(1, min(1000, total / 20)))
    let child = try spawn(
      ["append", "--log", files.log, "--batch", batch, "--json", "-"], input: input, output: pipe.writing)
    close(pipe.writing)
    pipe.forEachLine { [self] line in
      guard let range = try? JSONDecoder().decode(AppendOutput.self, from: line).acknowledged else { return }
      acknowledged.withLock { $0.append(range.first...range.last) }
    }
    return child
  }

  private var acknowledgedCount: Int { acknowledged.withLock { $0.reduce(0) { $0 + $1.count } } }

  private func feed(_ pipe: Int32, bytes: Int) {
    let input = files.input
    Thread {
      let file = open(input, O_RDONLY | O_CLOEXEC)
      var buffer = [UInt8](repeating: 0, count: 64 << 10)
      var left = bytes
      feeding: while left > 0 {
        let count = read(file, &buffer, min(left, buffer.count))
        guard count > 0 else { break }
        left -= count
        var done = 0
        while done < count {
          let written = buffer.withUnsafeBytes { write(pipe, $0.baseAddress.map { $0 + done }, count - done) }
          // The reader was killed, so the pipe is broken.
          if written < 0, errno != EINTR { break feeding }
          done += max(0, written)
        }
      }
      close(file)
      // Stay open until the reader is gone: append must end by SIGKILL, not by the end of its input.
      var watched = pollfd(fd: pipe, events: 0, revents: 0)
      while poll(&watched, 1, -1) < 0 {}
      close(pipe)
    }.start()
  }

  /// Waits until the child ends. Throws unless its exit code is 0.
  private func finish(_ child: ChildProcess) throws {
    let ending = child.wait()
    if ending != .exited(0) { throw unexpected(child, ending) }
  }

  private func wait(for what: String, _ child: ChildProcess, _ condition: () -> Bool) throws {
    let deadline = ContinuousClock.now + .seconds(120)
    while !condition() {
      if Signals.received != nil { throw CancellationError() }
      guard child.isRunning else { throw unexpected(child, child.wait()) }
      guard ContinuousClock.now < deadline else {
        throw Failure(.cannot, "demo", "waited two minutes for \(what); see \(files.errors)")
      }
      usleep(500)
    }
  }

  private func unexpected(_ child: ChildProcess, _ ending: ChildProcess.Ending) -> any Error {
    if Signals.received != nil { return CancellationError() }
    let errors = (try? String(contentsOfFile: files.errors, encoding: .utf8)) ?? ""
    let last = errors.split(whereSeparator: \.isNewline).suffix(3).joined(separator: "\n  ")
    return Failure(.cannot, "demo", "penstock \(child.name) ended unexpectedly (\(ending))\n  \(last)")
  }

  private func say(_ text: String) { Output.note("  \(text)") }
}
