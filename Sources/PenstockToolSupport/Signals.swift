import Dispatch
import Foundation
import Synchronization

/// SIGINT and SIGTERM: a command with work to finish registers a handler; for the others the process ends.
package enum Signals {
  private struct State {
    var received: Int32?
    var handlers: [Int: @Sendable (Int32) -> Void] = [:]
    var next = 0
  }
  private static let state = Mutex(State())
  private static let sources = Mutex<[any DispatchSourceSignal]>([])

  /// Begins to watch. Called once, first thing.
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

  /// The signal that asked to stop, if one has.
  package static var received: Int32? { state.withLock { $0.received } }

  /// How a command ends that was asked to stop and did: SIGTERM is an orderly request, SIGINT an interruption.
  package static var status: ExitStatus { received == SIGINT ? .interrupted : .done }

  /// From now on `handler` is called, and the process continues. At once when a signal came before. A second SIGINT
  /// still ends it. Returns what ``forget(_:)`` takes.
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
