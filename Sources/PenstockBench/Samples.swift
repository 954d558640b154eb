import Foundation
import PenstockToolSupport

/// Times, sorted: every percentile is one that was measured, nothing is put into buckets.
struct Samples: Sendable {
  /// In microseconds.
  let sorted: [Double]

  init(seconds: [Double]) { sorted = seconds.map { $0 * 1e6 }.sorted() }

  /// In microseconds: the smallest value that at least `share` of all do not exceed.
  func percentile(_ share: Double) -> Double {
    guard !sorted.isEmpty else { return .nan }
    let rank = Int((share * Double(sorted.count)).rounded(.up))
    return sorted[min(max(rank, 1), sorted.count) - 1]
  }

  /// The distribution as points for a plot: share of all, microseconds.
  var distribution: [(Double, Double)] {
    let shares = [0.001, 0.01] + stride(from: 0.05, to: 0.951, by: 0.05) + [0.97, 0.98, 0.99, 0.995, 0.999]
    return shares.map { ($0, percentile($0)) }
  }

  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    return sorted.isEmpty ? .nan : sorted[sorted.count / 2]
  }
}

/// How long something took, in seconds.
func seconds<Failure: Error>(_ body: () throws(Failure) -> Void) throws(Failure) -> Double {
  let started = ContinuousClock.now
  try body()
  return (ContinuousClock.now - started) / .seconds(1)
}

/// How long something took, in seconds.
func seconds<Failure: Error>(_ body: () async throws(Failure) -> Void) async throws(Failure) -> Double {
  let started = ContinuousClock.now
  try await body()
  return (ContinuousClock.now - started) / .seconds(1)
}

/// Processor time this process has used so far, in user and system mode, in seconds.
func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Processor time that another process has used so far, in seconds; nil where the system does not say.
func processorSeconds(of process: pid_t) -> Double? {
  #if os(Linux)
    var (clock, time) = (clockid_t(), timespec())
    guard clock_getcpuclockid(process, &clock) == 0, clock_gettime(clock, &time) == 0 else { return nil }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  #else
    return nil
  #endif
}
