import Foundation
import PenstockToolSupport

/// `penstock deliver` as a process of its own, as it runs in production, and what it takes.
final class DeliverProcess: Sendable {
  /// What one run took.
  struct Cost: Sendable {
    var seconds = 0.0
    var processorSeconds = 0.0
  }

  private let child: ChildProcess
  private let errors: String

  /// - Parameter configuration: What the file says below `destinations:`, in YAML.
  init(log: String, configuration: String, in directory: String, untilCaughtUp: Bool) throws {
    let file = directory + "/deliver-\(BenchClock.now()).yaml"
    errors = directory + "/deliver.stderr"
    try Data("destinations:\n\(configuration)".utf8).write(to: URL(filePath: file))
    child = try ChildProcess(
      ["deliver", "--log", log, "--config", file, "--json"] + (untilCaughtUp ? ["--until-caught-up"] : []),
      of: .sibling("penstock"), errors: errors, environment: ["PENSTOCK_BENCH_SECRET": Self.secret])
  }

  /// 32 bytes in base64.
  static let secret = "whsec_" + Data((0..<32).map { UInt8($0) }).base64EncodedString()

  /// Its memory, until it ends.
  func watch(every pause: Duration, _ look: (ProcessMemory) -> Void) async {
    while child.isRunning {
      look(ProcessMemory(of: child.pid))
      try? await Task.sleep(for: pause)
    }
  }

  /// Waits for a good end. Blocks.
  func wait() throws(Failure) { try child.finish("penstock deliver", errors: errors) }

  /// Ends it, however long it would run.
  func end() { child.end() }

  /// Runs one from its start to its end.
  static func cost(log: String, configuration: String, in directory: String) throws -> Cost {
    var cost = Cost()
    let before = childSeconds()
    cost.seconds = try seconds { () throws in
      try DeliverProcess(log: log, configuration: configuration, in: directory, untilCaughtUp: true).wait()
    }
    // Of all children that have ended in between: that is this one.
    cost.processorSeconds = childSeconds() - before
    return cost
  }

  private static func childSeconds() -> Double {
    var usage = rusage()
    // RUSAGE_CHILDREN, which has another type on each system.
    getrusage(-1, &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }
}

extension ChildProcess {
  /// Waits for a good end. Blocks.
  func finish(_ name: String, errors: String) throws(Failure) {
    guard wait() == .exited(0) else {
      throw Failure(.bad, "bench", "\(name) did not end well: \(Self.lastWords(errors))")
    }
  }

  static func lastWords(_ errors: String) -> Substring {
    ((try? String(contentsOfFile: errors, encoding: .utf8)) ?? "").suffix(600)
  }

  /// Ends it, whatever it is at.
  func end() {
    send(SIGKILL)
    _ = wait()
  }
}

/// What the kernel says of a process's memory, in bytes; 0 where it does not say.
struct ProcessMemory: Sendable {
  var resident = 0
  /// The most there was, of this process since ``resetPeak()``.
  var peak = 0

  /// Of this process.
  static func resetPeak() {
    let descriptor = open("/proc/self/clear_refs", O_WRONLY)
    guard descriptor >= 0 else { return }
    _ = write(descriptor, "5", 1)
    close(descriptor)
  }

  init(of pid: pid_t) {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8) else { return }
    for line in text.split(separator: "\n") {
      let kibibytes = Int(line.filter { $0.isASCII && $0.isNumber }) ?? 0
      if line.hasPrefix("VmRSS:") { resident = kibibytes << 10 }
      if line.hasPrefix("VmHWM:") { peak = kibibytes << 10 }
    }
  }
}

/// Destinations as a configuration file says them.
enum BenchDestinations {
  static func webhook(_ name: String, _ url: String, maxWait: String = "5s", more: String = "") -> String {
    """
      - name: \(name)
        type: webhook
        url: \(url)/
        allowPrivateNetworks: true
        signing: { secrets: ["${PENSTOCK_BENCH_SECRET}"] }
        batch: { maxEvents: 500, maxBytes: 1MiB, maxWait: \(maxWait) }
    \(more)
    """
  }

  static func s3(_ name: String, _ url: String, more: String = "") -> String {
    """
      - name: \(name)
        type: s3
        endpoint: \(url)
        bucket: bench
        credentials: { accessKey: bench, secretKey: "${PENSTOCK_BENCH_SECRET}" }
        prefix: \(name)/usages
        compression: zstd
    \(more)
    """
  }

  static func directory(_ name: String, _ path: String) -> String {
    """
      - name: \(name)
        type: directory
        path: \(path)
        rotate: { maxRecords: 500, maxAge: 1s }

    """
  }
}
