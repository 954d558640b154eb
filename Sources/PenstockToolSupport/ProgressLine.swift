import Foundation
import Synchronization

/// A progress line on standard error, with rate and time left. Only on a terminal, at most ten times per second.
package final class ProgressLine: Sendable {
  package static let shared = ProgressLine()

  private struct State {
    var isShown = false
    var started = ContinuousClock.now
    var shownAt: ContinuousClock.Instant?
    var label = ""
    var total: Int?
  }
  private let state = Mutex(State())
  private let isTerminal = isatty(STDERR_FILENO) == 1

  /// Starts a new line. `total` is in the unit of ``update(_:_:)``, usually bytes; nil when it is unknown.
  package func begin(_ label: String, total: Int?) {
    guard isTerminal else { return }
    state.withLock { $0 = State(label: label, total: total) }
  }

  /// - Parameter detail: Additional text, evaluated only when the line is shown.
  package func update(_ done: Int, _ detail: @autoclosure () -> String = "") {
    guard isTerminal else { return }
    let now = ContinuousClock.now
    let line: String? = state.withLock { state in
      if let shownAt = state.shownAt, now - shownAt < .milliseconds(100) { return nil }
      state.shownAt = now
      state.isShown = true
      return Self.line(state, done, detail(), elapsed: (now - state.started) / .seconds(1))
    }
    if let line { Self.put("\r\u{1B}[2K" + line) }
  }

  /// Shows only the label and `text`, without bytes and rate.
  package func show(_ text: @autoclosure () -> String) {
    guard isTerminal else { return }
    let now = ContinuousClock.now
    let line: String? = state.withLock { state in
      if let shownAt = state.shownAt, now - shownAt < .milliseconds(100) { return nil }
      state.shownAt = now
      state.isShown = true
      return state.label + "  " + text()
    }
    if let line { Self.put("\r\u{1B}[2K" + line) }
  }

  /// Erases the line, so that other output can follow.
  package func clear() {
    guard isTerminal else { return }
    let wasShown = state.withLock { state in
      defer { state.isShown = false }
      return state.isShown
    }
    if wasShown { Self.put("\r\u{1B}[2K") }
  }

  private static func line(_ state: State, _ done: Int, _ detail: String, elapsed: Double) -> String {
    let rate = elapsed > 0 ? Double(done) / elapsed : 0
    var line = state.label
    if let total = state.total, total > 0 {
      let share = min(1, Double(done) / Double(total))
      let filled = Int(share * 24)
      line += " [" + String(repeating: "█", count: filled) + String(repeating: "·", count: 24 - filled) + "]"
      line += String(format: " %3d %%", Int(share * 100))
    }
    line += "  \(HumanFormat.bytes(done))  \(HumanFormat.bytes(Int(rate)))/s"
    if let total = state.total, rate > 0, total > done {
      line += "  \(HumanFormat.seconds(Double(total - done) / rate)) left"
    }
    return detail.isEmpty ? line : line + "  " + detail
  }

  private static func put(_ text: String) {
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
