import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension EventWindow {
  /// As in `from 2026-11-01T00:00:00.000Z up to 2026-12-01T00:00:00.000Z`.
  var words: String {
    let bounds = [from.map { "from \(HumanFormat.time($0))" }, until.map { "up to \(HumanFormat.time($0))" }]
    return bounds.compactMap { $0 }.joined(separator: " ")
  }

  var json: JSON {
    func text(_ time: Timestamp?) -> JSON { time.map { .string(HumanFormat.time($0)) } ?? .null }
    return .object([("from", text(from)), ("to", text(until)), ("untimed", .string(untimed.rawValue))])
  }
}
