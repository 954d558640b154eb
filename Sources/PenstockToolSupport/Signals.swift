import Dispatch
import Foundation
import Synchronization

/// Handles SIGINT and SIGTERM. A command that must finish work adds a handler; without a handler the process exits.
package enum Signals {
  private struct State {
    var received: Int32?
    var handlers: [Int: @Sendable (Int32) -> Void] = [:]
    var next = 0
  }
  private static let state = Mutex(State())
  private static let sources = Mutex<[any DispatchSourceSignal]>([])

  /// Starts to watch. `main` calls this once, before everything else.
  package static func watch() {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      sources.withLock { sources in
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { arrived(number) }
        source.resume()
        sources.append(source)
      }
    }
  }

  /// The stop signal received so far, if any.
  package static var received: Int32? { state.withLock { $0.received } }

  /// The exit code of a command that stopped on request: success for SIGTERM, 130 for SIGINT.
  package static var status: ExitStatus { received == SIGINT ? .interrupted : .done }

  /// Adds a handler, which replaces the default exit. Calls it at once if a signal was already received. A second
  /// SIGINT still ends the process. Returns the token for ``forget(_:)``.
  @discardableResult
  package static func handle(_ handler: @escaping @Sendable (Int32) -> Void) -> Int {
    let (token, pending) = state.withLock { state in
      state.next += 1
      state.handlers[state.next] = handler
      return (state.next, state.received)
    }
    if let pending { handler(pending) }
    return token
  }

  package static func forget(_ token: Int) { state.withLock { $0.handlers[token] = nil } }

  private static func arrived(_ number: Int32) {
    let (handlers, isRepeated) = state.withLock { state in
      let isRepeated = state.received == SIGINT && number == SIGINT
      if state.received != SIGINT { state.received = number }
      return (Array(state.handlers.values), isRepeated)
    }
    if handlers.isEmpty || isRepeated {
      ProgressLine.shared.clear()
      _exit(128 + number)
    }
    for handler in handlers { handler(number) }
  }
}
