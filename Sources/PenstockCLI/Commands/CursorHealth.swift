import PenstockDelivery
import PenstockLog

/// The lag, health and dead letters of each cursor, for `penstock status`.
struct CursorHealth {
  var lags: [String: Lag] = [:]
  var deadLetters: [String: Int] = [:]

  /// Never fails: unreadable parts are left out. Takes one sample, so it has no rates and no forecasts.
  init(_ path: String, configuration: Configuration?) async {
    await countLetters(path)
    guard let reader = try? await LogReader.open(at: path) else { return }
    defer { reader.close() }
    let (now, timeOfDay) = (SystemDeliveryClock().now(), SystemWallClock().now())
    for name in (try? reader.cursorNames()) ?? [] {
      guard let state = try? reader.cursorState(named: name) else { continue }
      let settings = configuration?.destinations.first { $0.name == name }?.delivery
      var meter = LagMeter(cursor: name, thresholds: settings?.thresholds ?? LagThresholds())
      let facts = try? reader.lagSnapshot(
        of: state, retention: configuration?.log.retention, pause: try? reader.pause(ofCursor: name), at: now,
        timeOfDay: timeOfDay)
      if let facts { lags[name] = meter.observe(facts) }
    }
  }

  private mutating func countLetters(_ path: String) async {
    let letters = DeadLetters(in: LogAccess.deadLetters(of: path))
    for name in (try? letters.cursors()) ?? [] { deadLetters[name] = try? await letters.count(of: name) }
  }
}
