import Foundation

/// When is measured: not at once, and not to the last request's end.
struct IngestWindow: Sendable {
  let begin: UInt64
  let end: UInt64
  var seconds: Double { Double(end - begin) / 1e9 }

  /// Begins after a tenth of the time, when all clients are at work.
  init(seconds: Double) {
    begin = BenchClock.now() + UInt64(seconds * 1e8)
    end = begin + UInt64(seconds * 1e9)
  }

  /// Notes how long a request took that ends now, if that is within.
  func note(_ began: UInt64, _ times: inout [Double]) {
    let now = BenchClock.now()
    if now >= begin, now < end { times.append(Double(now - began) / 1e9) }
  }
}

/// What a crowd of clients saw.
struct IngestFinding: Codable {
  /// Events acknowledged in all, before and after the window too.
  var acknowledged = 0
  var eventsPerSecond = 0.0
  /// Of a request, in microseconds; nil where none was answered.
  var p50: Double?
  var p99: Double?
  /// Processors kept busy; nil where the system does not say.
  var service: Double?
  var clients: Double?

  init(_ window: IngestWindow, _ times: [Double], batch: Int) {
    let samples = Samples(seconds: times)
    eventsPerSecond = Double(times.count * batch) / window.seconds
    if !times.isEmpty { (p50, p99) = (samples.percentile(0.5), samples.percentile(0.99)) }
  }
}
